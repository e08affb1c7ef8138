"""Rules for Java, Kotlin, Scala and C#."""

from worker.review.rules.rule import (
    DESERIALIZED,
    SHELL,
    SQL,
    SQL_INJECTION,
    SWALLOWED,
    WEAK_HASH,
    Rule,
    both,
    either,
    empty,
    field,
    inside,
    kind,
    without,
)

_JAVA = ("java",)
_KOTLIN = ("kotlin",)
_SCALA = ("scala",)
_CSHARP = ("csharp",)

_STACK_TRACE = "The stack trace goes to stderr. Log the exception instead."

JAVA_RULES = (
    Rule("empty-catch", _JAVA, empty("catch_clause"), "medium", "bug", SWALLOWED),
    Rule("prints-stack-trace", _JAVA, "$A.printStackTrace()", "low", "bug", _STACK_TRACE),
    Rule(
        "compares-texts-by-identity",
        _JAVA,
        both(
            kind("binary_expression"),
            field("operator", "^(==|!=)$"),
            {"has": kind("string_literal")},
        ),
        "high",
        "bug",
        "`==` compares object identity, not content. Use equals.",
    ),
    Rule(
        "sql-from-text",
        _JAVA,
        both(
            kind("binary_expression", rf"(?s)^\"\s*{SQL}.*\"\s*\+"),
            {"inside": {"kind": "argument_list"}},
        ),
        "high",
        "security",
        SQL_INJECTION,
    ),
    Rule(
        "shell-command",
        _JAVA,
        both(
            kind("method_invocation", r"getRuntime\(\)\s*\.\s*exec\("),
            {"has": {"field": "arguments", "has": kind("binary_expression")}},
        ),
        "high",
        "security",
        SHELL,
    ),
    Rule(
        "deserialization", _JAVA, "new ObjectInputStream($$$)", "medium", "security", DESERIALIZED
    ),
    Rule(
        "weak-hash",
        _JAVA,
        kind("method_invocation", r"^MessageDigest\s*\.\s*getInstance\(\s*\"(?i:md5|sha-?1)\""),
        "medium",
        "security",
        WEAK_HASH,
    ),
)

KOTLIN_RULES = (
    Rule(
        "force-unwrap",
        _KOTLIN,
        "$A!!",
        "low",
        "bug",
        "This throws without a value. Use `?.`, `?:`, or requireNotNull with a message.",
    ),
    Rule("empty-catch", _KOTLIN, kind("catch_block", r"\{\s*\}$"), "medium", "bug", SWALLOWED),
    Rule("prints-stack-trace", _KOTLIN, "$A.printStackTrace()", "low", "bug", _STACK_TRACE),
    Rule(
        "sql-from-text",
        _KOTLIN,
        both(
            either(
                kind("string_literal", rf"(?s)^\"+\s*{SQL}.*\$"),
                kind("additive_expression", rf"(?s)^\"\s*{SQL}.*\"\s*\+"),
            ),
            {"inside": kind("value_argument")},
        ),
        "high",
        "security",
        SQL_INJECTION,
    ),
    Rule(
        "global-scope",
        _KOTLIN,
        kind("call_expression", r"^GlobalScope\s*\.\s*(launch|async)\b"),
        "medium",
        "bug",
        "Nothing cancels or awaits this coroutine. Use a scope that its owner cancels.",
    ),
)

SCALA_RULES = (
    Rule(
        "empty-catch",
        _SCALA,
        kind("catch_clause", r"^catch\s*\{\s*case\s+\w+(\s*:\s*[\w.]+)?\s*=>\s*(\(\s*\))?\s*\}$"),
        "medium",
        "bug",
        SWALLOWED,
    ),
    Rule(
        "sql-from-text",
        _SCALA,
        either(
            kind("interpolated_string_expression", rf"(?s)^[sf]\"+\s*{SQL}.*\$"),
            both(
                kind("infix_expression", rf"(?s)^\"\s*{SQL}.*\"\s*\+"),
                {"inside": kind("arguments")},
            ),
        ),
        "high",
        "security",
        SQL_INJECTION,
    ),
    Rule(
        "option-get",
        _SCALA,
        both(
            kind("field_expression"),
            field("field", "^get$"),
            without(
                {
                    "inside": {
                        "kind": "call_expression",
                        "has": {"field": "function", "regex": r"\.get$"},
                    }
                }
            ),
        ),
        "low",
        "bug",
        "This throws without a value. Use getOrElse, fold, or a match.",
    ),
    Rule(
        "unbounded-wait",
        _SCALA,
        kind("call_expression", r"(?s)^Await\s*\.\s*(result|ready)\(.*Duration\s*\.\s*Inf"),
        "medium",
        "bug",
        "This waits forever if the future does not complete. Set a timeout.",
    ),
    Rule(
        "unchecked-cast",
        _SCALA,
        kind("generic_function", r"\.asInstanceOf\["),
        "low",
        "bug",
        "This throws for other types. Use a match on the type.",
    ),
)

CSHARP_RULES = (
    Rule("empty-catch", _CSHARP, empty("catch_clause"), "medium", "bug", SWALLOWED),
    Rule(
        "sql-from-text",
        _CSHARP,
        both(
            either(
                kind("interpolated_string_expression", rf"(?s)^[$@]+\"+\s*{SQL}.*\{{"),
                kind("binary_expression", rf"(?s)^@?\"\s*{SQL}.*\"\s*\+"),
            ),
            {"inside": kind("argument")},
            without(
                inside(
                    kind(
                        "invocation_expression",
                        r"(?s)^[\w.\s]*(SqlInterpolated|FromSql|ExecuteSql|ExecuteSqlAsync|SqlQuery)\(",
                    )
                )
            ),
        ),
        "high",
        "security",
        SQL_INJECTION,
    ),
    Rule(
        "async-void",
        _CSHARP,
        both(
            kind("method_declaration", r"(?s)^[^({]*\basync\s+void\s"),
            without(field("parameters", "EventArgs")),
        ),
        "medium",
        "bug",
        "An exception in an async void method ends the process. Return a Task.",
    ),
    Rule(
        "rethrow",
        _CSHARP,
        both(
            kind("throw_statement", r"^throw\s+(e|ex|err|error|exception)\s*;$"),
            inside(kind("catch_clause")),
        ),
        "low",
        "bug",
        "This replaces the stack trace. Write `throw;`.",
    ),
    Rule(
        "weak-hash",
        _CSHARP,
        kind("invocation_expression", r"^(MD5|SHA1)\s*\.\s*(Create|HashData)\("),
        "medium",
        "security",
        WEAK_HASH,
    ),
    Rule(
        "deserialization",
        _CSHARP,
        kind(
            "object_creation_expression",
            r"^new\s+(BinaryFormatter|NetDataContractSerializer|LosFormatter|SoapFormatter)\b",
        ),
        "high",
        "security",
        DESERIALIZED,
    ),
    Rule(
        "insecure-tls",
        _CSHARP,
        both(
            kind("assignment_expression"),
            field("left", r"Server\w*Certificate\w*Callback$"),
            field("right", r"(?s)=>\s*(true|\{\s*return\s+true;\s*\})$|DangerousAcceptAny"),
        ),
        "high",
        "security",
        "Certificates are not verified, so anyone on the network can read and change the traffic.",
    ),
)

JVM_RULES = (*JAVA_RULES, *KOTLIN_RULES, *SCALA_RULES, *CSHARP_RULES)
