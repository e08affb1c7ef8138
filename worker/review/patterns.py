"""Finds syntax errors and the patterns of `rules.py` with ast-grep."""

from collections.abc import Iterator
from textwrap import dedent
from typing import Any

from ast_grep_py import SgNode, SgRoot

from worker.review.findings import Finding
from worker.review.language import PYTHON, language_by_name
from worker.review.rules import RULES, Rule
from worker.review.source import Fragment, ReviewSource

#: Ruff checks this language.
_LINTED_ELSEWHERE = PYTHON.name


def pattern_findings(source: ReviewSource) -> Iterator[Finding]:
    language = language_by_name(source.language or "")
    if language is None or language.grammar is None or language.name == _LINTED_ELSEWHERE:
        return
    rules = [rule for rule in RULES if language.grammar in rule.languages]
    for fragment in source.fragments:
        root = SgRoot(dedent(fragment.text), language.grammar).root()
        if source.complete and (error := _syntax_error(root)) is not None:
            yield _finding(source, fragment, error, _SYNTAX)
        for rule in rules:
            for node in _matches(root, rule):
                yield _finding(source, fragment, node, rule)


_SYNTAX = Rule("syntax", (), "", "high", "syntax", "The code cannot be parsed from this point on.")


def _syntax_error(root: SgNode) -> SgNode | None:
    return root.find(kind="ERROR")


def _matches(root: SgNode, rule: Rule) -> list[SgNode]:
    if isinstance(rule.match, str):
        return root.find_all(pattern=rule.match)
    config: Any = rule.match
    return root.find_all(config)


def _finding(source: ReviewSource, fragment: Fragment, node: SgNode, rule: Rule) -> Finding:
    span = node.range()
    return Finding(
        path=source.path,
        line=fragment.start + span.start.line,
        end_line=fragment.start + span.end.line,
        severity=rule.severity,
        category=rule.category,
        rule=f"shape:{rule.name}",
        message=rule.message,
    )
