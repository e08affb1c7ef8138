"""Files of a user: sent in a form that the model supports, or reported as an error."""

from base64 import b64encode
from typing import Any

import pytest

from tests.support.ai_client.driver import VERSIONS, AiClient, Version
from tests.support.fakes.media import JPEG, PDF, PNG
from tests.support.sse_client import Json, SseClient, SseEvent, check_whole, error_code, text
from tests.support.system.running_system import System

pytestmark = pytest.mark.asyncio(loop_scope="session")


def file(media_type: str, content: bytes, name: str) -> Json:
    url = f"data:{media_type};base64,{b64encode(content).decode()}"
    return {"type": "file", "mediaType": media_type, "url": url, "filename": name}


async def ask(system: System, sse: SseClient, model: str, *files: Json) -> list[SseEvent]:
    parts = [*files, {"type": "text", "text": "Look"}]
    messages = [{"id": "m1", "role": "user", "parts": parts}]
    return await sse.answer(system.chat, model, model=model, messages=messages)


async def received(system: System, model: str) -> list[Json]:
    """The content of the user message that the model received."""
    [request] = await system.upstream.requests(model)
    return request["body"]["messages"][-1]["content"]


async def test_image_is_sent_with_its_detected_media_type(
    system: System, sse: SseClient, name: str
) -> None:
    await system.upstream.script(name, [[{"text": ["Seen."]}]])

    events = await ask(
        system, sse, name, file("image/png", PNG, "a.png"), file("image/png", JPEG, "b.png")
    )

    check_whole(events)
    assert text(events) == "Seen."
    first, second, prompt = await received(system, name)
    assert first["image_url"]["url"] == f"data:image/png;base64,{b64encode(PNG).decode()}"
    assert second["image_url"]["url"].startswith("data:image/jpeg;base64,")
    assert prompt == {"type": "text", "text": "Look"}


TEXTS = {
    "text/csv": ("größe,7".encode("latin-1"), "größe,7"),
    "application/json": (b'{"a": 1}', '{"a": 1}'),
    "application/x-yaml": (b"a: 1", "a: 1"),
    "image/svg+xml": (b"<svg/>", "<svg/>"),
    "": (b"print(1)", "print(1)"),
}


@pytest.mark.parametrize(("media_type", "content"), TEXTS.items(), ids=TEXTS)
async def test_text_file_is_sent_as_text_with_its_filename(
    system: System, sse: SseClient, name: str, media_type: str, content: tuple[bytes, str]
) -> None:
    model = f"gpt-3.5-turbo-{name}"
    await system.upstream.script(model, [[{"text": ["Read."]}]])

    events = await ask(system, sse, model, file(media_type, content[0], "notes.x"))

    check_whole(events)
    part, _ = await received(system, model)
    assert part["type"] == "text"
    assert content[1] in part["text"]
    assert "notes.x" in part["text"]


async def test_pdf_keeps_its_filename(system: System, sse: SseClient, name: str) -> None:
    await system.upstream.script(name, [[{"text": ["Read."]}]])

    check_whole(await ask(system, sse, name, file("application/pdf", PDF, "terms.pdf")))

    part, _ = await received(system, name)
    assert part["file"] == {
        "filename": "terms.pdf",
        "file_data": f"data:application/pdf;base64,{b64encode(PDF).decode()}",
    }


async def test_image_for_a_text_model_fails_before_the_request(
    system: System, sse: SseClient, name: str
) -> None:
    model = f"gpt-3.5-turbo-{name}"
    await system.upstream.script(model, [[{"text": ["Never."]}]])

    events = await ask(system, sse, model, file("image/png", PNG, "a.png"))

    check_whole(events, ending="error")
    assert error_code(events) == "unsupported_content"
    assert await system.upstream.requests(model) == []


@pytest.mark.parametrize("media_type", ["image/png", "application/pdf", "text/plain"])
async def test_file_at_a_private_address_is_not_fetched(
    system: System, sse: SseClient, name: str, media_type: str
) -> None:
    await system.upstream.script(name, [[{"text": ["Never."]}]])
    url = f"{system.upstream.url}/requests/{name}"

    part: Json = {"type": "file", "mediaType": media_type, "url": url}
    events = await ask(system, sse, name, part)

    check_whole(events, ending="error")
    assert error_code(events) == "file_unavailable"
    assert await system.upstream.requests(name) == []


@pytest.mark.parametrize("version", VERSIONS)
async def test_file_in_the_history_is_sent_again(
    system: System, ai: AiClient, name: str, version: Version
) -> None:
    await system.upstream.script(name, [[{"text": ["A snake."]}]])
    earlier: list[dict[str, Any]] = [
        {
            "id": "m1",
            "role": "user",
            "parts": [file("image/png", PNG, "a.png"), {"type": "text", "text": "What is it?"}],
        },
        {"id": "m2", "role": "assistant", "parts": [{"type": "text", "text": "An animal."}]},
    ]

    answer = await ai.send(
        ai=version,
        api=system.chat,
        chat=name,
        body={"model": name},
        messages=earlier,
        text="Which one?",
    )

    assert (answer.error, answer.text) == (None, "A snake.")
    [request] = await system.upstream.requests(name)
    first, *_ = request["body"]["messages"]
    assert [content["type"] for content in first["content"]] == ["image_url", "text"]
