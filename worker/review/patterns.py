"""Finds syntax errors, duplicate keys and the patterns of `rules` with ast-grep."""

import json
from collections import Counter
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
        if source.complete and (error := _syntax_error(root, language.grammar)) is not None:
            yield _finding(source, fragment, error, _SYNTAX)
        elif source.complete and language.grammar == "json":
            yield from _json_findings(source, fragment)
        for key in _duplicate_keys(root, language.grammar):
            yield _finding(source, fragment, key, _DUPLICATE_KEY)
        for rule in rules:
            for node in _matches(root, rule):
                yield _finding(source, fragment, node, rule)


#: Not a high finding: grammars lack the newest syntax, macros and the languages of templates.
_SYNTAX = Rule(
    "syntax", (), "", "medium", "syntax", "The parser does not accept this. Check the syntax."
)


_DUPLICATE_KEY = Rule(
    "duplicate-key", (), "", "medium", "bug", "This key appears twice, so one value is lost."
)
#: Their macros are not expanded, so correct code can be unparsable.
_WITH_MACROS = ("c", "cpp")
_PAIRS = {"json": "pair", "yaml": "block_mapping_pair"}


def _json_findings(source: ReviewSource, fragment: Fragment) -> Iterator[Finding]:
    """Find the errors that the tolerant grammar repairs."""
    try:
        json.loads(fragment.text)
    except json.JSONDecodeError as error:
        yield _finding_at(source, error.lineno, error.lineno, _SYNTAX)
    except RecursionError:
        return


def _duplicate_keys(root: SgNode, grammar: str) -> Iterator[SgNode]:
    """Yield the keys of JSON and YAML that occur again in the same object."""
    if grammar not in _PAIRS:
        return
    seen: Counter[tuple[int, int, str]] = Counter()
    for pair in root.find_all(kind=_PAIRS[grammar]):
        key, parent = pair.field("key"), pair.parent()
        if key is not None and parent is not None and key.text() != "<<":
            span = parent.range()
            seen[identity := (span.start.index, span.end.index, key.text())] += 1
            if seen[identity] == 2:
                yield key


def _syntax_error(root: SgNode, grammar: str) -> SgNode | None:
    return None if grammar in _WITH_MACROS else root.find(kind="ERROR")


def _matches(root: SgNode, rule: Rule) -> list[SgNode]:
    if isinstance(rule.match, str):
        return root.find_all(pattern=rule.match)
    config: Any = {"rule": rule.match}
    return root.find_all(config)


def _finding(source: ReviewSource, fragment: Fragment, node: SgNode, rule: Rule) -> Finding:
    span = node.range()
    start = fragment.start
    return _finding_at(source, start + span.start.line, start + span.end.line, rule)


def _finding_at(source: ReviewSource, line: int, end_line: int, rule: Rule) -> Finding:
    return Finding(
        path=source.path,
        line=line,
        end_line=end_line,
        severity=rule.severity,
        category=rule.category,
        rule=f"shape:{rule.name}",
        message=rule.message,
    )
