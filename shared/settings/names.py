"""The settings' names: which keys there are, how each source spells them, which one is nearest.

A key is a path through the sections: `("providers", "groq", "base_url")`. It is written
`providers.groq.base_url` in messages and `MAMBA_PROVIDERS__GROQ__BASE_URL` in the environment.
"""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, TypeGuard, get_args, get_origin

from pydantic import BaseModel

Key = tuple[str, ...]

PREFIX = "MAMBA_"
DELIMITER = "__"
#: Stands in `all_keys` for a name that the user chooses, and for a place in a list.
NAME, INDEX = "<name>", "<n>"


def dotted(key: Key) -> str:
    return ".".join(key)


def variable_name(key: Key) -> str:
    return PREFIX + DELIMITER.join(key).upper()


def child_type(annotation: Any, name: str) -> Any | None:  # noqa: ANN401  (a type, or a form of one)
    """What `name` is within a section, a table or a list of sections; None: there is no such."""
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
    """What a key is, from its root on; None: there is no such setting."""
    for name in key:
        annotation = child_type(annotation, name)
    return annotation


def is_section(kind: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def is_compound(annotation: Any) -> bool:  # noqa: ANN401
    """Whether it is more than one value: in a variable it is written as JSON."""
    return any(is_section(k) or get_origin(k) in {dict, tuple} for k in _kinds(annotation))


def is_nested(annotation: Any) -> bool:  # noqa: ANN401
    """Whether there are settings within it, or names that the user chooses."""
    return any(True for _ in _inner(annotation))


def all_keys(annotation: Any, above: Key = ()) -> Iterator[Key]:  # noqa: ANN401
    """Every key of a section, with `NAME` and `PLACE` where the user chooses."""
    inner = list(_inner(annotation))
    for name, kind in inner:
        yield from all_keys(kind, (*above, name))
    if not inner or not any(is_section(kind) for kind in _kinds(annotation)):
        yield above


def closest_key(root: type[BaseModel], key: Key) -> Key | None:
    """The key that a wrong one was probably meant to be: a sibling, or else from anywhere."""
    *above, last = key
    siblings = [
        name for name, _ in _inner(type_of(root, tuple(above))) if name not in {NAME, INDEX}
    ]
    if close := get_close_matches(last, siblings, n=1, cutoff=0.6):
        return (*above, close[0])
    known = {dotted(_as_in(found, key)): _as_in(found, key) for found in all_keys(root)}
    if close := get_close_matches(dotted(key).strip("."), list(known), n=1, cutoff=0.75):
        return known[close[0]]
    same = [found for found in known.values() if found[-1] == last]
    return same[0] if len(same) == 1 else None


def _as_in(found: Key, key: Key) -> Key:
    """A known key with the user's own words where it has placeholders."""
    pairs = zip(found, (*key, *found[len(key) :]), strict=False)
    return tuple(word if name in {NAME, INDEX} else name for name, word in pairs)


def _inner(annotation: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    for kind in _kinds(annotation):
        if is_section(kind):
            yield from ((name, field.annotation) for name, field in kind.model_fields.items())
        elif get_origin(kind) is dict:
            yield NAME, get_args(kind)[1]
        elif get_origin(kind) is tuple and is_section(get_args(kind)[0]):
            yield INDEX, get_args(kind)[0]


def _kinds(annotation: Any) -> tuple[Any, ...]:  # noqa: ANN401
    """The type itself, or those of a union."""
    if is_section(annotation) or get_origin(annotation) in {dict, tuple}:
        return (annotation,)
    return get_args(annotation) or (annotation,)
