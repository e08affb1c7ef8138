"""Rules for Ruby, Lua and shell scripts."""

from worker.review.rules.rule import (
    DESERIALIZED,
    INJECTED,
    SHELL,
    SQL,
    SQL_INJECTION,
    SWALLOWED,
    Match,
    Rule,
    both,
    either,
    field,
    inside,
    kind,
    without,
)

_RUBY = ("ruby",)
_LUA = ("lua",)
_BASH = ("bash",)

_INTERPOLATED = r"#\{"

RUBY_RULES = (
    Rule(
        "eval",
        _RUBY,
        both(
            kind("call"),
            field("method", "^(eval|instance_eval|class_eval)$"),
            field("arguments", r"^\(?\s*([a-z_@]|\"[^\"]*#\{)"),
        ),
        "high",
        "security",
        INJECTED,
    ),
    Rule(
        "shell-command",
        _RUBY,
        either(
            kind("subshell", _INTERPOLATED),
            both(
                kind("call"),
                field("method", "^(system|exec|spawn|popen)$"),
                field("arguments", r"^\(?\s*\"[^\"]*#\{[^\"]*\"\s*\)?$"),
            ),
        ),
        "high",
        "security",
        SHELL,
    ),
    Rule(
        "sql-from-text",
        _RUBY,
        both(
            kind("call"),
            field("method", "^(where|find_by_sql|execute|exec_query|select_all|order|query)$"),
            field(
                "arguments", rf"(?s)^\(?\s*\"([^\"]*[\w.]+\s*(=|<|>|LIKE|IN)|\s*{SQL})[^\"]*#\{{"
            ),
        ),
        "high",
        "security",
        SQL_INJECTION,
    ),
    Rule(
        "empty-rescue",
        _RUBY,
        both(
            kind("rescue"),
            without({"has": {"field": "body", "regex": r"\S"}}),
            without({"has": kind("comment")}),
        ),
        "medium",
        "bug",
        SWALLOWED,
    ),
    Rule(
        "rescues-everything",
        _RUBY,
        both(kind("rescue"), field("exceptions", r"^Exception$")),
        "medium",
        "bug",
        "This also rescues exit and interrupts. Rescue StandardError.",
    ),
    Rule(
        "deserialization",
        _RUBY,
        both(
            kind("call"),
            field("receiver", "^(Marshal|YAML|Psych)$"),
            field("method", "^(load|restore|unsafe_load)$"),
        ),
        "medium",
        "security",
        DESERIALIZED,
    ),
    Rule(
        "debugger",
        _RUBY,
        either(
            both(
                kind("call"), field("receiver", "^binding$"), field("method", "^(pry|irb|break)$")
            ),
            kind("identifier", "^(byebug)$"),
        ),
        "medium",
        "bug",
        "Remove this breakpoint.",
    ),
)


def _lua_call(names: str, arguments: str = "") -> Match:
    called = both(kind("function_call"), field("name", rf"^({names})$"))
    return both(called, field("arguments", arguments)) if arguments else called


LUA_RULES = (
    Rule(
        "eval",
        _LUA,
        _lua_call(
            "load|loadstring|dostring", r"^\(\s*([a-z_][\w.]*\s*[),.]|[\"'][^\"']*[\"']\s*\.\.)"
        ),
        "high",
        "security",
        INJECTED,
    ),
    Rule(
        "shell-command",
        _LUA,
        _lua_call(r"os\.execute|io\.popen", r"\.\.|^\(\s*[a-z_]|:format\("),
        "medium",
        "security",
        SHELL,
    ),
    Rule(
        "sql-from-text",
        _LUA,
        both(
            kind("binary_expression", rf"(?s)^[\"'\[]+\s*{SQL}.*\.\.\s*[\w(]"),
            inside(kind("arguments")),
        ),
        "high",
        "security",
        SQL_INJECTION,
    ),
    Rule(
        "ignored-error",
        _LUA,
        both(_lua_call("pcall|xpcall"), {"inside": either(kind("block"), kind("chunk"))}),
        "medium",
        "bug",
        SWALLOWED,
    ),
    Rule(
        "loop-from-zero",
        _LUA,
        kind("for_numeric_clause", r"^\w+\s*=\s*0\s*,\s*#"),
        "medium",
        "bug",
        "The first element of a Lua table is number 1.",
    ),
    Rule(
        "compares-with-nan",
        _LUA,
        kind("binary_expression", r"^\S+\s*[=~]=\s*\(?0\s*/\s*0\)?$"),
        "high",
        "bug",
        "A comparison with NaN is always false. Write `x ~= x`.",
    ),
)

BASH_RULES = (
    Rule(
        "eval",
        _BASH,
        both(
            kind("command"),
            field("name", "^eval$"),
            {"regex": r"\$"},
            without({"regex": r"^eval\s+\"?\$\([^$]*\)\"?$"}),
        ),
        "high",
        "security",
        INJECTED,
    ),
    Rule(
        "pipe-to-shell",
        _BASH,
        kind("pipeline", r"\b(curl|wget)\b[^|]*\|\s*(sudo\s+)?(ba|z)?sh\b"),
        "high",
        "security",
        "This runs an unchecked download. Download it, verify it, then run it.",
    ),
    Rule(
        "removes-a-variable",
        _BASH,
        kind("command", r"^(sudo\s+)?rm\s+(-\w+\s+)*-\w*r\w*\s.*\"?\$(\w+|\{\w+\})\"?/"),
        "medium",
        "bug",
        "If the variable is empty, this deletes from the root directory. Write ${name:?}.",
    ),
    Rule(
        "insecure-tls",
        _BASH,
        either(
            kind("command", r"^curl\s(.*\s)?(-\w*k\w*|--insecure)(\s|$)"),
            kind("command", r"^wget\s(.*\s)?--no-check-certificate(\s|$)"),
        ),
        "high",
        "security",
        "Certificates are not verified, so anyone on the network can change the download.",
    ),
    Rule(
        "open-permissions",
        _BASH,
        kind("command", r"^(sudo\s+)?chmod\s+(-\w+\s+)*(0?777|a\+rwx|ugo\+rwx)\s"),
        "medium",
        "security",
        "Every user can change these files. Grant only what is needed.",
    ),
    Rule(
        "loops-over-ls",
        _BASH,
        both(
            kind("for_statement"),
            {"has": kind("command_substitution", r"^(\$\(|`)\s*(ls|find)\b")},
        ),
        "low",
        "bug",
        "File names with blanks are split. Loop over a pattern such as *.txt.",
    ),
    Rule(
        "predictable-file",
        _BASH,
        either(
            kind("string", r"^\"/tmp/[^\"]*\$\$"),
            kind("concatenation", r"^/tmp/.*\$\$"),
        ),
        "medium",
        "security",
        "Another user can create this file first. Use mktemp.",
    ),
)

SCRIPT_RULES = (*RUBY_RULES, *LUA_RULES, *BASH_RULES)
