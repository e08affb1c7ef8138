"""The part of a passage that fits a query best."""

from collections.abc import Collection
from itertools import islice, takewhile

from worker.notes.terms import tokens

_CHARS = 320
#: Characters before the first match.
_LEAD = 60
#: Texts are not cut in the middle of a word, if it is no longer than this.
_MAX_WORD = 30


def excerpt(text: str, terms: Collection[str]) -> str:
    """Return the range of a text that contains the most of these terms."""
    wanted = frozenset(terms)
    hits = [
        (token.start, matches)
        for token in tokens(text)
        if (matches := wanted.intersection(token.terms))
    ]
    best, most = 0, 0
    for number, (start, _) in enumerate(hits):
        end = start + _CHARS - _LEAD
        window = takewhile(lambda hit: hit[0] < end, islice(hits, number, None))  # noqa: B023
        count = len({term for _, matches in window for term in matches})
        if count > most:
            best, most = start, count
    start = _word_start(text, max(0, best - _LEAD))
    end = _word_end(text, start + _CHARS)
    return f"{'… ' if start else ''}{text[start:end].strip()}{' …' if end < len(text) else ''}"


def _word_start(text: str, at: int) -> int:
    if at == 0:
        return 0
    blank = text.find(" ", at, at + _MAX_WORD)
    return blank + 1 if blank >= 0 else at


def _word_end(text: str, at: int) -> int:
    if at >= len(text):
        return len(text)
    blank = text.rfind(" ", at - _MAX_WORD, at)
    return blank if blank >= 0 else at
