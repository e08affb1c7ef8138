"""Measures the functions of a source on its syntax tree."""

import re
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import NamedTuple

from ast_grep_py import SgNode, SgRoot

from worker.review.control_flow import CONTROL_FLOW, ControlFlow
from worker.review.findings import FunctionMetrics

_OPERATORS = frozenset({"&&", "||", "and", "or"})
#: Scala's grammar has no boolean operators.
_OPERATOR_NAME = "operator_identifier"
_DEFAULT = re.compile(r"(?:case\s+)?(?:default|else|_|\*)(?=\W|$)")
#: An `if` in one of these, after `else`, is an `else if`.
_ELSE_IF = frozenset({"if_statement", "if_expression"})
_WRAPPERS = frozenset({"control_structure_body", "statement"})

_PARAMETER_LISTS = frozenset(
    {
        "formal_parameters",
        "function_value_parameters",
        "method_parameters",
        "parameter_list",
        "parameters",
    }
)
_NO_PARAMETERS = frozenset({"self", "cls", "void", "*", "/"})
_MAX_NAME = 100
_ANONYMOUS = "(anonymous)"


class _MeasuredFunction:
    def __init__(self, node: SgNode) -> None:
        self.node = node
        self.complexity = 1
        self.nesting = 0


class _Visit(NamedTuple):
    node: SgNode
    parent: str
    function: _MeasuredFunction | None
    depth: int
    after_else: bool


def measure_functions(text: str, grammar: str) -> Iterator[FunctionMetrics]:
    """Measure the functions of a text, in source order."""
    functions, comments = _walk(SgRoot(text, grammar).root(), CONTROL_FLOW[grammar])
    before = _code_lines_before(text, comments)
    for function in functions:
        span = function.node.range()
        first, last = span.start.line, span.end.line
        name = _name(function.node)
        if name == _ANONYMOUS and first == last:
            continue
        yield FunctionMetrics(
            name=name,
            line=first + 1,
            end_line=last + 1,
            complexity=function.complexity,
            length=before[last + 1] - before[first],
            parameters=sum(map(_parameter_count, _parameter_lists(function.node))),
            nesting=function.nesting,
        )


def _walk(root: SgNode, flow: ControlFlow) -> tuple[list[_MeasuredFunction], list[SgNode]]:
    """Return all functions and comments of a tree."""
    functions: list[_MeasuredFunction] = []
    comments: list[SgNode] = []
    stack = [_Visit(root, "", None, 0, after_else=False)]
    while stack:
        visit = stack.pop()
        node, kind = visit.node, visit.node.kind()
        if not node.is_named():
            _count_operator(visit, kind)
            continue
        if "comment" in kind or _is_docstring(visit, kind):
            comments.append(node)
            continue
        function, depth = visit.function, visit.depth
        if kind in flow.functions:
            function, depth = _MeasuredFunction(node), 0
            functions.append(function)
        elif function is not None:
            function.complexity += _adds_path(node, kind, flow)
            if kind in flow.nesting and not (visit.after_else and kind in _ELSE_IF):
                depth += 1
                function.nesting = max(function.nesting, depth)
        stack += _children(visit, kind, function, depth)
    return functions, comments


def _children(
    visit: _Visit, kind: str, function: _MeasuredFunction | None, depth: int
) -> list[_Visit]:
    inherited = visit.after_else and kind in _WRAPPERS
    found: list[_Visit] = []
    previous = ""
    for child in visit.node.children():
        found.append(_Visit(child, kind, function, depth, previous == "else" or inherited))
        previous = child.kind()
    found.reverse()
    return found


def _adds_path(node: SgNode, kind: str, flow: ControlFlow) -> bool:
    if kind in flow.branches:
        return _DEFAULT.match(node.text()) is None
    return kind in flow.decisions or (kind == _OPERATOR_NAME and node.text() in _OPERATORS)


def _count_operator(visit: _Visit, kind: str) -> None:
    if kind in _OPERATORS and visit.function and not visit.parent.endswith("declarator"):
        visit.function.complexity += 1


def _is_docstring(visit: _Visit, kind: str) -> bool:
    """Return whether this is a Python text that is a statement."""
    if kind != "expression_statement" or visit.parent not in ("block", "module"):
        return False
    children = visit.node.children()
    return len(children) == 1 and children[0].kind() == "string"


def _code_lines_before(text: str, comments: Iterable[SgNode]) -> list[int]:
    """Return the number of lines with code before each line, and in total."""
    lines = text.split("\n")
    code = [not line.isspace() and line != "" for line in lines]
    for comment in comments:
        span = comment.range()
        if not lines[span.start.line][: span.start.column].strip():
            for number in range(span.start.line, span.end.line + 1):
                code[number] = False
    return [0, *accumulate(code)]


def _name(function: SgNode) -> str:
    node = (
        function.field("name")
        or _declared(function)
        or _first_of(function, ("simple_identifier", "identifier"))
        or _assigned(function)
    )
    text = node.text() if node else _KEYWORDS.get(function.kind(), _ANONYMOUS)
    return " ".join(text.split())[:_MAX_NAME]


_KEYWORDS = {
    "constructor_definition": "constructor",
    "secondary_constructor": "constructor",
    "init_declaration": "init",
    "deinit_declaration": "deinit",
    "fallback_receive_definition": "fallback",
    "getter": "get",
    "setter": "set",
    "operator_declaration": "operator",
}


def _declared(function: SgNode) -> SgNode | None:
    """Return the name in a C declarator."""
    declarator = function.field("declarator")
    if declarator is not None and declarator.kind() != "function_declarator":
        declarator = declarator.find(kind="function_declarator") or declarator
    return declarator and (declarator.field("declarator") or declarator)


def _assigned(function: SgNode) -> SgNode | None:
    """Return the variable or the key that an anonymous function is assigned to."""
    parent = function.parent()
    if parent is None:
        return None
    return parent.field("name") or parent.field("key") or parent.field("left")


def _first_of(node: SgNode, kinds: tuple[str, ...]) -> SgNode | None:
    if node.kind() in ("arrow_function", "func_literal"):
        return None
    return next((child for child in node.children() if child.kind() in kinds), None)


def _parameter_lists(function: SgNode) -> Iterator[SgNode]:
    """Yield the nodes that contain parameters. Scala functions may have several."""
    if declarator := function.field("declarator"):
        if found := declarator.find(kind="parameter_list"):
            yield found
        return
    found = function.field("parameters")
    if found and function.kind() != "function_definition":
        yield found
    else:
        lists = [child for child in function.children() if child.kind() in _PARAMETER_LISTS]
        yield from lists or (function,)


def _parameter_count(parameters: SgNode) -> int:
    if parameters.kind() in _PARAMETER_LISTS:
        found = [child for child in parameters.children() if child.is_named()]
    else:
        found = [child for child in parameters.children() if child.kind() == "parameter"]
    return sum(_names(node) for node in found)


def _names(parameter: SgNode) -> int:
    """Return how many parameters a node declares: two for Go's `a, b string`."""
    kind = parameter.kind()
    if "comment" in kind or kind.endswith("separator") or kind == "self_parameter":
        return 0
    if parameter.text() in _NO_PARAMETERS:
        return 0
    return max(1, len(parameter.field_children("name"))) if kind == "parameter_declaration" else 1
