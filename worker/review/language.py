"""The languages of code, and their names in code blocks and file names."""

from pathlib import PurePosixPath, PureWindowsPath
from typing import NamedTuple


class Language(NamedTuple):
    name: str
    #: File extensions without the dot. Lizard identifies the language by the first one.
    extensions: tuple[str, ...]
    #: ast-grep's name of the grammar; None if the language is listed, but not analyzed.
    grammar: str | None = None
    #: Other names used in code blocks.
    aliases: tuple[str, ...] = ()
    #: File names without an extension.
    files: tuple[str, ...] = ()


PYTHON = Language("python", ("py", "pyi", "pyw"), "python", aliases=("python3", "py3"))

#: Languages that are checked and measured.
PROGRAMMING = (
    PYTHON,
    Language(
        "javascript", ("js", "mjs", "cjs", "jsx"), "javascript", aliases=("node", "ecmascript")
    ),
    Language("typescript", ("ts", "mts", "cts"), "typescript"),
    Language("tsx", ("tsx",), "tsx"),
    Language("java", ("java",), "java"),
    Language("kotlin", ("kt", "kts"), "kotlin"),
    Language("scala", ("scala", "sc"), "scala"),
    Language("go", ("go",), "go", aliases=("golang",)),
    Language("rust", ("rs",), "rust"),
    Language("c", ("c", "h"), "c"),
    Language("cpp", ("cpp", "cc", "cxx", "hpp", "hh", "hxx"), "cpp", aliases=("c++",)),
    Language("csharp", ("cs",), "csharp", aliases=("c#",)),
    Language("ruby", ("rb", "rake"), "ruby", files=("gemfile", "rakefile")),
    Language("php", ("php",), "php"),
    Language("swift", ("swift",), "swift"),
    Language("lua", ("lua",), "lua"),
    Language("solidity", ("sol",), "solidity"),
    Language("bash", ("sh", "bash"), "bash", aliases=("shell", "zsh", "ksh")),
)
#: Languages that are checked.
MARKUP = (
    Language("html", ("html", "htm"), "html", aliases=("xhtml",)),
    Language("css", ("css",), "css"),
    Language("json", ("json",), "json"),
    Language("yaml", ("yaml", "yml"), "yaml"),
)
#: Languages that only the model reviews.
LISTED = (
    Language("clojure", ("clj", "cljs")),
    Language("dart", ("dart",)),
    Language("dockerfile", ("dockerfile",), aliases=("docker",), files=("dockerfile",)),
    Language("elixir", ("ex", "exs")),
    Language("erlang", ("erl",)),
    Language("fsharp", ("fs", "fsx"), aliases=("f#",)),
    Language("groovy", ("groovy", "gradle")),
    Language("haskell", ("hs",)),
    Language("hcl", ("tf", "hcl"), aliases=("terraform",)),
    Language("julia", ("jl",)),
    Language("makefile", ("mk",), aliases=("make",), files=("makefile",)),
    Language("nix", ("nix",)),
    Language("objective-c", ("m", "mm"), aliases=("objc", "objectivec")),
    Language("ocaml", ("ml", "mli")),
    Language("perl", ("pl", "pm")),
    Language("powershell", ("ps1", "psm1"), aliases=("pwsh",)),
    Language("r", ("r",)),
    Language("scss", ("scss", "sass", "less")),
    Language("sql", ("sql",), aliases=("postgresql", "mysql", "sqlite", "plsql", "tsql")),
    Language("svelte", ("svelte",)),
    Language("toml", ("toml",)),
    Language("vb", ("vb",), aliases=("vbnet", "visualbasic")),
    Language("vue", ("vue",)),
    Language("xml", ("xml", "xsd", "xsl")),
    Language("zig", ("zig",)),
)
LANGUAGES = (*PROGRAMMING, *MARKUP, *LISTED)

_BY_EXTENSION = {suffix: language for language in LANGUAGES for suffix in language.extensions}
_BY_FILE = {name: language for language in LANGUAGES for name in language.files}
_BY_NAME = {
    name: language
    for language in LANGUAGES
    for name in (language.name, *language.extensions, *language.aliases)
}


def language_by_name(name: str) -> Language | None:
    """Look up the language of a code block, such as `py` or `TypeScript`."""
    return _BY_NAME.get(name.lower())


def language_by_path(path: str) -> Language | None:
    """Look up the language of a file by its extension, or by its name."""
    name = PureWindowsPath(PurePosixPath(path).name).name.lower()
    _, dot, extension = name.rpartition(".")
    return _BY_EXTENSION.get(extension) if dot else _BY_FILE.get(name)
