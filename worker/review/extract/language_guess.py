"""Guesses the language of code that comes without one."""

import re
from textwrap import dedent

from ast_grep_py import SgRoot

from worker.review.language import Language, language_by_name

#: A guess looks at the first characters only.
_MAX_CHARS = 4_000
#: Lines that are typical of a language, and rare in others and in prose. The names are also those
#: of ast-grep's grammars.
_MARKS = {
    "python": r"""
        (?:async\ )?def\ \w+\(.*\).*:(?:\s*\#.*)?$
        | class\ \w+(?:\(.*\))?:$
        | import\ [\w.]+(?:\ as\ \w+)?$
        | from\ [\w.]+\ import\ [\w(*]
        | (?:if|elif|for|while|with|except)\b.*:$
        | (?:else|try|finally):$
        | @\w[\w.]*(?:\(.*\))?$
        | print\(.*\)$
        | \w+(?::\ *\w+)?\ =\ .*[^;{]$
        | raise\ \w+
    """,
    "javascript": r"""
        (?:const|let|var)\ [\w{\[].*=.*
        | (?:export\ )?(?:default\ )?(?:async\ )?function\b.*\{?$
        | .*=>\s*[{(]?.*
        | import\ .*\ from\ ['"].*
        | console\.\w+\(.*
        | .*===.*
        | .*\brequire\(['"].*
        | (?:module\.)?exports\b.*
    """,
    "typescript": r"""
        (?:export\ )?(?:interface|type|enum)\ \w+.*[{=].*
        | (?:const|let)\ \w+:\ ?\w+.*=.*
        | .*\w\??:\ ?(?:string|number|boolean|void|unknown|any)\b.*[,;){=].*
        | import\ type\ .*
        | .*\)\s*:\s*\w+(?:<.*>)?\s*\{$
        | (?:private|public|readonly)\ \w+\??:.*
    """,
    "java": r"""
        package\ [\w.]+;$
        | import\ (?:static\ )?[\w.]+(?:\.\*)?;$
        | .*System\.out\.print.*
        | (?:public|private|protected)\ (?:static\ |final\ |abstract\ )*(?:class|interface
            |enum|record|void|int|String|boolean|long|double|\w+<.*>|\w+)\ \w+.*[({].*
        | @Override$
        | .*\bthrows\ \w+.*\{$
        | (?:final\ )?\w+(?:<.*>)?\ \w+\ =\ new\ \w+.*;$
    """,
    "csharp": r"""
        using\ [\w.]+;$
        | namespace\ [\w.]+[;{]?$
        | .*Console\.Write.*
        | .*\{\ get;.*\}.*
        | (?:public|private|protected|internal)\ (?:static\ |async\ |override\ |readonly
            \ |sealed\ )*(?:class|interface|record|void|Task|string|int|bool|var
            |\w+(?:<.*>)?)\ \w+.*
        | foreach\ ?\(var\ .*
    """,
    "kotlin": r"""
        (?:private\ |override\ |suspend\ |internal\ )*fun\ .*[({=].*
        | va[lr]\ \w+.*=.*
        | data\ class\ .*
        | .*\?\.let\b.*
        | when\ ?\(.*\)\ \{$
        | println\(.*\)$
        | object\ \w+.*\{$
    """,
    "scala": r"""
        (?:private\ |override\ |implicit\ )*def\ \w+.*=.*
        | (?:case\ )?(?:class|object|trait)\ \w+.*
        | va[lr]\ \w+.*=.*
        | import\ [\w.]+\.(?:_|\{.*\})$
        | .*\bmatch\ \{$
        | case\ .*=>.*
    """,
    "go": r"""
        package\ \w+$
        | func\ (?:\(.*\)\ )?\w*\(.*\{?$
        | import\ (?:\(|".*")$
        | .*:=.*
        | if\ err\ !=\ nil\ \{$
        | type\ \w+\ (?:struct|interface)\ \{.*
        | defer\ .*\)
        | fmt\.\w+\(.*\)$
        | go\ \w.*\)$
    """,
    "rust": r"""
        (?:pub(?:\(\w+\))?\ )?(?:async\ )?(?:unsafe\ )?fn\ \w+.*
        | let\ (?:mut\ )?\w+.*=.*;$
        | use\ [\w:]+(?:::.*)?;$
        | impl\b.*\{$
        | (?:pub\ )?(?:struct|enum|trait|mod)\ \w+.*
        | \#\[\w+.*\]$
        | .*\bprintln!\(.*
        | match\ .*\{$
    """,
    "c": r"""
        \#\s*include\ *[<"].*
        | \#\s*(?:define|ifdef|ifndef|endif|pragma)\b.*
        | (?:static\ |const\ |unsigned\ |struct\ )*(?:int|char|void|float|double|size_t|long
            |\w+_t)\ \**\w+\(.*\)\s*\{?$
        | .*\b(?:printf|malloc|free|strcpy|sizeof|memcpy)\ ?\(.*
        | typedef\ .*
        | (?:int|char|float|double|unsigned)\ \**\w+(?:\[.*\])?(?:\ =.*)?;$
    """,
    "cpp": r"""
        \#\s*include\ *<(?:iostream|vector|string|memory|map|algorithm|thread|utility)>
        | using\ namespace\ \w+;$
        | .*std::.*
        | template\ ?<.*>$
        | class\ \w+.*\{$
        | (?:public|private|protected):$
        | auto\ \w+\ =.*;$
        | .*\bnullptr\b.*
    """,
    "ruby": r"""
        def\ (?:self\.)?\w+[?!]?(?:\(.*\))?$
        | end$
        | require(?:_relative)?\ ['"].*
        | .*\bdo\ \|.*\|$
        | puts\ .*
        | (?:class|module)\ [A-Z]\w*(?:\ <\ \w.*)?$
        | attr_\w+\ :.*
        | (?:if|unless|elsif)\ [^:{]*$
        | @\w+\ =.*
    """,
    "php": r"""
        <\?php.*
        | \$\w+\ =.*;$
        | .*\$\w+->\w+.*
        | (?:public\ |private\ |static\ )*function\ \w*\(.*\$.*
        | echo\ .*;$
    """,
    "swift": r"""
        import\ (?:Foundation|UIKit|SwiftUI|Combine)$
        | (?:private\ |public\ |override\ |static\ )*func\ \w+.*\{$
        | (?:guard|if)\ let\ .*\{.*
        | (?:let|var)\ \w+.*[^;]$
        | .*->\ \w+\??\ \{$
        | (?:struct|class|enum|extension|protocol)\ \w+.*\{$
        | .*\btry[!?]\ .*
    """,
    "lua": r"""
        local\ (?:function\ )?\w+.*
        | (?:if|elseif)\ .*\bthen$
        | for\ .*\bdo$
        | while\ .*\bdo$
        | end[,)]*$
        | function\ [\w.:]+\(.*\)$
        | return\ [\w{].*
        | .*\brequire\(?["'].*
    """,
    "solidity": r"""
        pragma\ solidity\b.*
        | (?:abstract\ )?contract\ \w+.*\{$
        | //\ SPDX-License.*
        | mapping\ ?\(.*
        | function\ \w+\(.*\)\ (?:public|external|internal|private|view|pure).*
        | (?:u?int\d*|address|bytes32)\ .*;$
        | require\(.*\);$
    """,
    "bash": r"""
        \#!.*\b(?:ba|z|k)?sh\b.*
        | (?:if|while)\ \[.*
        | fi$
        | done$
        | esac$
        | (?:export\ )?[A-Z_]+=.*
        | \w+=\$\(.*
        | echo\ .*
        | set\ -[a-z]+.*
        | (?:sudo|cd|mkdir|rm|cp|mv|curl|wget|grep|sed|git|docker|pip|npm|apt-get)\ .*
        | \w+\(\)\ \{$
        | for\ \w+\ in\ .*
    """,
    "html": r"""
        <!doctype\ html.*
        | </?(?:html|head|body|div|span|p|a|script|form|input|table|ul|li|img|button|h\d)\b.*
    """,
    "css": r"""
        (?:[.\#]?[\w-]+(?:[ ,>:.\#][\w\-:.\#\ ,>]*)?|@media.*|:root)\ \{$
        | [\w-]+:\ [^{}]+;$
        | \}$
    """,
    "json": r"""
        [{\[]$
        | "[^"]*":\ .*
        | [}\]],?$
    """,
    "yaml": r"""
        [\w.-]+:(?:\ .*)?$
        | -\ \w[\w.-]*:\ .*
    """,
}
_PATTERNS = {
    name: re.compile(rf"(?:{marks})", re.VERBOSE | re.IGNORECASE if name == "html" else re.VERBOSE)
    for name, marks in _MARKS.items()
}
#: Of two languages with the same lines, the general one is first.
_DIALECTS = {"typescript": "javascript", "cpp": "c"}
_MIN_SHARE = 0.3
#: A text in these formats consists of typical lines.
_STRICT = {"css": 0.7, "json": 0.9, "yaml": 0.9}
#: Texts that say nothing about the language.
_DOCSTRING = re.compile(r"(\"{3}|'{3}).*?\1", re.DOTALL)
_COMMENT = re.compile(r"#\s|//(?! SPDX)|/\*|\*[/\s]|--\s")
_SHEBANG = re.compile(r"#!.*?\b(?P<name>python|node|ruby|php|bash|zsh|sh|lua)[\d.]*\b")


