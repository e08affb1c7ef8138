"""The text of titles: one plain line, from a model's answer or from a question."""

import re
import unicodedata

_TAG = "think|thinking|thought|reasoning"
_THINKING = re.compile(rf"<({_TAG})>.*?(</\1>|$)", re.DOTALL | re.IGNORECASE)
_THOUGHT_END = re.compile(rf".*</(?:{_TAG})>", re.DOTALL | re.IGNORECASE)
#: OpenAI's Harmony format: what precedes the final message, or all without one; then its end.
_HARMONY = re.compile(
    r"^\s*<\|(?:start|channel)\|>(?:.*<\|channel\|>final\b[^<]*<\|message\|>|.*)"
    r"|<\|(?:end|return)\|>\s*$",
    re.DOTALL,
)
_INTRODUCTION = re.compile(
    r"(?:(?:sure|certainly|okay|of course)\b\W*)?here(?:'s|’s| is| are)\b[^:]{0,80}:\s*",
    re.IGNORECASE,
)
_PREFIX = re.compile(
    r"(?:(?:chat |conversation )?title|subject|titel|titre|título|titolo|заголовок|标题|標題|"
    r"タイトル|제목)\s*[:：]\s*",
    re.IGNORECASE,
)
_JSON_TITLE = re.compile(r'\{\s*"title"\s*:\s*"(?P<title>(?:[^"\\]|\\.)*)"')
_FENCE = re.compile(r"(?:`{3,}|~{3,})[\w+#.-]*")
_HEADING = re.compile(r"#{1,6}\s+(?P<text>.*?)(?:\s+#+)?")
_LIST_MARK = re.compile(r"(?:[-*•]|1[.)])\s+")
_BOLD = re.compile(r"(?<!\w)\*\*(?=\S)(?P<text>[^*]+)(?<=\S)\*\*(?!\w)")
_CODE = re.compile(r"`([^`]+)`")
#: Marks that surround a whole title, by the opening one.
_PAIRS = {
    **{mark: (mark,) for mark in ("**", "*", "`", '"', "'", "~~")},
    "“": ("”", "“"),
    "„": ("“", "”"),
    "‘": ("’",),
    "‚": ("‘", "’"),
    "«": ("»",),
    "»": ("«",),
    "「": ("」",),
    "『": ("』",),
    "《": ("》",),
}
#: Not in it: the joiners U+200C and U+200D, which emojis and several scripts need.
_INVISIBLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff]+"
)
_JOINER = "\u200d"
_ABBREVIATION = re.compile(r"\w\.\w+\.")


def clean_title(text: str, max_length: int) -> str:
    """Convert a model's answer to a title: one plain line, cut at a word boundary.

    Removes reasoning, introductions such as "Title:", and the Markdown and quotation marks around
    the title. The result may be empty.
    """
    text = _THOUGHT_END.sub("", _THINKING.sub("", _HARMONY.sub("", text)))
    if found := _JSON_TITLE.search(text):
        text = found["title"].replace('\\"', '"')
    lines = [plain for line in text.splitlines() if (plain := _plain_answer(line))]
    introduced = len(lines) > 1 and lines[0].endswith((":", "："))
    line = next(iter(lines[introduced:]), "")
    return _cut(line, max_length)


def title_of_question(text: str, max_length: int) -> str:
    """Convert a user's message to a title: its first line, unchanged except for white space."""
    for line in text.splitlines():
        plain = _one_line(line)
        if heading := _HEADING.fullmatch(plain):
            plain = heading["text"]
        if plain and not _FENCE.fullmatch(plain):
            return _cut(plain, max_length)
    return ""


def _one_line(line: str) -> str:
    return " ".join(_INVISIBLE.sub(" ", line).split())


def _plain_answer(line: str) -> str:
    plain = _one_line(line)
    if _FENCE.fullmatch(plain):
        return ""
    if heading := _HEADING.fullmatch(plain):
        plain = heading["text"]
    plain = _LIST_MARK.sub("", plain, count=1) if _LIST_MARK.match(plain) else plain
    plain = _CODE.sub(r"\1", _BOLD.sub(r"\g<text>", _without_pair(plain)))
    for introduction in (_INTRODUCTION, _PREFIX):
        if (found := introduction.match(plain)) and found.end() < len(plain):
            plain = plain[found.end() :]
    return _without_period(_without_pair(_without_period(_without_pair(plain))))


def _without_pair(text: str) -> str:
    """Remove marks around the whole text, but not those of `"A" and "B"`."""
    for opening, closings in _PAIRS.items():
        for closing in closings:
            inner = text[len(opening) : -len(closing)]
            surrounded = text.startswith(opening) and text.endswith(closing)
            if surrounded and inner and opening not in inner and closing not in inner:
                return _without_pair(inner.strip())
    return text


def _without_period(text: str) -> str:
    words = text.split()
    if text.endswith("...") or (words and _ABBREVIATION.fullmatch(words[-1])):
        return text
    return text.rstrip(".。").rstrip()


def _cut(text: str, max_length: int) -> str:
    if len(text) <= max_length:
        return text
    end = max_length - 1
    while end and _joins(text[end - 1], text[end]):
        end -= 1
    shortened = text[: end or max_length - 1]
    words, space, _ = text[:max_length].rpartition(" ")
    # Text without spaces is cut within a word.
    if space and len(words) >= max_length // 2:
        shortened = words
    return f"{shortened.rstrip(' ,;:.-–—')}…"


def _joins(left: str, right: str) -> bool:
    """Return whether two characters are displayed as one, such as a letter with its accent."""
    combines = unicodedata.category(right).startswith("M") or "\U0001f3fb" <= right <= "\U0001f3ff"
    return combines or _JOINER in (left, right)
