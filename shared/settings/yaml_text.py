"""YAML parsing that rejects duplicate keys, cycles and aliases that expand without bounds."""

from typing import cast

import yaml

#: Far more values than any settings have. A few nested aliases can expand to billions.
_MAX_VALUES = 100_000


def read_yaml_text(text: str) -> object:
    """Parse a YAML text.

    Raises:
        YAMLError: if it is malformed, has a duplicate key or a cycle, or is too large.
        ValueError: if a value does not match its YAML tag.
    """
    try:
        return cast("object", yaml.load(text, _Loader))  # noqa: S506  (a SafeLoader)
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None


class _Loader(yaml.SafeLoader):
    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None:
            _count(node, {})
        return node


def _count(node: yaml.Node, counted: dict[yaml.Node, int | None]) -> int:
    """Return the number of values in a node, with its aliases expanded."""
    if node in counted:
        known = counted[node]
        if known is None:
            raise _yaml_error("a value contains itself", node)
        return known
    counted[node] = None
    count = 1 + sum(_count(child, counted) for child in _children(node))
    if count > _MAX_VALUES:
        raise _yaml_error("too many values", node)
    counted[node] = count
    return count


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        pairs = cast("list[tuple[yaml.Node, yaml.Node]]", node.value)
        _check_keys([key for key, _ in pairs])
        return [child for pair in pairs for child in pair]
    return cast("list[yaml.Node]", node.value) if isinstance(node, yaml.SequenceNode) else []


def _check_keys(keys: list[yaml.Node]) -> None:
    """Reject duplicate keys, which most parsers silently resolve to the last value."""
    seen: set[tuple[str, str]] = set()
    for key in keys:
        if isinstance(key, yaml.ScalarNode):
            name = (key.tag, cast("str", key.value))
            if name in seen:
                raise _yaml_error("duplicate key", key)
            seen.add(name)


def _yaml_error(problem: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
