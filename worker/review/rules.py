"""What is looked for by shape in languages other than Python, as rules of ast-grep.

A rule is one of its patterns, or a config of its rule language; each names what is wrong and the
way out. Only what is wrong nearly always stands here: a review that cries wolf is not read.
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
    """A clause whose block holds nothing, not even a comment that says why."""
    return {"rule": {"kind": kind, "has": {"field": body, "regex": r"^\{\s*\}$"}}}


def _assigns(condition: str) -> Mapping[str, Any]:
    inside = {"kind": condition, "inside": {"kind": "if_statement"}}
    return {"rule": {"kind": "assignment_expression", "inside": inside}}


_ASSIGNS = "This condition assigns: a comparison is meant, or the assignment belongs before it."
_SWALLOWED = "The error is swallowed: handle it, log it, or say in a comment why not."
_INJECTED = "Text becomes code here: whoever controls it controls the program."
_OVERFLOW = "Writes past the end of its buffer when the text is longer; use a bounded function."

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
        "HTML is put together from values (cross-site scripting); use textContent or a sanitizer.",
    ),
    Rule(
        "document-write",
        _JS,
        "document.write($$$)",
        "medium",
        "security",
        "document.write blocks the page and injects what it is given; build nodes instead.",
    ),
    Rule(
        "dangerous-html",
        ("javascript", "tsx"),
        {"rule": {"kind": "jsx_attribute", "regex": "^dangerouslySetInnerHTML"}},
        "medium",
        "security",
        "Raw HTML is put into the page: sanitize it first.",
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
        "`==` converts its operands before it compares them; use `===`.",
    ),
    Rule(
        "compares-with-nan",
        _JS,
        {"rule": {"any": [{"pattern": "$A === NaN"}, {"pattern": "$A == NaN"}]}},
        "high",
        "bug",
        "Nothing equals NaN: use Number.isNaN.",
    ),
    Rule("debugger", _JS, "debugger", "medium", "bug", "A breakpoint was left in."),
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
        "forEach does not wait for promises: use `for … of` with await, or Promise.all.",
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
        "SQL is put together from values (injection): pass them as parameters.",
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
        "The last result, which is the error by custom, is thrown away.",
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
        "Panics where there is no value: use `?`, or `expect` with the reason why there is one.",
    ),
    Rule(
        "unsafe",
        ("rust",),
        {"rule": {"kind": "unsafe_block"}},
        "medium",
        "security",
        "Unsafe code: a comment must say which invariants make it sound.",
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
        "The trace goes to stderr and is lost: log it with its cause.",
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
        "`==` compares identities, not texts: use equals.",
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
        "Runs a shell: whoever controls a part of the text runs commands.",
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
        "Throws where there is no value: use `?.`, `?:` or requireNotNull with a reason.",
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
        "Runs whatever the other side sends: download it, check it, then run it.",
    ),
    Rule(
        "removes-a-variable",
        ("bash",),
        {"rule": {"kind": "command", "regex": r"^rm\s+(-\w+\s+)*-\w*r\w*\s.*\$\w+/"}},
        "medium",
        "bug",
        "With the variable empty this removes from the root: write ${name:?}.",
    ),
)
