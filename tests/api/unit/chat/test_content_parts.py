"""Content parts of OpenAI, Anthropic, and the AI SDK's model messages."""

from typing import Any

import pytest

from shared.chat.messages import FilePart, Part, TextPart
from shared.errors import InvalidRequest
from shared.settings import LimitSettings
from tests.support.fakes.chat_requests import read_body

PNG = "iVBORw0KGgo="
URL = "https://a.test/a.png"
DATA = f"data:image/png;base64,{PNG}"
BARE = f"data:;base64,{PNG}"
LIMITS = LimitSettings(media_types=("text/*", "image/*", "audio/*"))


async def parts(content: list[Any], role: str = "user") -> tuple[Part, ...]:
    older = [] if role == "user" else [{"role": "user", "content": "Hi"}]
    body = {"messages": [*older, {"role": role, "content": content}]}
    chat = await read_body(body, LIMITS)
    return chat.history()[-1].parts


FILES: dict[str, tuple[dict[str, Any], str, str]] = {
    "OpenAI image": ({"type": "image_url", "image_url": {"url": DATA, "detail": "low"}}, DATA, ""),
    "OpenAI image as text": ({"type": "image_url", "image_url": URL}, URL, ""),
    "OpenAI response image": ({"type": "input_image", "image_url": DATA}, DATA, ""),
    "OpenAI response file": ({"type": "input_file", "file_data": DATA, "filename": "a"}, DATA, ""),
    "OpenAI response URL": ({"type": "input_file", "file_url": URL}, URL, ""),
    "OpenAI file": ({"type": "file", "file": {"file_data": PNG, "filename": "a"}}, BARE, ""),
    "OpenAI flat file": ({"type": "file", "file_data": DATA, "filename": "a"}, DATA, ""),
    "OpenAI audio": (
        {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}},
        "data:;base64,SUQz",
        "audio/mpeg",
    ),
    "vLLM video": ({"type": "video_url", "video_url": {"url": URL}}, URL, ""),
    "AI SDK image": ({"type": "image", "image": DATA}, DATA, ""),
    "AI SDK base64": ({"type": "image", "image": PNG, "mimeType": "image/png"}, BARE, "image/png"),
    "AI SDK image URL": (
        {"type": "image", "image": URL, "mediaType": "image/png"},
        URL,
        "image/png",
    ),
    "AI SDK file": ({"type": "file", "data": PNG, "mediaType": "image/png"}, BARE, "image/png"),
    "AI SDK file URL": ({"type": "file", "data": URL, "mimeType": "image/png"}, URL, "image/png"),
    "LangChain image": (
        {"type": "image", "base64": PNG, "mime_type": "image/png"},
        BARE,
        "image/png",
    ),
    "LangChain image URL": ({"type": "image", "source_type": "url", "url": URL}, URL, ""),
    "LangChain image data": (
        {"type": "image", "source_type": "base64", "data": PNG, "mime_type": "image/png"},
        BARE,
        "image/png",
    ),
    "LangChain file": (
        {"type": "file", "base64": PNG, "mime_type": "image/png"},
        BARE,
        "image/png",
    ),
    "AI SDK 7 type": ({"type": "file", "data": DATA, "mediaType": "image"}, DATA, "image"),
    "AI SDK 7 type of a URL": ({"type": "file", "url": URL, "mediaType": "image"}, URL, "image"),
    "AI SDK 7 data": (
        {"type": "file", "data": {"type": "data", "data": PNG}, "mediaType": "image/png"},
        BARE,
        "image/png",
    ),
    "AI SDK 7 URL": (
        {"type": "file", "data": {"type": "url", "url": URL}, "mediaType": "image/png"},
        URL,
        "image/png",
    ),
    "AI SDK 7 text": (
        {"type": "file", "data": {"type": "text", "text": "ä,b"}, "mediaType": "text/csv"},
        "data:text/plain;charset=utf-8,%C3%A4%2Cb",
        "text/csv",
    ),
    "AI SDK 5 file without a type": ({"type": "file", "url": "DATA:,a"}, "data:,a", ""),
    "Anthropic image": (
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        BARE,
        "image/png",
    ),
    "Anthropic URL": ({"type": "document", "source": {"type": "url", "url": URL}}, URL, ""),
}


@pytest.mark.parametrize(("part", "url", "media_type"), FILES.values(), ids=FILES)
async def test_file_of_another_api_is_accepted(
    part: dict[str, Any], url: str, media_type: str
) -> None:
    [file] = await parts([part])

    assert isinstance(file, FilePart)
    assert file.url == url
    assert file.media_type.startswith(media_type)


@pytest.mark.parametrize("kind", ["text", "input_text", "output_text"])
async def test_texts_of_other_apis_are_accepted(kind: str) -> None:
    assert await parts([{"type": kind, "text": "Hi"}]) == (TextPart(text="Hi"),)


async def test_refusal_of_an_older_answer_is_a_text() -> None:
    assert await parts([{"type": "refusal", "refusal": "No."}], "assistant") == (
        TextPart(text="No."),
    )


async def test_order_of_content_parts_is_kept() -> None:
    image = {"type": "image_url", "image_url": {"url": DATA}}
    text = {"type": "text", "text": "and"}

    assert [part.type for part in await parts([text, image, text, image, text])] == [
        *("text", "file", "text", "file", "text")
    ]


REFUSED: dict[str, tuple[Any, str]] = {
    "unknown type": ({"type": "image_uri", "image_uri": URL}, ""),
    "image without a URL": ({"type": "image_url"}, ".image_url"),
    "image with an empty object": ({"type": "image_url", "image_url": {}}, ".image_url"),
    "image by id": ({"type": "input_image", "file_id": "file-1"}, ".image_url"),
    "file by id": ({"type": "file", "file": {"file_id": "file-1"}}, ".file.file_data"),
    "file by reference": (
        {"type": "file", "data": {"type": "reference", "reference": {"openai": "file-1"}}},
        ".data",
    ),
    "empty tagged data": ({"type": "file", "data": {"type": "data"}}, ".data"),
    "bytes as an object": ({"type": "image", "image": {"0": 137}}, ".image"),
    "broken base64": ({"type": "file", "data": "?", "mimeType": "image/png"}, ".data"),
    "call without a message": ({"type": "tool_use", "id": "a", "name": "f"}, ""),
}


@pytest.mark.parametrize(("part", "path"), REFUSED.values(), ids=REFUSED)
async def test_part_that_cannot_be_used_is_refused_by_name(part: Any, path: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await parts([{"type": "text", "text": "Look"}, part])

    assert caught.value.field == f"messages[0].content[1]{path}"


@pytest.mark.parametrize(
    ("name", "clean"),
    [("a\r\nb.txt", "a b.txt"), ("x" * 300, "x" * 255), (5, None), ("\0", None), ("ü 😀", "ü 😀")],
)
async def test_file_name_is_one_printable_line(name: Any, clean: str | None) -> None:
    [file] = await parts([{"type": "file", "url": "data:,a", "filename": name}])

    assert isinstance(file, FilePart)
    assert file.filename == clean


@pytest.mark.parametrize("media_type", [None, 5, "image/jpg", " Image/PNG ; q=1", "x" * 300])
async def test_any_media_type_of_a_png_is_accepted(media_type: Any) -> None:
    assert await parts([{"type": "file", "url": DATA, "mediaType": media_type}])
