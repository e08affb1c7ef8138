"""ast-grep rules for dangerous patterns in languages other than Python.

`match` is an ast-grep pattern or a rule configuration. Each message states the problem and a fix.
The list contains only patterns that are almost always wrong, to avoid false positives.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from worker.review.findings import Category, Severity


class Rule(NamedTuple):
    name: str
    languages: tuple[str, ...]
    match: str | Mapping[str, Any]
    severity: Severity
    category: Category
    message: str


_JS = ("javascript", "typescript", "tsx")
_C = ("c", "cpp")


def _call(name: str) -> Mapping[str, Any]:
    return {"rule": {"kind": "call_expression", "has": {"field": "function", "regex": f"^{name}$"}}}


def _empty(kind: str, *, body: str = "body") -> Mapping[str, Any]:
    """Match a clause with an empty block. A block with a comment is not empty."""
    return {"rule": {"kind": kind, "has": {"field": body, "regex": r"^\{\s*\}$"}}}


def _assigns(condition: str) -> Mapping[str, Any]:
    inside = {"kind": condition, "inside": {"kind": "if_statement"}}
    return {"rule": {"kind": "assignment_expression", "inside": inside}}


_ASSIGNS = "This condition contains an assignment. Compare instead, or assign before the condition."
_SWALLOWED = "The error is ignored. Handle it, log it, or explain in a comment why not."
_INJECTED = "This executes text as code (code injection). Do not pass values that users control."
_OVERFLOW = "This can write past the end of the buffer. Use a function that takes its size."

RULES: tuple[Rule, ...] = (
    Rule("eval", _JS, "eval($$$)", "high", "security", _INJECTED),
    Rule("new-function", _JS, "new Function($$$)", "high", "security", _INJECTED),
    Rule(
        "inner-html",
        _JS,
        {
            "rule": {"pattern": "$A.innerHTML = $B"},
            "constraints": {"B": {"not": {"regex": "^(\"[^\"]*\"|'[^']*'|`[^`$]*`)$"}}},
        },
        "high",
        "security",
        "HTML is built from values (cross-site scripting). Use textContent or a sanitizer.",
    ),
    Rule(
        "document-write",
        _JS,
        "document.write($$$)",
        "medium",
        "security",
        "document.write blocks the page and can inject HTML. Create DOM nodes instead.",
    ),
    Rule(
        "dangerous-html",
        ("javascript", "tsx"),
        {"rule": {"kind": "jsx_attribute", "regex": "^dangerouslySetInnerHTML"}},
        "medium",
        "security",
        "Raw HTML is inserted into the page. Sanitize it first.",
    ),
    Rule("empty-catch", _JS, _empty("catch_clause"), "medium", "bug", _SWALLOWED),
    Rule(
        "assignment-in-condition",
        _JS,
        _assigns("parenthesized_expression"),
        "high",
        "bug",
        _ASSIGNS,
    ),
    Rule(
        "loose-equality",
        _JS,
        {
            "rule": {
                "kind": "binary_expression",
                "has": {"field": "operator", "regex": "^(==|!=)$"},
                "not": {"has": {"kind": "null"}},
            }
        },
        "low",
        "bug",
        "`==` converts its operands before comparing them. Use `===`.",
    ),
    Rule(
        "compares-with-nan",
        _JS,
        {"rule": {"any": [{"pattern": "$A === NaN"}, {"pattern": "$A == NaN"}]}},
        "high",
        "bug",
        "A comparison with NaN is always false. Use Number.isNaN.",
    ),
    Rule(
        "debugger",
        _JS,
        "debugger",
        "medium",
        "bug",
        "Remove this leftover breakpoint.",
    ),
    Rule(
        "async-foreach",
        _JS,
        {
            "rule": {
                "pattern": "$A.forEach($F)",
                "has": {"kind": "arguments", "has": {"regex": "^async"}},
            }
        },
        "high",
        "bug",
        "forEach does not await promises. Use `for … of` with await, or Promise.all.",
    ),
    Rule(
        "sql-from-text",
        _JS,
        {
            "rule": {
                "kind": "template_string",
                "regex": "(?i)^`\\s*(select|insert|update|delete)\\b[^`]*\\$\\{",
                "inside": {"kind": "arguments"},
            }
        },
        "high",
        "security",
        "SQL is built from values (SQL injection). Pass them as parameters.",
    ),
    Rule(
        "ignored-error",
        ("go",),
        {
            "rule": {
                "any": [
                    {"kind": "short_var_declaration", "regex": r", _ :?= \w[\w.]*\("},
                    {"kind": "assignment_statement", "regex": r"^_ = \w[\w.]*\("},
                ]
            }
        },
        "medium",
        "bug",
        "The last result, usually the error, is discarded. Check it.",
    ),
    Rule(
        "empty-error-check",
        ("go",),
        {
            "rule": {
                "kind": "if_statement",
                "all": [
                    {"has": {"field": "condition", "regex": "!= nil$"}},
                    {"has": {"field": "consequence", "regex": r"^\{\s*\}$"}},
                ],
            }
        },
        "medium",
        "bug",
        _SWALLOWED,
    ),
    Rule(
        "unwrap",
        ("rust",),
        "$A.unwrap()",
        "low",
        "bug",
        "This panics without a value. Use `?`, or `expect` with the reason why a value exists.",
    ),
    Rule(
        "unsafe",
        ("rust",),
        {"rule": {"kind": "unsafe_block"}},
        "medium",
        "security",
        "Unsafe block. Document the invariants that make it sound.",
    ),
    Rule("empty-catch", ("java",), _empty("catch_clause"), "medium", "bug", _SWALLOWED),
    Rule("empty-catch", ("csharp",), _empty("catch_clause"), "medium", "bug", _SWALLOWED),
    Rule("empty-catch", ("php",), _empty("catch_clause"), "medium", "bug", _SWALLOWED),
    Rule(
        "prints-stack-trace",
        ("java",),
        "$A.printStackTrace()",
        "low",
        "bug",
        "The stack trace goes to stderr. Log the exception instead.",
    ),
    Rule(
        "compares-texts-by-identity",
        ("java",),
        {
            "rule": {
                "kind": "binary_expression",
                "has": {"kind": "string_literal"},
                "regex": "(==|!=)",
            }
        },
        "high",
        "bug",
        "`==` compares object identity, not content. Use equals.",
    ),
    Rule("gets", _C, _call("gets"), "high", "security", _OVERFLOW),
    Rule(
        "unbounded-copy",
        _C,
        _call("(strcpy|strcat|sprintf|vsprintf)"),
        "high",
        "security",
        _OVERFLOW,
    ),
    Rule(
        "shell-command",
        _C,
        _call("(system|popen)"),
        "medium",
        "security",
        "This runs a shell command (command injection). Do not pass values that users control.",
    ),
    Rule(
        "assignment-in-condition",
        ("c",),
        _assigns("parenthesized_expression"),
        "high",
        "bug",
        _ASSIGNS,
    ),
    Rule(
        "assignment-in-condition", ("cpp",), _assigns("condition_clause"), "high", "bug", _ASSIGNS
    ),
    Rule("eval", ("ruby",), "eval($$$)", "high", "security", _INJECTED),
    Rule(
        "eval",
        ("php",),
        {
            "rule": {
                "kind": "function_call_expression",
                "has": {"field": "function", "regex": "^eval$"},
            }
        },
        "high",
        "security",
        _INJECTED,
    ),
    Rule(
        "force-unwrap",
        ("kotlin",),
        "$A!!",
        "low",
        "bug",
        "This throws without a value. Use `?.`, `?:`, or requireNotNull with a message.",
    ),
    Rule(
        "eval",
        ("bash",),
        {"rule": {"kind": "command", "has": {"field": "name", "regex": "^eval$"}}},
        "high",
        "security",
        _INJECTED,
    ),
    Rule(
        "pipe-to-shell",
        ("bash",),
        {"rule": {"kind": "pipeline", "regex": r"\b(curl|wget)\b[^|]*\|\s*(sudo\s+)?(ba|z)?sh\b"}},
        "high",
        "security",
        "This runs an unchecked download. Download it, verify it, then run it.",
    ),
    Rule(
        "removes-a-variable",
        ("bash",),
        {"rule": {"kind": "command", "regex": r"^rm\s+(-\w+\s+)*-\w*r\w*\s.*\$\w+/"}},
        "medium",
        "bug",
        "If the variable is empty, this deletes from the root directory. Write ${name:?}.",
    ),
)
