"""Settings as they are written: sections in sections, down to values that nobody has checked."""

from typing import Any, TypeGuard, cast, get_origin

from shared.settings.names import Key, child_type

Tree = dict[str, object]


def is_tree(value: object) -> TypeGuard[Tree]:
    return isinstance(value, dict)


def get_value(tree: object, key: Key) -> object | None:
    """What stands at a key; None if nothing does. A number goes into a list."""
    for name in key:
        tree = _inner(tree, name)
    return tree


def set_value(tree: Tree, key: Key, value: object) -> None:
    """Lay a value over what stands at a key."""
    for name in reversed(key):
        value = {name: value}
    tree.update(cast("Tree", merged(tree, value)))


def pop_value(tree: Tree, key: Key) -> object | None:
    """Remove what stands at a key, and return it."""
    above = get_value(tree, key[:-1])
    return above.pop(key[-1], None) if is_tree(above) else None


def merged(low: object, high: object) -> object:
    """Two sources in one: key by key; a list is replaced as a whole, or in the places named."""
    if not is_tree(high):
        return high
    places = bool(high) and all(name.isdigit() for name in high)
    base = dict(children(low)) if is_tree(low) or places else Tree()
    for name, value in high.items():
        base[name] = merged(base.get(name), value)
    return base


def children(value: object) -> Tree:
    """A list as a table of its places 0, 1, 2 …; a table as it is; of all else an empty one."""
    if isinstance(value, list):
        return {str(place): row for place, row in enumerate(cast("list[object]", value))}
    return value if is_tree(value) else {}


def with_lists(tree: object, annotation: Any) -> object:  # noqa: ANN401  (a type, or a form of one)
    """The same, with each list of sections that is written as places 0, 1, 2 … as a list."""
    if not is_tree(tree):
        return tree
    inner = {name: with_lists(value, child_type(annotation, name)) for name, value in tree.items()}
    if get_origin(annotation) is tuple and set(inner) == {str(n) for n in range(len(inner))}:
        return [inner[str(place)] for place in range(len(inner))]
    return inner


def _inner(tree: object, name: str) -> object | None:
    if is_tree(tree):
        return tree.get(name)
    if isinstance(tree, list) and name.isdigit():
        rows = cast("list[object]", tree)
        return rows[int(name)] if int(name) < len(rows) else None
    return None
