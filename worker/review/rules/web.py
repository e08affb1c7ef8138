"""Rules for JavaScript, TypeScript, PHP, HTML and CSS."""

from worker.review.rules.rule import (
    ASSIGNS,
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
    empty,
    field,
    inside,
    kind,
    without,
)

_JS = ("javascript", "typescript", "tsx")
_PHP = ("php",)
_HTML = ("html",)
_CSS = ("css",)

#: A text without values.
_FIXED = "^(\"[^\"]*\"|'[^']*'|`[^`$]*`)$"
_SCRIPTING = "HTML is built from values (cross-site scripting). Use textContent or a sanitizer."

JAVASCRIPT_RULES = (
    Rule(
        "eval",
        _JS,
        both(
            kind("call_expression"),
            field("function", "^eval$"),
            without(field("arguments", r"^\((\"[^\"]*\"|'[^']*')\)$")),
        ),
        "high",
        "security",
        INJECTED,
    ),
    Rule("new-function", _JS, "new Function($$$)", "high", "security", INJECTED),
    Rule(
        "inner-html",
        _JS,
        both(
            kind("assignment_expression"),
            field("left", r"\.(inner|outer)HTML$"),
            without(field("right", _FIXED)),
        ),
        "high",
        "security",
        _SCRIPTING,
    ),
    Rule(
        "document-write",
        _JS,
        either({"pattern": "document.write($$$)"}, {"pattern": "document.writeln($$$)"}),
        "medium",
        "security",
        "document.write blocks the page and can inject HTML. Create DOM nodes instead.",
    ),
    Rule(
        "dangerous-html",
        ("javascript", "tsx"),
        kind("jsx_attribute", "^dangerouslySetInnerHTML"),
        "medium",
        "security",
        "Raw HTML is inserted into the page. Sanitize it first.",
    ),
    Rule("empty-catch", _JS, empty("catch_clause"), "medium", "bug", SWALLOWED),
    Rule(
        "assignment-in-condition",
        _JS,
        both(
            kind("assignment_expression"),
            without(
                {
                    "has": {
                        "field": "right",
                        "any": [kind("call_expression"), kind("await_expression")],
                    }
                }
            ),
            {"inside": {"kind": "parenthesized_expression", "inside": kind("if_statement")}},
        ),
        "high",
        "bug",
        ASSIGNS,
    ),
    Rule(
        "loose-equality",
        _JS,
        both(
            kind("binary_expression"),
            field("operator", "^(==|!=)$"),
            without({"has": kind("null")}),
            without({"has": kind("undefined")}),
            without({"has": both(kind("unary_expression"), field("operator", "^typeof$"))}),
        ),
        "low",
        "bug",
        "`==` converts its operands before comparing them. Use `===`.",
    ),
    Rule(
        "compares-with-nan",
        _JS,
        both(
            kind("binary_expression"),
            field("operator", "^[!=]==?$"),
            either(field("left", r"^(Number\.)?NaN$"), field("right", r"^(Number\.)?NaN$")),
        ),
        "high",
        "bug",
        "A comparison with NaN is always false. Use Number.isNaN.",
    ),
    Rule("debugger", _JS, kind("debugger_statement"), "medium", "bug", "Remove this breakpoint."),
    Rule(
        "async-foreach",
        _JS,
        both(
            kind("call_expression"),
            field("function", r"\.forEach$"),
            field("arguments", r"^\(\s*async\b"),
        ),
        "high",
        "bug",
        "forEach does not await promises. Use `for … of` with await, or Promise.all.",
    ),
    Rule(
        "sql-from-text",
        _JS,
        either(
            both(
                kind("template_string", rf"(?s)^`\s*{SQL}[^`]*\$\{{"),
                {"inside": {"kind": "arguments"}},
            ),
            both(
                kind("binary_expression", rf"(?s)^[\"']\s*{SQL}.*[\"']\s*\+"),
                {"inside": {"kind": "arguments"}},
            ),
        ),
        "high",
        "security",
        SQL_INJECTION,
    ),
    Rule(
        "shell-command",
        _JS,
        both(
            kind("call_expression"),
            field("function", r"^(child_process\.)?(exec|execSync)$"),
            field("arguments", r"(?s)^\(\s*(`[^`]*\$\{|[\"'][^\"']*[\"']\s*\+)"),
        ),
        "high",
        "security",
        "Values become part of a shell command (command injection). Use execFile with a list.",
    ),
    Rule(
        "insecure-tls",
        _JS,
        either(
            kind("pair", r"^[\"']?rejectUnauthorized[\"']?\s*:\s*false$"),
            kind("assignment_expression", r"NODE_TLS_REJECT_UNAUTHORIZED\W+=\s*[\"'`]?0"),
        ),
        "high",
        "security",
        "Certificates are not verified, so anyone on the network can read and change the traffic.",
    ),
)


def _php_call(names: str) -> Match:
    return both(kind("function_call_expression"), field("function", rf"^(?i:{names})$"))


