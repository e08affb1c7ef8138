"""Splits Markdown, HTML and plain-text documents into passages."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from bs4 import BeautifulSoup
from markdownify import MarkdownConverter

from worker.notes.passage import Passage

SUFFIXES = (".md", ".markdown", ".txt", ".html", ".htm")

#: About one screen, so that a search result is specific and uses few tokens.
_PASSAGE_CHARS = 2000
_HEADING = re.compile(r"(?P<level>#{1,6})[ \t]+(?P<text>.+?)[ \t]*#*[ \t]*")
_FENCE = re.compile(r"[ \t]{0,3}(```|~~~)")
_FRONT_MATTER = re.compile(r"---\n(?P<fields>.*?)\n---\n", re.DOTALL)
_FRONT_TITLE = re.compile(r"^title:[ \t]*[\"']?(?P<title>.+?)[\"']?[ \t]*$", re.MULTILINE)
_INVISIBLE = ("title", "script", "style", "nav", "noscript", "template")


def split_document(path: str, content: str) -> list[Passage]:
    """Split a document into passages, in order. The suffix of `path` determines the format."""
    kind = PurePosixPath(path).suffix.lower()
    title, text = _html(content) if kind.startswith(".htm") else _markdown(content)
    sections = [_Section((), content)] if kind == ".txt" else list(_sections(text))
    title = title or next((s.headings[0] for s in sections if s.headings), "")
    return list(_passages(path, title or PurePosixPath(path).stem, sections))


class _Section:
    def __init__(self, headings: tuple[str, ...], text: str) -> None:
        self.headings = headings
        self.text = text


def _markdown(content: str) -> tuple[str, str]:
    """Return the front matter's title, if any, and the text below the front matter."""
    front = _FRONT_MATTER.match(content)
    if front is None:
        return "", content
    title = _FRONT_TITLE.search(front["fields"])
    return title["title"] if title else "", content[front.end() :]


def _html(content: str) -> tuple[str, str]:
    page = BeautifulSoup(content, "html.parser")
    title = page.title.get_text(strip=True) if page.title else ""
    for element in page(_INVISIBLE):
        element.decompose()
    return title, MarkdownConverter(heading_style="ATX").convert_soup(page)


def _sections(text: str) -> Iterator[_Section]:
    """Split at headings, ignoring lines inside fenced code blocks."""
    headings: list[tuple[int, str]] = []
    lines: list[str] = []
    fence = ""
    for line in text.splitlines():
        if mark := _FENCE.match(line):
            fence = "" if mark[1] == fence else fence or mark[1]
        heading = None if fence else _HEADING.fullmatch(line)
        if heading is None:
            lines.append(line)
            continue
        yield _Section(tuple(name for _, name in headings), "\n".join(lines))
        lines = []
        level = len(heading["level"])
        headings = [*(h for h in headings if h[0] < level), (level, heading["text"])]
    yield _Section(tuple(name for _, name in headings), "\n".join(lines))


def _passages(path: str, title: str, sections: list[_Section]) -> Iterator[Passage]:
    seen: dict[str, int] = {}
    for section in sections:
        anchor = _slug(section.headings[-1] if section.headings else title)
        for text in _pieces(section.text.strip()):
            seen[anchor] = number = seen.get(anchor, 0) + 1
            suffix = f"-{number}" if number > 1 else ""
            heading = " > ".join(section.headings)
            yield Passage(f"{path}#{anchor}{suffix}", path, title, heading, text)


def _pieces(text: str) -> Iterator[str]:
    """Split a text between paragraphs into pieces of about a passage's length."""
    piece = ""
    for paragraph in re.split(r"\n\s*\n", text):
        if piece and len(piece) + len(paragraph) > _PASSAGE_CHARS:
            yield piece
            piece = ""
        piece = f"{piece}\n\n{paragraph}" if piece else paragraph
    if piece:
        yield piece


def _slug(heading: str) -> str:
    return re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading.lower())).strip("-") or "text"
