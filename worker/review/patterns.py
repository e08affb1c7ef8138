"""Syntax errors, and the shapes of `rules.py`, by ast-grep's parsers."""

from collections.abc import Iterator
from textwrap import dedent
from typing import Any

from ast_grep_py import SgNode, SgRoot

from worker.review.findings import Finding
from worker.review.language import PYTHON, language_by_name
from worker.review.rules import RULES, Rule
from worker.review.source import Fragment, ReviewSource

#: Ruff says it better.
_LINTED_ELSEWHERE = PYTHON.name


def pattern_findings(source: ReviewSource) -> Iterator[Finding]:
    language = language_by_name(source.language or "")
    if language is None or language.grammar is None or language.name == _LINTED_ELSEWHERE:
        return
    rules = [rule for rule in RULES if language.grammar in rule.languages]
    for fragment in source.fragments:
        root = SgRoot(dedent(fragment.text), language.grammar).root()
        if source.complete and (broken := _syntax_error(root)) is not None:
            yield _finding(source, fragment, broken, _SYNTAX)
        for rule in rules:
            for node in _found(root, rule):
                yield _finding(source, fragment, node, rule)


_SYNTAX = Rule("syntax", (), "", "high", "syntax", "The code cannot be parsed from here on.")


def _syntax_error(root: SgNode) -> SgNode | None:
    return root.find(kind="ERROR")


def _found(root: SgNode, rule: Rule) -> list[SgNode]:
    if isinstance(rule.match, str):
        return root.find_all(pattern=rule.match)
    config: Any = rule.match
    return root.find_all(config)


def _finding(source: ReviewSource, fragment: Fragment, node: SgNode, rule: Rule) -> Finding:
    place = node.range()
    return Finding(
        path=source.path,
        line=fragment.start + place.start.line,
        end_line=fragment.start + place.end.line,
        severity=rule.severity,
        category=rule.category,
        rule=f"shape:{rule.name}",
        message=rule.message,
    )
