"""The keys of the settings, their spellings, and suggestions for misspelled keys.

A key is a path through the sections: `("providers", "groq", "base_url")`. Messages show it as
`providers.groq.base_url`, and the environment variable is `MAMBA_PROVIDERS__GROQ__BASE_URL`.
"""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, TypeGuard, get_args, get_origin

from pydantic import BaseModel

Key = tuple[str, ...]

PREFIX = "MAMBA_"
DELIMITER = "__"
#: Placeholders in `all_keys` for a name that the user chooses, and for an index in a list.
NAME, INDEX = "<name>", "<n>"


def dotted(key: Key) -> str:
    return ".".join(key)


def variable_name(key: Key) -> str:
    return PREFIX + DELIMITER.join(key).upper()


def child_type(annotation: Any, name: str) -> Any | None:  # noqa: ANN401  (a type or a type form)
    """Return the type of `name` in a section, table or list of sections; None if unknown."""
    for kind in _kinds(annotation):
        if is_section(kind):
            field = kind.model_fields.get(name)
            return field.annotation if field else None
        if get_origin(kind) is dict:
            return get_args(kind)[1]
        if get_origin(kind) is tuple and name.isdigit():
            return get_args(kind)[0] if is_section(get_args(kind)[0]) else None
    return None


def type_of(annotation: Any, key: Key) -> Any | None:  # noqa: ANN401
    """Return the type of a setting; None if there is no such setting."""
    for name in key:
        annotation = child_type(annotation, name)
    return annotation


def is_section(kind: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def is_compound(annotation: Any) -> bool:  # noqa: ANN401
    """Return whether the type holds several values, which a variable writes as JSON."""
    return any(is_section(k) or get_origin(k) in {dict, tuple} for k in _kinds(annotation))


def is_nested(annotation: Any) -> bool:  # noqa: ANN401
    """Return whether the type contains settings, or names that the user chooses."""
    return any(True for _ in _inner(annotation))


def all_keys(annotation: Any, above: Key = ()) -> Iterator[Key]:  # noqa: ANN401
    """Yield every key of a section, with the placeholders `NAME` and `INDEX`."""
    inner = list(_inner(annotation))
    for name, kind in inner:
        yield from all_keys(kind, (*above, name))
    if not inner or not any(is_section(kind) for kind in _kinds(annotation)):
        yield above


def closest_key(root: type[BaseModel], key: Key) -> Key | None:
    """Return the most similar known key: preferably a sibling, else any; None if none is close."""
    *above, last = key
    siblings = [
        name for name, _ in _inner(type_of(root, tuple(above))) if name not in {NAME, INDEX}
    ]
    if close := get_close_matches(last, siblings, n=1, cutoff=0.6):
        return (*above, close[0])
    known = {
        dotted(_fill_placeholders(found, key)): _fill_placeholders(found, key)
        for found in all_keys(root)
    }
    if close := get_close_matches(dotted(key).strip("."), list(known), n=1, cutoff=0.75):
        return known[close[0]]
    same = [found for found in known.values() if found[-1] == last]
    return same[0] if len(same) == 1 else None


def _fill_placeholders(known: Key, key: Key) -> Key:
    """Return the known key with its placeholders replaced by the names in the user's key."""
    pairs = zip(known, (*key, *known[len(key) :]), strict=False)
    return tuple(given if name in {NAME, INDEX} else name for name, given in pairs)


def _inner(annotation: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    for kind in _kinds(annotation):
        if is_section(kind):
            yield from ((name, field.annotation) for name, field in kind.model_fields.items())
        elif get_origin(kind) is dict:
            yield NAME, get_args(kind)[1]
        elif get_origin(kind) is tuple and is_section(get_args(kind)[0]):
            yield INDEX, get_args(kind)[0]


def _kinds(annotation: Any) -> tuple[Any, ...]:  # noqa: ANN401
    """Return the members of a union, or the type itself."""
    if is_section(annotation) or get_origin(annotation) in {dict, tuple}:
        return (annotation,)
    return get_args(annotation) or (annotation,)
