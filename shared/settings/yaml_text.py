"""YAML as operators write it: what it says twice or without an end is a mistake, and no setting."""

from typing import cast

import yaml

#: Far more than any settings hold; a file of a few aliases can mean billions.
_MOST_VALUES = 100_000


def read_yaml_text(text: str) -> object:
    """What a text holds.

    Raises:
        YAMLError: also where a key stands twice, a value holds itself, or aliases multiply it.
        ValueError: if a value is none of its kind.
    """
    try:
        return cast("object", yaml.load(text, _Loader))  # noqa: S506  (a SafeLoader)
    except RecursionError:
        raise yaml.YAMLError("nested too deep") from None


class _Loader(yaml.SafeLoader):
    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None:
            _count(node, {})
        return node


def _count(node: yaml.Node, counted: dict[yaml.Node, int | None]) -> int:
    """The values that a node stands for, its aliases written out."""
    if node in counted:
        known = counted[node]
        if known is None:
            raise _mistake("a value holds itself", node)
        return known
    counted[node] = None
    count = 1 + sum(_count(child, counted) for child in _children(node))
    if count > _MOST_VALUES:
        raise _mistake("too many values", node)
    counted[node] = count
    return count


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        pairs = cast("list[tuple[yaml.Node, yaml.Node]]", node.value)
        _check_keys([key for key, _ in pairs])
        return [child for pair in pairs for child in pair]
    return cast("list[yaml.Node]", node.value) if isinstance(node, yaml.SequenceNode) else []


def _check_keys(keys: list[yaml.Node]) -> None:
    """By YAML a key stands once; most parsers keep its last value without a word."""
    seen: set[tuple[str, str]] = set()
    for key in keys:
        if isinstance(key, yaml.ScalarNode):
            name = (key.tag, cast("str", key.value))
            if name in seen:
                raise _mistake("this key stands here twice", key)
            seen.add(name)


def _mistake(problem: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