PHP_RULES = (
    Rule("eval", _PHP, _php_call("eval|create_function"), "high", "security", INJECTED),
    Rule("empty-catch", _PHP, empty("catch_clause"), "medium", "bug", SWALLOWED),
    Rule(
        "sql-from-text",
        _PHP,
        both(
            either(
                kind("encapsed_string", rf"(?s)^\"\s*{SQL}.*\$"),
                kind("binary_expression", rf"(?s)^[\"']\s*{SQL}.*[\"']\s*\.\s*[$\w]"),
            ),
            {"inside": kind("argument")},
        ),
        "high",
        "security",
        SQL_INJECTION,
    ),
    Rule(
        "shell-command",
        _PHP,
        both(
            _php_call("exec|system|shell_exec|passthru|popen|proc_open"),
            field("arguments", r"\$"),
            without(field("arguments", "escapeshell")),
        ),
        "medium",
        "security",
        SHELL,
    ),
    Rule(
        "prints-request",
        _PHP,
        both(
            either(kind("echo_statement"), kind("print_intrinsic")),
            {"regex": r"\$_(GET|POST|REQUEST|COOKIE)\b"},
            without(
                {"regex": r"htmlspecialchars|htmlentities|intval|json_encode|urlencode|\(int\)"}
            ),
        ),
        "high",
        "security",
        "A value of the request is printed as HTML (cross-site scripting). Use htmlspecialchars.",
    ),
    Rule(
        "includes-request",
        _PHP,
        both(
            either(
                kind("include_expression"),
                kind("include_once_expression"),
                kind("require_expression"),
                kind("require_once_expression"),
            ),
            {"regex": r"\$_(GET|POST|REQUEST|COOKIE)\b"},
        ),
        "high",
        "security",
        "A value of the request chooses the file that is executed. Use a list of allowed files.",
    ),
    Rule(
        "unserialize",
        _PHP,
        both(_php_call("unserialize"), without(field("arguments", "allowed_classes"))),
        "medium",
        "security",
        DESERIALIZED,
    ),
    Rule(
        "weak-hash",
        _PHP,
        both(_php_call("md5|sha1"), field("arguments", r"(?i)passw|pwd|secret")),
        "high",
        "security",
        "MD5 and SHA-1 are too fast for passwords. Use password_hash.",
    ),
)


def _tag(names: str) -> Match:
    return both(
        either(kind("start_tag"), kind("self_closing_tag")), {"regex": rf"(?i)^<({names})[\s>/]"}
    )


def _attribute(name: str, value: str = "") -> Match:
    return {"has": kind("attribute", rf"(?i)^{name}(\s*=\s*[\"']?{value}|$)")}


HTML_RULES = (
    Rule(
        "insecure-resource",
        _HTML,
        both(
            _tag("script|link|iframe|img|form|object|embed"),
            either(
                _attribute("(src|data|action)", "http://"),
                both(_tag("link"), _attribute("href", "http://")),
            ),
        ),
        "medium",
        "security",
        "This is loaded or sent without encryption, so it can be read and changed. Use https.",
    ),
    Rule(
        "script-url",
        _HTML,
        kind("attribute", r"(?i)^(href|src|action)\s*=\s*[\"']?\s*javascript:"),
        "medium",
        "security",
        "A javascript: URL executes code. Use a button with an event listener.",
    ),
    Rule(
        "inline-handler",
        _HTML,
        kind(
            "attribute",
            r"(?i)^on(click|load|error|submit|change|input|mouse\w+|key\w+|focus|blur)\s*=",
        ),
        "low",
        "security",
        "An inline event handler requires a weak Content Security Policy. Use addEventListener.",
    ),
    Rule(
        "unprotected-opener",
        _HTML,
        both(_tag("a|area|form"), _attribute("target", "_blank"), without(_attribute("rel"))),
        "low",
        "security",
        'Older browsers give the opened page control over this one. Add rel="noopener".',
    ),
    Rule(
        "missing-alt",
        _HTML,
        both(_tag("img"), without(_attribute("alt"))),
        "low",
        "bug",
        'Screen readers cannot describe this image. Add alt, or alt="" if it is decoration.',
    ),
    Rule(
        "missing-lang",
        _HTML,
        both(_tag("html"), without(_attribute("(xml:)?lang"))),
        "low",
        "bug",
        "Screen readers and translators need the language of the page. Add lang.",
    ),
)

CSS_RULES = (
    Rule(
        "code-in-style",
        _CSS,
        either(
            kind("call_expression", r"(?i)^expression\s*\("),
            kind("call_expression", r"(?i)^url\s*\(\s*[\"']?\s*javascript:"),
        ),
        "high",
        "security",
        "Some browsers execute this as code. Remove it.",
    ),
    Rule(
        "insecure-resource",
        _CSS,
        either(
            kind("call_expression", r"(?i)^url\s*\(\s*[\"']?\s*http://"),
            kind("import_statement", "http://"),
        ),
        "medium",
        "security",
        "This is loaded without encryption, so it can be read and changed. Use https.",
    ),
    Rule(
        "invalid-color",
        _CSS,
        both(
            kind("color_value", "^#"),
            without({"regex": r"^#([0-9a-fA-F]{3,4}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})$"}),
        ),
        "medium",
        "bug",
        "Browsers ignore this color. Write 3, 4, 6 or 8 hexadecimal digits.",
    ),
    Rule(
        "removes-outline",
        _CSS,
        both(
            kind("declaration", r"(?i)^outline\s*:\s*(none|0(px)?)\s*(!important)?\s*;?$"),
            inside(kind("rule_set", "(?i)^[^{]*:focus")),
        ),
        "low",
        "bug",
        "Keyboard users cannot see the focus. Style :focus-visible instead.",
    ),
    Rule(
        "empty-rule",
        _CSS,
        both(kind("rule_set"), {"has": kind("block", r"^\{\s*\}$")}),
        "low",
        "style",
        "This rule does nothing. Remove it.",
    ),
)

WEB_RULES = (*JAVASCRIPT_RULES, *PHP_RULES, *HTML_RULES, *CSS_RULES)
