"""Finds code without fences in a text: indented blocks, and paragraphs of code."""

import re
from collections.abc import Iterator
from itertools import groupby, islice
from textwrap import dedent

from worker.review.extract.language_guess import guess_language, is_valid
from worker.review.language import Language

_WORD = re.compile(
    r"[\"'“‘(*_`]*(?:[^\W\d_]+(?:['’/-][^\W\d_]+)*|\d+)[\"'”’)*_`]*[,.;:!?…]*[\"'”’)]*"
    r"|`[^`]+`[,.;:!?]*|[–—&-]|https?://\S+"
)
_LIST_MARK = re.compile(r"(?:[-*+•]|\d{1,3}[.)]|>)\s+")
_COMMENT = ("#", "//", "/*", "*/", "--", "<!--", '"""', "'''", "@")
#: Words of prose that are no keywords of a programming language.
_FREQUENT = re.compile(
    r"the|an?|is|are|was|it|this|that|these|my|your|i|you|we|they|of|to|and|please|can|how|what|why"
    r"|when|does|should|would|der|die|das|ist|und|les?|la|est|el|los|es|por",
    re.IGNORECASE,
)
#: Words with which a line of code may begin that otherwise consists of words.
_KEYWORDS = re.compile(
    r"if|elif|else|for|while|with|return|import|from|def|class|try|except|finally|raise|assert|del"
    r"|lambda|yield|async|await|not|and|or|in|is|export|const|let|var|public|private|protected"
    r"|static|final|package|use|default|case|switch|do|then|begin|end|done|fi|new|goto"
)
_GREETINGS = frozenset(("hi", "hello", "hey", "thanks", "thx", "please", "danke", "merci"))
_MAX_LINE = 2_000
#: A guess tries the patterns of all languages.
_MAX_GUESSES = 2_000
_MIN_WORDS = 0.75
#: Indentation that marks code in Markdown.
_INDENTED = ("    ", "\t")


def code_in_prose(text: str) -> Iterator[tuple[Language, str]]:
    """Yield the code in a text that has no fences. A text may also be code as a whole."""
    lines = text.split("\n")
    prose = [_is_prose(line) for line in lines]
    if all(is_prose or not line.strip() for line, is_prose in zip(lines, prose, strict=True)):
        return
    language = guess_language(text)
    if language and (not any(prose) or is_valid(text, language)):
        yield language, text
        return
    numbered = zip(prose, lines, strict=True)
    codes = (
        dedent("\n".join(line for _, line in run)).strip("\n")
        for is_prose, run in groupby(numbered, lambda item: item[0])
        if not is_prose
    )
    for code in islice(filter(None, codes), _MAX_GUESSES):
        if language := guess_language(code):
            yield language, f"{code}\n"


def _is_prose(line: str) -> bool:
    """Return whether a line is natural language. Blank and indented lines are not."""
    line = line[:_MAX_LINE]
    if line.startswith(_INDENTED) or line.lstrip().startswith(_COMMENT):
        return False
    text = line.strip()
    mark = _LIST_MARK.match(text)
    words = (text[mark.end() :] if mark else text).split()
    if not words or sum(_WORD.fullmatch(word) is not None for word in words) / len(words) < (
        _MIN_WORDS
    ):
        return False
    return _is_sentence(words)


def _is_sentence(words: list[str]) -> bool:
    first, last = words[0].rstrip(",:"), words[-1].rstrip("'\"”’)")
    capitalized = first[:1].isupper()
    if len(words) == 1:
        return (capitalized and last.endswith((".", "!", "?", ",", ":"))) or first in _GREETINGS
    if last.endswith((".", "!", "?", "…")):
        return True
    if _KEYWORDS.fullmatch(first):
        return False
    frequent = any(_FREQUENT.fullmatch(word.strip(",:")) for word in words)
    return (capitalized and last.endswith((",", ":"))) or (
        len(words) >= 3 and (capitalized or frequent)
    )
