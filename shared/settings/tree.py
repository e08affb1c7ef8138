"""Unvalidated settings as nested dictionaries, and operations on them."""

from typing import Any, TypeGuard, cast, get_origin

from shared.settings.names import Key, child_type

Tree = dict[str, object]


def is_tree(value: object) -> TypeGuard[Tree]:
    return isinstance(value, dict)


def get_value(tree: object, key: Key) -> object | None:
    """Return the value at a key, or None. A numeric name is an index into a list."""
    for name in key:
        tree = _inner(tree, name)
    return tree


def set_value(tree: Tree, key: Key, value: object) -> None:
    """Merge a value into the tree at a key."""
    for name in reversed(key):
        value = {name: value}
    tree.update(cast("Tree", merged(tree, value)))


def pop_value(tree: Tree, key: Key) -> object | None:
    """Remove the value at a key and return it."""
    above = get_value(tree, key[:-1])
    return above.pop(key[-1], None) if is_tree(above) else None


def merged(low: object, high: object) -> object:
    """Merge two sources key by key. Replace a list as a whole, or only at the given indexes."""
    if not is_tree(high):
        return high
    has_indexes = bool(high) and all(name.isdigit() for name in high)
    base = dict(children(low)) if is_tree(low) or has_indexes else Tree()
    for name, value in high.items():
        base[name] = merged(base.get(name), value)
    return base


def children(value: object) -> Tree:
    """Return a list as a dictionary keyed by index, and a scalar as an empty dictionary."""
    if isinstance(value, list):
        return {str(index): row for index, row in enumerate(cast("list[object]", value))}
    return value if is_tree(value) else {}


def with_lists(tree: object, annotation: Any) -> object:  # noqa: ANN401  (a type or a type form)
    """Return the tree with every dictionary keyed by the indexes of a list converted to a list."""
    if not is_tree(tree):
        return tree
    inner = {name: with_lists(value, child_type(annotation, name)) for name, value in tree.items()}
    if get_origin(annotation) is tuple and set(inner) == {str(n) for n in range(len(inner))}:
        return [inner[str(index)] for index in range(len(inner))]
    return inner


def _inner(tree: object, name: str) -> object | None:
    if is_tree(tree):
        return tree.get(name)
    if isinstance(tree, list) and name.isdigit():
        rows = cast("list[object]", tree)
        return rows[int(name)] if int(name) < len(rows) else None
    return None
