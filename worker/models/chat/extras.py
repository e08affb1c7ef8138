"""What models add to the text of an answer: citations, and media that are not supported."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

import structlog
from openai.types.chat import ChatCompletionChunk
from pydantic_ai.messages import ModelResponse

from shared.surrogates import replace_lone_surrogates

log = structlog.stdlib.get_logger()

#: The key of an answer's citations in its `provider_details`.
CITATIONS = "citations"
#: The field for the types of content parts that are neither text nor reasoning.
OTHER_PARTS = "other_content_parts"

#: Fields of a delta with media, besides `audio`.
_MEDIA = ("images", "video", "files")
#: Fields of a chunk with the sources of the whole answer, as Perplexity sends them.
SOURCES = ("search_results", "citations")
_URL = re.compile(r"https?://\S{1,2000}", re.IGNORECASE)
_NAME = re.compile(r"[a-z][a-z_]{0,31}")
_MAX_CITATIONS = 100
_MAX_TITLE = 500


class AnswerExtras:
    """Collects the citations of a streamed answer, and what is left out of it."""

    def __init__(self) -> None:
        #: Titles by URL.
        self._citations: dict[str, str | None] = {}
        self._left_out: set[str] = set()

    def add(self, chunk: ChatCompletionChunk) -> None:
        if chunk.model_extra:
            for field in SOURCES:
                self._add_citations(_items(chunk.model_extra.get(field)), "source")
        for choice in chunk.choices:
            if choice.delta.audio:
                self._left_out.add("audio")
            if fields := choice.delta.model_extra:
                self._add_fields(fields)

    def log_left_out(self) -> None:
        if self._left_out:
            log.warning(
                "answer.parts_left_out",
                message="Parts of the model's answer are not supported and were left out",
                kinds=sorted(self._left_out),
            )

    def details(self) -> dict[str, Any]:
        """Return the citations for the `provider_details` of the response."""
        pairs = [{"url": url, "title": title} for url, title in self._citations.items()]
        return {CITATIONS: pairs} if pairs else {}

    def _add_fields(self, fields: Mapping[str, Any]) -> None:
        self._left_out |= {name for name in _MEDIA if fields.get(name)}
        self._left_out |= {_kind(name) for name in _items(fields.get(OTHER_PARTS))}
        self._add_citations(_items(fields.get("annotations")), "annotation")

    def _add_citations(self, items: Iterable[object], kind: str) -> None:
        for item in items:
            entry = cast("dict[str, Any]", item) if isinstance(item, dict) else {"url": item}
            nested: object = entry.get("url_citation")
            source = cast("dict[str, Any]", nested) if isinstance(nested, dict) else entry
            url: object = source.get("url")
            full = len(self._citations) >= _MAX_CITATIONS
            if full or not isinstance(url, str) or not _URL.fullmatch(url):
                self._left_out.add(_kind(entry.get("type", kind)))
                continue
            title: object = source.get("title")
            text = replace_lone_surrogates(title)[:_MAX_TITLE] if isinstance(title, str) else None
            name = replace_lone_surrogates(url)
            self._citations[name] = self._citations.get(name) or text or None


def citations_of(response: ModelResponse) -> list[tuple[str, str | None]]:
    """Return the URLs and titles that `AnswerExtras` found in a response."""
    found: list[dict[str, Any]] = (response.provider_details or {}).get(CITATIONS, [])
    return [(entry["url"], entry["title"]) for entry in found]


def _kind(name: object) -> str:
    """Return the name of a kind of part, as it may be logged."""
    return name if isinstance(name, str) and _NAME.fullmatch(name) else "other"


def _items(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []
