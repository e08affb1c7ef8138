"""Citations and media of a model's answer: shown as sources, or left out with a log event."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.streams.events import FinishStep, SourceUrl
from tests.support.run_chat_harness import RunChatHarness, kinds, start
from tests.support.upstream.client import Upstream, sse_body
from worker.models.registry import ModelRegistry

pytestmark = pytest.mark.usefixtures("no_pauses")

URL = "https://a.test/x?y=1"


def chunk(delta: Any, reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **fields}


def cited(url: Any, title: Any = "A", kind: str = "url_citation") -> dict[str, Any]:
    return {"type": kind, kind: {"url": url, "title": title, "start_index": 0, "end_index": 2}}


TEXT = chunk({"role": "assistant", "content": "Hi"})
STOP = chunk({}, "stop")
SOURCE = SourceUrl(source_id=URL, url=URL, title="A")
BARE = SourceUrl(source_id=URL, url=URL)
#: Chunks with the sources that clients receive, and the kinds of parts that are logged.
EXTRAS: dict[str, tuple[list[Any], list[SourceUrl], list[str]]] = {
    "OpenAI": ([TEXT, chunk({"annotations": [cited(URL)]}), STOP], [SOURCE], []),
    "with the first text": (
        [chunk({"content": "Hi", "annotations": [cited(URL)]}), STOP],
        [SOURCE],
        [],
    ),
    "twice": ([TEXT, chunk({"annotations": [cited(URL), cited(URL, "B")]}), STOP], [SOURCE], []),
    "flat": (
        [TEXT, chunk({"annotations": [{"type": "url_citation", "url": URL}]}), STOP],
        [BARE],
        [],
    ),
    "Perplexity": (
        [
            chunk({"content": "Hi"}, citations=[URL], search_results=[{"title": "A", "url": URL}]),
            STOP,
        ],
        [SOURCE],
        [],
    ),
    "script URL": (
        [TEXT, chunk({"annotations": [cited("javascript:x")]}), STOP],
        [],
        ["url_citation"],
    ),
    "file citation": (
        [TEXT, chunk({"annotations": [cited("f", kind="file_citation")]}), STOP],
        [],
        ["file_citation"],
    ),
    "odd annotations": (
        [TEXT, chunk({"annotations": [5, {"type": "SECRET "}]}), STOP],
        [],
        [
            "annotation",
            "other",
        ],
    ),
    "images": (
        [TEXT, chunk({"images": [{"image_url": {"url": "data:image/png;base64,SECRET"}}]}), STOP],
        [],
        ["images"],
    ),
    "audio": ([TEXT, chunk({"audio": {"id": "1", "data": "SECRET"}}), STOP], [], ["audio"]),
    "content part": (
        [chunk({"content": [{"type": "text", "text": "Hi"}, {"type": "image_url"}]}), STOP],
        [],
        ["image_url"],
    ),
    "nothing": ([TEXT, chunk({"annotations": [], "images": None, "audio": None}), STOP], [], []),
}


@pytest.mark.parametrize(("chunks", "sources", "left_out"), EXTRAS.values(), ids=EXTRAS)
async def test_citations_are_sources_and_media_are_logged(
    harness: RunChatHarness,
    upstream: Upstream,
    models: ModelRegistry,
    chunks: list[Any],
    sources: list[SourceUrl],
    left_out: list[str],
) -> None:
    await upstream.script("m", [[{"text": ["unused"]}]], [{"raw": sse_body(*chunks)}])

    with capture_logs() as logs:
        await start(harness.runner(models=models))

    log = await harness.log()
    assert [event for event in log if isinstance(event, SourceUrl)] == sources
    assert kinds(log)[-1] == "finish"
    if sources:
        assert log.index(sources[-1]) == log.index(FinishStep()) - 1
    logged = [entry["kinds"] for entry in logs if entry["event"] == "answer.parts_left_out"]
    assert logged == ([left_out] if left_out else [])
    assert "SECRET" not in str(logs)
    assert "SECRET" not in str(log)
