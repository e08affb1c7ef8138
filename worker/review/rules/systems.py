"""Rules for C, C++, Go, Rust, Swift and Solidity."""

from worker.review.rules.rule import (
    ASSIGNS,
    SHELL,
    SQL,
    SQL_INJECTION,
    SWALLOWED,
    WEAK_HASH,
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

_C = ("c", "cpp")
_GO = ("go",)
_RUST = ("rust",)
_SWIFT = ("swift",)
_SOLIDITY = ("solidity",)

_OVERFLOW = "This can write past the end of the buffer. Use a function that takes its size."
_INSECURE_TLS = "Certificates are not verified, so anyone on the network can read the traffic."


def _call(names: str, arguments: str = "") -> Match:
    called = both(kind("call_expression"), field("function", rf"^(std::)?({names})$"))
    return both(called, field("arguments", arguments)) if arguments else called


def _assigns(condition: Match) -> Match:
    return both(
        kind("assignment_expression"),
        field("operator", "^=$"),
        without({"has": {"field": "right", "kind": "call_expression"}}),
        {"inside": {**condition, "inside": kind("if_statement")}},
    )


C_RULES = (
    Rule("gets", _C, _call("gets"), "high", "security", _OVERFLOW),
    Rule(
        "unbounded-copy",
        _C,
        either(
            both(_call("strcpy|strcat"), without(field("arguments", r",\s*L?\"[^\"]*\"\s*\)$"))),
            _call("sprintf|vsprintf", r"(?s)\"[^\"]*%[-0-9]*s[^\"]*\"|,\s*\w+\s*\)$"),
            _call("scanf|fscanf|sscanf", r"\"[^\"]*%s"),
        ),
        "high",
        "security",
        _OVERFLOW,
    ),
    Rule(
        "format-from-value",
        _C,
        either(
            _call("printf|vprintf", r"^\(\s*\w+\s*\)$"),
            _call("fprintf|syslog", r"^\(\s*\w+\s*,\s*\w+\s*\)$"),
        ),
        "high",
        "security",
        'The value is used as a format (format string attack). Write printf("%s", value).',
    ),
    Rule(
        "shell-command",
        _C,
        both(_call("system|popen"), without(field("arguments", r"^\(\s*\"[^\"]*\""))),
        "medium",
        "security",
        SHELL,
    ),
    Rule(
        "predictable-file",
        _C,
        _call("tmpnam|tempnam|mktemp"),
        "medium",
        "security",
        "Another process can create this file first. Use mkstemp.",
    ),
    Rule(
        "assignment-in-condition",
        ("c",),
        _assigns(kind("parenthesized_expression")),
        "high",
        "bug",
        ASSIGNS,
    ),
    Rule(
        "assignment-in-condition",
        ("cpp",),
        _assigns(kind("condition_clause")),
        "high",
        "bug",
        ASSIGNS,
    ),
    Rule("empty-catch", ("cpp",), empty("catch_clause"), "medium", "bug", SWALLOWED),
)

GO_RULES = (
    Rule(
        "ignored-error",
        _GO,
        either(
            kind("short_var_declaration", r", _ :?= \w[\w.]*\("),
            kind("assignment_statement", r"^_ = \w[\w.]*\("),
        ),
        "medium",
        "bug",
        "The last result, usually the error, is discarded. Check it.",
    ),
    Rule(
        "empty-error-check",
        _GO,
        both(
            kind("if_statement"),
            field("condition", "!= nil$"),
            field("consequence", r"^\{\s*\}$"),
        ),
        "medium",
        "bug",
        SWALLOWED,
    ),
    Rule(
        "sql-from-text",
        _GO,
        both(
            kind("call_expression"),
            field("function", r"\.(Query|QueryRow|Exec)(Context)?$"),
            field("arguments", rf"(?s)(Sprintf\(\s*[\"`]\s*{SQL}|[\"`]\s*{SQL}[^\"`]*[\"`]\s*\+)"),
        ),
        "high",
        "security",
        SQL_INJECTION,
    ),
    Rule(
        "shell-command",
        _GO,
        both(
            kind("call_expression"),
            field("function", r"^exec\.Command(Context)?$"),
            field("arguments", r"\"(/bin/)?(ba|z)?sh\",\s*\"-c\",\s*([^\"`\s]|\"[^\"]*\"\s*\+)"),
        ),
        "high",
        "security",
        SHELL,
    ),
    Rule(
        "insecure-tls",
        _GO,
        kind("keyed_element", r"^InsecureSkipVerify:\s*true$"),
        "high",
        "security",
        _INSECURE_TLS,
    ),
    Rule(
        "defer-in-loop",
        _GO,
        both(
            kind("defer_statement"),
            {"inside": {"kind": "for_statement", "stopBy": kind("func_literal")}},
        ),
        "medium",
        "bug",
        "This runs when the function returns, not after each iteration. Move it into a function.",
    ),
    Rule(
        "weak-hash",
        _GO,
        kind("call_expression", r"^(md5|sha1)\.(New|Sum)\("),
        "medium",
        "security",
        WEAK_HASH,
    ),
)

#: A comment that explains why unsafe code is sound.
_JUSTIFIED = {"follows": {"regex": r"SAFETY", "any": [kind("line_comment"), kind("block_comment")]}}

RUST_RULES = (
    Rule(
        "unwrap",
        _RUST,
        "$A.unwrap()",
        "low",
        "bug",
        "This panics without a value. Use `?`, or `expect` with the reason why a value exists.",
    ),
    Rule(
        "unsafe",
        _RUST,
        both(
            kind("unsafe_block"),
            without(_JUSTIFIED),
            without(
                {
                    "inside": both(
                        either(
                            kind("expression_statement"),
                            kind("let_declaration"),
                            kind("assignment_expression"),
                        ),
                        _JUSTIFIED,
                    )
                }
            ),
        ),
        "medium",
        "security",
        "Unsafe block. Explain in a `SAFETY:` comment why it is sound.",
    ),
    Rule(
        "unfinished",
        _RUST,
        kind("macro_invocation", r"^(todo|unimplemented)!"),
        "medium",
        "bug",
        "This panics when it is reached. Implement it.",
    ),
    Rule(
        "mutable-static",
        _RUST,
        kind("static_item", r"^(pub(\(\w+\))?\s+)?static\s+mut\s"),
        "medium",
        "bug",
        "Threads can change this at the same time (data race). Use a Mutex or an atomic.",
    ),
    Rule(
        "transmute",
        _RUST,
        both(kind("call_expression"), field("function", r"^([\w:]*::)?transmute(::<.*>)?$")),
        "medium",
        "security",
        "transmute bypasses the type system. Use a conversion that checks the value.",
    ),
    Rule(
        "sql-from-text",
        _RUST,
        both(kind("macro_invocation", rf"(?s)^format!\s*\(\s*\"\s*{SQL}.*\{{")),
        "high",
        "security",
        SQL_INJECTION,
    ),
)

SWIFT_RULES = (
    Rule(
        "force-try",
        _SWIFT,
        kind("try_expression", r"^try!"),
        "medium",
        "bug",
        "An error ends the process. Use do and catch, or try?.",
    ),
    Rule(
        "force-cast",
        _SWIFT,
        kind("as_expression", r"\sas!\s"),
        "medium",
        "bug",
        "Another type ends the process. Use as? and handle nil.",
    ),
    Rule(
        "force-unwrap",
        _SWIFT,
        kind("postfix_expression", r"[^!]!$"),
        "low",
        "bug",
        "nil ends the process. Use `if let`, `guard let` or `??`.",
    ),
    Rule("empty-catch", _SWIFT, kind("catch_block", r"\{\s*\}$"), "medium", "bug", SWALLOWED),
    Rule(
        "sql-from-text",
        _SWIFT,
        both(
            either(
                kind("line_string_literal", rf"(?s)^\"\s*{SQL}.*\\\("),
                kind("additive_expression", rf"(?s)^\"\s*{SQL}.*\"\s*\+"),
            ),
            inside(kind("value_argument")),
        ),
        "high",
        "security",
        SQL_INJECTION,
    ),
    Rule(
        "blocks-main-queue",
        _SWIFT,
        kind("call_expression", r"^DispatchQueue\.main\.sync\b"),
        "medium",
        "bug",
        "This waits forever if it runs on the main queue. Use async.",
    ),
    Rule(
        "stores-secret",
        _SWIFT,
        kind(
            "call_expression",
            r"(?is)^UserDefaults\.standard\.set\(.*forKey:\s*\"[^\"]*(password|token|secret|apikey)",
        ),
        "high",
        "security",
        "UserDefaults is not encrypted. Store secrets in the keychain.",
    ),
)

SOLIDITY_RULES = (
    Rule(
        "origin-authorization",
        _SOLIDITY,
        both(
            kind("binary_expression", r"\btx\.origin\b"),
            field("operator", "^(==|!=)$"),
            without({"regex": r"\bmsg\.sender\b"}),
        ),
        "high",
        "security",
        "Any contract that the owner calls passes this check. Compare msg.sender.",
    ),
    Rule(
        "unchecked-call",
        _SOLIDITY,
        kind(
            "expression_statement",
            r"(?s)\.(call|delegatecall|staticcall|send)\s*(\{.*\})?\s*\(.*\)\s*;$",
        ),
        "high",
        "bug",
        "A failed call is ignored. Check its first result with require.",
    ),
    Rule(
        "delegatecall",
        _SOLIDITY,
        both(kind("call_expression"), field("function", r"\.delegatecall$")),
        "medium",
        "security",
        "The called code can change this contract's storage. Call only contracts you control.",
    ),
    Rule(
        "selfdestruct",
        _SOLIDITY,
        both(kind("call_expression"), field("function", r"^(selfdestruct|suicide)$")),
        "medium",
        "security",
        "This removes the contract and its balance. Restrict it, or remove it.",
    ),
    Rule(
        "predictable-random",
        _SOLIDITY,
        both(
            kind("call_expression", r"block\.(timestamp|difficulty|prevrandao|number)|blockhash"),
            field("function", r"^keccak256$"),
        ),
        "medium",
        "security",
        "Validators can influence this number. Use a verifiable source of randomness.",
    ),
    Rule(
        "floating-pragma",
        _SOLIDITY,
        kind("pragma_directive", r"solidity\s*(\^|>)"),
        "low",
        "security",
        "Another compiler version may produce other code. Pin the version.",
    ),
)

SYSTEMS_RULES = (*C_RULES, *GO_RULES, *RUST_RULES, *SWIFT_RULES, *SOLIDITY_RULES)
