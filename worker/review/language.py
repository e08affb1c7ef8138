"""The supported languages, and their names in code blocks and in the analysis tools."""

from pathlib import PurePosixPath
from typing import NamedTuple


class Language(NamedTuple):
    name: str
    #: File extensions without the dot. Lizard identifies the language by the first one.
    extensions: tuple[str, ...]
    #: ast-grep's name of the grammar; None if ast-grep does not support the language.
    grammar: str | None = None
    #: Whether lizard can measure its functions.
    measured: bool = True
    #: Other names used in code blocks.
    aliases: tuple[str, ...] = ()


PYTHON = Language("python", ("py", "pyi"), "python", aliases=("python3", "py3"))

LANGUAGES = (
    PYTHON,
    Language("javascript", ("js", "mjs", "cjs", "jsx"), "javascript", aliases=("node",)),
    Language("typescript", ("ts", "mts", "cts"), "typescript"),
    Language("tsx", ("tsx",), "tsx"),
    Language("java", ("java",), "java"),
    Language("kotlin", ("kt", "kts"), "kotlin"),
    Language("scala", ("scala",), "scala"),
    Language("go", ("go",), "go", aliases=("golang",)),
    Language("rust", ("rs",), "rust"),
    Language("c", ("c", "h"), "c"),
    Language("cpp", ("cpp", "cc", "cxx", "hpp", "hh"), "cpp", aliases=("c++",)),
    Language("csharp", ("cs",), "csharp", aliases=("c#",)),
    Language("ruby", ("rb",), "ruby"),
    Language("php", ("php",), "php"),
    Language("swift", ("swift",), "swift"),
    Language("lua", ("lua",), "lua"),
    Language("perl", ("pl", "pm")),
    Language("r", ("r",)),
    Language("sql", ("sql",)),
    Language("solidity", ("sol",), "solidity"),
    Language("zig", ("zig",)),
    Language("bash", ("sh", "bash"), "bash", measured=False, aliases=("shell", "zsh")),
    Language("json", ("json",), "json", measured=False),
    Language("yaml", ("yaml", "yml"), "yaml", measured=False),
    Language("html", ("html", "htm"), "html", measured=False),
    Language("css", ("css",), "css", measured=False),
)

_BY_NAME = {
    name: language
    for language in LANGUAGES
    for name in (language.name, *language.extensions, *language.aliases)
}


def language_by_name(name: str) -> Language | None:
    """Look up the language of a code block, such as `py` or `TypeScript`."""
    return _BY_NAME.get(name.lower())


def language_by_path(path: str) -> Language | None:
    """Look up the language of a file by its extension."""
    return _BY_NAME.get(PurePosixPath(path).suffix.removeprefix(".").lower())
