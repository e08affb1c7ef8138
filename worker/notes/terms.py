"""Splits texts of every script into the terms that are indexed and searched.

- Words count with their stems. The language of a word is unknown, so it has stems of several
  languages of its script. Diacritics, case and full-width forms do not matter.
- Scripts without blanks between words count by characters and pairs of characters. A pair is about
  as specific as a word, and a single character finds queries of one character.
"""

import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple, cast

import regex
import Stemmer

#: Scripts without blanks between words, and Korean, whose endings change its words.
_UNSPACED = (
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}ー々]"
)
_TOKEN = regex.compile(
    rf"(?P<unspaced>{_UNSPACED}+)|(?P<word>(?:(?!{_UNSPACED})[\p{{L}}\p{{N}}\p{{M}}])+)"
)
#: Endings and particles of Japanese are in Hiragana.
_GRAMMAR = regex.compile(r"\p{Hiragana}+")
_LANGUAGES = {
    "latin": [
        "english",
        "german",
        "french",
        "spanish",
        "italian",
        "portuguese",
        "dutch",
        "swedish",
        "polish",
    ],
    "cyrillic": ["russian"],
    "greek": ["greek"],
    "arabic": ["arabic"],
    "devanagari": ["hindi"],
}
_SCRIPTS = {name: regex.compile(rf"\p{{Script={name}}}") for name in _LANGUAGES}
#: In other scripts, marks are vowels or tones.
_FOLDED = ("latin", "cyrillic", "greek", "arabic")
#: Longer words are identifiers or data and have no stems. Shorter stems are ambiguous.
_MAX_WORD = 40
_MIN_STEM = 3
_MAX_TERM = 64
#: Common words, which in a small folder would be rare enough to affect the ranking.
_COMMON_WORDS = """
a an and are as at be by can do does for from how i if in is it my of on or our should that the
there this to was we what when where which who why will with you your

aber als am auch auf aus bei bin bis das dem den der des die du ein eine einem einen einer es
für hat ich ihr im ist kann man mit muss nach nicht oder sich sie sind so und uns von wann warum
was wenn wer werden wie wird wir wo zu zum zur

au aux avec ce ces cette comment dans de du elle en est et il je la le les où par pas pour quand
que quel quelle qui se son sont sur un une vous

al como con cual cuando cuándo cómo del dónde el ella es esta este las lo los no para por qué
quién se ser si su sus una y

в во и на не что как это по из за от до для при когда где кто чем или мы вы он она они с со у к о
"""
_STOP_WORDS = frozenset(_COMMON_WORDS.split())


class Token(NamedTuple):
    """A word or a character, and where it starts in the text."""

    start: int
    terms: tuple[str, ...]


def tokens(text: str) -> Iterator[Token]:
    """Yield the tokens of a text, in order."""
    for match in _TOKEN.finditer(text):
        start = match.start()
        if match["word"]:
            yield Token(start, word_terms(match["word"]))
            continue
        run = match["unspaced"]
        for at, character in enumerate(run):
            pair = run[at : at + 2]
            terms = (character, pair) if len(pair) == 2 else (character,)
            yield Token(start + at, terms)


def indexed_terms(text: str) -> str:
    """Return the terms of a text, separated by blanks."""
    return " ".join(term for token in tokens(_normalized(text)) for term in token.terms)


def query_terms(query: str) -> list[str]:
    """Return the distinct terms of a query, in order, without common words if there are others."""
    found = list(_query_tokens(query))
    specific = [terms for common, terms in found if not common]
    chosen = specific or [terms for _, terms in found]
    return list(dict.fromkeys(term for terms in chosen for term in terms))


def _query_tokens(query: str) -> Iterator[tuple[bool, tuple[str, ...]]]:
    """Yield the terms of each token, and whether it is common. Pairs replace their characters."""
    for match in _TOKEN.finditer(_normalized(query)):
        word, run = match["word"], match["unspaced"]
        if word:
            yield word in _STOP_WORDS, word_terms(word)
        elif len(run) == 1:
            yield False, (run,)
        else:
            for at in range(len(run) - 1):
                pair = run[at : at + 2]
                yield _GRAMMAR.fullmatch(pair) is not None, (pair,)


@lru_cache(maxsize=50_000)
def word_terms(word: str) -> tuple[str, ...]:
    """Return a word and its stems, normalized and without diacritics."""
    word = _normalized(word)
    script = next((name for name, test in _SCRIPTS.items() if test.match(word)), "")
    found = [word]
    if len(word) <= _MAX_WORD and not word.isdigit():
        stems = [_stemmer(language).stemWord(word) for language in _LANGUAGES.get(script, ())]
        found += [stem for stem in stems if len(stem) >= _MIN_STEM]
    if script in _FOLDED:
        found = [_without_marks(term) for term in found]
    return tuple(dict.fromkeys(term[:_MAX_TERM] for term in found if term))


@lru_cache
def _stemmer(language: str) -> Any:  # noqa: ANN401  (PyStemmer has no types)
    return cast("Any", Stemmer).Stemmer(language)


def _normalized(text: str) -> str:
    """Return the text in lowercase and in its compatible form: full-width letters become ASCII."""
    return unicodedata.normalize("NFKC", text).casefold()


def _without_marks(word: str) -> str:
    decomposed = unicodedata.normalize("NFD", word)
    return "".join(char for char in decomposed if unicodedata.category(char) != "Mn")
