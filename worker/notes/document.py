"""Splits Markdown, HTML and plain-text documents into passages."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import PurePosixPath

from bs4 import BeautifulSoup
from markdownify import MarkdownConverter

from worker.notes.folder import NoteSkipped
from worker.notes.passage import Passage

#: About one screen, so that a search result is specific and uses few tokens.
PASSAGE_CHARS = 2000
_MAX_PASSAGES = 5000
#: Elements occupy about a kilobyte each.
_MAX_TAGS = 50_000
_MAX_HEADING = 200
_MAX_HEADING_LEVEL = 6
_FENCE = re.compile(r"[ \t]{0,3}(?P<marks>`{3,}+|~{3,}+)(?P<info>.*)")
_XML_DECLARATION = re.compile(r"\A\s*<\?xml\b[^>]*>")
_INVISIBLE = ("title", "script", "style", "nav", "noscript", "template")
#: Where a long text is split, best first.
_BREAKS = ("\n", ". ", "。", "? ", "! ", "; ", ", ", "、", " ")


def split_document(path: str, content: str) -> list[Passage]:
    """Split a document into passages, in order. The suffix of `path` determines the format.

    Raises:
        NoteSkipped: if the document has too many elements or passages.
        RecursionError: if its elements are nested too deeply.
    """
    content = re.sub(r"\r\n?", "\n", content.removeprefix("\ufeff")).replace("\0", "")
    kind = PurePosixPath(path).suffix.lower()
    title, text = _html(content) if kind.startswith(".htm") else _markdown(content)
    sections = [_Section((), content)] if kind == ".txt" else list(_sections(text))
    title = title or next((s.headings[0] for s in sections if s.headings), "")
    passages: list[Passage] = []
    for passage in _passages(path, title[:_MAX_HEADING] or PurePosixPath(path).stem, sections):
        if len(passages) == _MAX_PASSAGES:
            raise NoteSkipped(f"more than {_MAX_PASSAGES:,} passages")
        passages.append(passage)
    if title and not passages:
        return [Passage(f"{path}#{_slug(title)}", path, title[:_MAX_HEADING], "", title)]
    return passages


class _Section:
    def __init__(self, headings: tuple[str, ...], text: str) -> None:
        self.headings = headings
        self.text = text


def _markdown(content: str) -> tuple[str, str]:
    """Return the front matter's title, if any, and the text below the front matter."""
    if not content.startswith("---\n"):
        return "", content
    end = content.find("\n---", 3)
    if end < 0 or content[end + 4 : end + 5] not in ("\n", ""):
        return "", content
    for line in content[4:end].split("\n"):
        name, colon, value = line.partition(":")
        if colon and name == "title":
            return value.strip().strip("\"'"), content[end + 5 :]
    return "", content[end + 5 :]


def _html(content: str) -> tuple[str, str]:
    if content.count("<") > _MAX_TAGS:
        raise NoteSkipped(f"more than {_MAX_TAGS:,} tags")
    # Beautiful Soup warns about XML, and about a text of one line that could be a URL.
    content = _without_open_ends(_XML_DECLARATION.sub("", content))
    page = BeautifulSoup(f"{content}\n", "html.parser")
    title = page.title.get_text(strip=True) if page.title else ""
    for element in page(_INVISIBLE):
        element.decompose()
    return title, MarkdownConverter(heading_style="ATX").convert_soup(page)


def _without_open_ends(content: str) -> str:
    """Escape tags and comments that never end.

    For each of them, the parser would search the rest of the page, which takes minutes for
    thousands of them and blocks the whole process.
    """
    for start, end in (("<!--", "-->"), ("<", ">")):
        complete, mark, rest = content.rpartition(end)
        content = complete + mark + rest.replace(start, f"&lt;{start[1:]}")
    return content


def _sections(text: str) -> Iterator[_Section]:
    """Split at headings, ignoring lines inside fenced code blocks."""
    headings: list[tuple[int, str]] = []
    lines: list[str] = []
    fence = ""
    for line in text.split("\n"):
        if line[:1] not in ("#", "`", "~", " ", "\t"):
            lines.append(line)
            continue
        fence = _fence_after(line, fence)
        heading = None if fence else _heading(line)
        if heading is None:
            lines.append(line)
            continue
        yield _Section(tuple(name for _, name in headings), "\n".join(lines))
        lines = []
        headings = [*(h for h in headings if h[0] < heading[0]), heading]
    yield _Section(tuple(name for _, name in headings), "\n".join(lines))


def _fence_after(line: str, fence: str) -> str:
    """Return the marks of the fence that is open after this line."""
    match = _FENCE.fullmatch(line)
    if match is None:
        return fence
    if not fence:
        return match["marks"]
    closes = match["marks"].startswith(fence) and not match["info"].strip()
    return "" if closes else fence


def _heading(line: str) -> tuple[int, str] | None:
    """Return the level and the text of a Markdown heading (CommonMark 4.2)."""
    text = line.lstrip("#")
    level = len(line) - len(text)
    if not 1 <= level <= _MAX_HEADING_LEVEL or text[:1] not in (" ", "\t"):
        return None
    text = text.strip()
    bare = text.rstrip("#")
    if bare.endswith((" ", "\t")) or not bare:  # `# C# #` is the heading "C#"
        text = bare.rstrip()
    return (level, text[:_MAX_HEADING]) if text else None


def _passages(path: str, title: str, sections: list[_Section]) -> Iterator[Passage]:
    seen: dict[str, int] = {}
    used: set[str] = set()

    def new_id(anchor: str) -> str:
        while True:
            seen[anchor] = number = seen.get(anchor, 0) + 1
            found = f"{path}#{anchor}-{number}" if number > 1 else f"{path}#{anchor}"
            if found not in used:
                used.add(found)
                return found

    for section in sections:
        anchor = _slug(section.headings[-1] if section.headings else title)
        heading = " > ".join(section.headings)
        parts = [(new_id(anchor), text) for text in _pieces(section.text.strip())]
        for (id_, text), (continued, _) in pairwise([*parts, ("", "")]):
            yield Passage(id_, path, title, heading, text, continued)


def _pieces(text: str) -> Iterator[str]:
    """Split a text into pieces of at most a passage's length, between paragraphs if possible."""
    piece = ""
    for paragraph in re.split(r"\n\s*\n", text):
        for part in _parts(paragraph):
            if piece and len(piece) + len(part) > PASSAGE_CHARS:
                yield piece
                piece = ""
            piece = f"{piece}\n\n{part}" if piece else part
    if piece:
        yield piece


def _parts(paragraph: str) -> Iterator[str]:
    """Split a long paragraph between lines, sentences or words, or else anywhere."""
    at = 0
    while len(paragraph) - at > PASSAGE_CHARS:
        end = at + PASSAGE_CHARS
        breaks = (
            found + len(mark)
            for mark in _BREAKS
            if (found := paragraph.rfind(mark, at + PASSAGE_CHARS // 2, end - len(mark))) >= 0
        )
        end = next(breaks, end)
        if part := paragraph[at:end].strip():
            yield part
        at = end
    if part := paragraph[at:].strip():
        yield part


def _slug(heading: str) -> str:
    return re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading.lower())).strip("-") or "text"
