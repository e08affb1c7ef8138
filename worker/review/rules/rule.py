"""A pattern of code that is a problem, and the building blocks of patterns."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from worker.review.findings import Category, Severity

Match = Mapping[str, Any]


class Rule(NamedTuple):
    name: str
    languages: tuple[str, ...]
    #: An ast-grep pattern, or the object `rule` of an ast-grep rule.
    match: str | Match
    severity: Severity
    category: Category
    #: The problem, and a fix.
    message: str


#: The beginning of an SQL statement.
SQL = r"(?i:select\s.*\sfrom|insert\s+into|update\s.*\sset|delete\s+from)\b"

SWALLOWED = "The error is ignored. Handle it, log it, or explain in a comment why not."
INJECTED = "This executes text as code (code injection). Do not pass values that users control."
SQL_INJECTION = "SQL is built from values (SQL injection). Pass them as parameters."
SHELL = "This runs a shell command (command injection). Do not pass values that users control."
WEAK_HASH = "MD5 and SHA-1 are broken. Use SHA-256, or a password hash for passwords."
DESERIALIZED = "Deserializing untrusted data can execute code. Use a data format such as JSON."
ASSIGNS = "This condition contains an assignment. Compare instead, or assign before the condition."


def kind(name: str, regex: str | None = None) -> Match:
    """Match nodes of a kind, whose text contains a regular expression."""
    return {"kind": name} if regex is None else {"kind": name, "regex": regex}


def both(*matches: Match) -> Match:
    return {"all": list(matches)}


def either(*matches: Match) -> Match:
    return {"any": list(matches)}


def without(match: Match) -> Match:
    return {"not": match}


def has(match: Match) -> Match:
    """Match nodes with such a node anywhere in them."""
    return {"has": {**match, "stopBy": "end"}}


def inside(match: Match) -> Match:
    """Match nodes that are anywhere in such a node."""
    return {"inside": {**match, "stopBy": "end"}}


def field(name: str, regex: str) -> Match:
    """Match nodes whose field has a text that matches a regular expression."""
    return {"has": {"field": name, "regex": regex}}


def empty(name: str, *, body: str = "body") -> Match:
    """Match a clause with an empty block. A block with a comment is not empty."""
    return both(kind(name), field(body, r"^\{\s*\}$"))