def guess_language(text: str) -> Language | None:
    """Return the language of a text, or None if it does not look like code.

    The text must contain lines that are typical of the language, and its grammar must accept it.
    """
    text = _examined(text)
    if shebang := _SHEBANG.match(text):
        return language_by_name(shebang["name"])
    lines = _code_lines(text)
    scores = {name: _score(name, lines) for name in _PATTERNS}
    for dialect, general in _DIALECTS.items():
        if scores[dialect]:
            scores[dialect] += scores[general]
    for name, score in sorted(scores.items(), key=lambda item: -item[1]):
        if score < _MIN_SHARE:
            break
        if score >= _STRICT.get(name, 0) and _is_accepted(text, name):
            return language_by_name(name)
    return None


def is_valid(text: str, language: Language) -> bool:
    """Return whether the language's grammar accepts the text without any error."""
    root = SgRoot(_examined(text), language.name).root()
    return not root.find_all(kind="ERROR")


def _examined(text: str) -> str:
    return dedent(text if len(text) <= _MAX_CHARS else _first_lines(text))


def _code_lines(text: str) -> list[str]:
    """Return the lines that are neither blank nor comments."""
    lines = [line.strip() for line in _DOCSTRING.sub("", text).split("\n")]
    return [line for line in lines if line and not _COMMENT.match(line)]


def _first_lines(text: str) -> str:
    return text[:_MAX_CHARS].rpartition("\n")[0]


def _score(name: str, lines: list[str]) -> float:
    """Return the share of the lines that are typical of a language."""
    matches = sum(_PATTERNS[name].match(line[:200]) is not None for line in lines)
    return matches / len(lines) if lines else 0


def _is_accepted(text: str, name: str) -> bool:
    root = SgRoot(text, name).root()
    errors = root.find_all(kind="ERROR")
    return sum(len(error.text()) for error in errors) <= len(text) / 50
