"""Files in requests: accepted types, and limits of downloads by URL."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncGenerator, Generator
from typing import Any

import httpx
import pytest
from pydantic_ai import _ssrf
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import BinaryContent, ImageUrl, ModelRequest, UserPromptPart
from structlog.testing import capture_logs

from shared.chat.messages import FilePart, Message, TextPart
from shared.errors import FileTimeout
from tests.support.fakes.media import JPEG, PDF, PNG, WEBP, ZIP
from tests.support.fakes.pages import Pages
from tests.support.processes import Api, Valkey
from worker.agents import files
from worker.agents.files import download_files
from worker.agents.history import model_messages
from worker.models.run_failures import failure_of

Json = dict[str, Any]
FIELD = "messages[0].parts[0]"


@pytest.fixture(scope="module")
def api(valkey: Valkey) -> Generator[Api]:
    limits = {"FILES": "2", "FILE_BYTES": "1000"}
    process = Api(valkey.url, {f"MAMBA_LIMITS__{name}": value for name, value in limits.items()})
    asyncio.run(process.start().ready())
    yield process
    asyncio.run(process.stop())


@pytest.fixture
async def http(api: Api) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=api.url, timeout=30) as client:
        yield client


def file(media_type: str, content: bytes) -> Json:
    url = f"data:{media_type};base64,{b64encode(content).decode()}"
    return {"type": "file", "mediaType": media_type, "url": url}


async def answer(http: httpx.AsyncClient, *parts: Json, role: str = "user") -> tuple[int, Json]:
    """Return the status, and the problem if the request is refused."""
    message = {"role": role, "parts": [*parts, {"type": "text", "text": "Look"}]}
    older = [] if role == "user" else [{"role": "user", "content": "Well?"}]
    body = {"messages": [*older, message]}
    async with http.stream("POST", "/chat", json=body) as response:
        refused = response.status_code != 200
        return response.status_code, json.loads(await response.aread()) if refused else {}


ACCEPTED = {
    "png": ("image/png", PNG),
    "jpeg": ("image/jpeg", JPEG),
    "jpeg sent as png": ("image/png", JPEG),
    "webp": ("image/webp", WEBP),
    "pdf": ("application/pdf", PDF),
    "csv": ("text/csv", b"a,b"),
    "json": ("application/json", b"{}"),
    "yaml": ("application/yaml", b"a: 1"),
    "no media type": ("", b"x = 1"),
}


@pytest.mark.parametrize(("media_type", "content"), ACCEPTED.values(), ids=ACCEPTED)
async def test_supported_file_types_are_accepted(
    http: httpx.AsyncClient, media_type: str, content: bytes
) -> None:
    assert await answer(http, file(media_type, content)) == (200, {})


REFUSED = {
    "zip": (
        file("application/zip", ZIP),
        "Files of type application/zip are not allowed. Allowed ",
    ),
    "zip sent as text": (file("text/plain", ZIP), "is not text, but is declared as"),
    "HTML sent as image": (file("image/png", b"<html>"), "is not image/png, as declared"),
    "audio by URL": (
        {"type": "file", "mediaType": "audio/wav", "url": "https://a.example/a.wav"},
        "Files of type audio/wav are not allowed",
    ),
}


@pytest.mark.parametrize(("part", "detail"), REFUSED.values(), ids=REFUSED)
async def test_unsupported_file_type_returns_422(
    http: httpx.AsyncClient, part: Json, detail: str
) -> None:
    status, problem = await answer(http, part)

    assert (status, problem["code"]) == (422, "unsupported_content")
    assert problem["field"] == f"{FIELD}.mediaType"
    assert detail in problem["detail"]


async def test_too_large_or_too_many_files_return_413(
    http: httpx.AsyncClient,
) -> None:
    small = file("text/plain", b"a" * 1000)

    status, problem = await answer(http, small, file("text/plain", b"a" * 1001))
    assert (status, problem["field"]) == (413, "messages[0].parts[1]")
    assert "1,000 bytes" in problem["detail"]
    status, problem = await answer(http, small, small, small)
    assert (status, problem["field"]) == (413, "messages[0].parts[2]")
    assert (await answer(http, small, small))[0] == 200


async def test_assistant_files_are_not_checked(http: httpx.AsyncClient) -> None:
    assert (await answer(http, file("application/zip", ZIP), role="assistant"))[0] == 200


def conversation(url: str, media_type: str = "image/png") -> list[Any]:
    part = FilePart(media_type=media_type, url=url, filename="a.png")
    return list(model_messages([Message(role="user", parts=(part, TextPart(text="Look")))]))


PRIVATE = {
    "loopback": "http://127.0.0.1:{port}/a.png",
    "hostname of loopback": "http://localhost:{port}/a.png",
    "IPv6": "http://[::1]:{port}/a.png",
    "mapped": "http://[::ffff:127.0.0.1]:{port}/a.png",
    "cloud metadata": "http://169.254.169.254/latest/meta-data",
    "private network": "http://10.0.0.1/a.png",
}


@pytest.mark.parametrize("url", PRIVATE.values(), ids=PRIVATE)
async def test_private_address_is_not_requested(url: str) -> None:
    async with Pages({"/a.png": ("image/png", PNG)}) as pages:
        with pytest.raises(ValueError, match=r"blocked|private") as raised:
            await download_files(conversation(url.format(port=pages.port)), 1000)

    assert failure_of(raised.value).code == "file_unavailable"
    assert not pages.requested_paths


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat the addresses of this machine as public."""

    def is_private(_: str) -> bool:
        return False

    monkeypatch.setattr(_ssrf, "is_private_ip", is_private)


@pytest.mark.usefixtures("public")
async def test_file_url_is_downloaded_and_its_type_detected() -> None:
    async with Pages({"/a": ("image/png", JPEG), "/b": ("text/plain", "é".encode("latin-1"))}) as p:
        image = await download_files(conversation(f"{p.url}/a"), 1000)
        [text] = await download_files(conversation(f"{p.url}/b", "application/octet-stream"), 1000)

    assert content(image[0]) == BinaryContent(JPEG, media_type="image/jpeg", identifier="a.png")
    assert content(text) == BinaryContent("é".encode(), media_type="text/plain", identifier="a.png")


def content(message: Any) -> Any:
    assert isinstance(message, ModelRequest)
    [part] = message.parts
    assert isinstance(part, UserPromptPart)
    file_content, text = part.content
    assert text == "Look"
    assert not isinstance(file_content, ImageUrl)
    return file_content


@pytest.mark.usefixtures("public")
async def test_failed_download_has_an_error_code() -> None:
    pages = {"/large": ("image/png", PNG * 100), "/page": ("text/html", b"<html>")}
    async with Pages(pages) as p:
        codes: list[str] = []
        for path in ("large", "none", "page"):
            with pytest.raises((ValueError, httpx.HTTPError, UserError)) as raised:
                await download_files(conversation(f"{p.url}/{path}"), 1000)
            codes.append(failure_of(raised.value).code)

    assert codes == ["file_unavailable", "file_unavailable", "unsupported_content"]


UNFETCHED = {
    "status": ("{url}/gone?key=SECRET", 410, "The file's server answered with an error status."),
    "too large": ("{url}/large?key=SECRET", None, "The file is too large."),
    "redirects": ("{url}/loop?key=SECRET", None, "The file's server redirects too often."),
    "refused": (
        "http://127.0.0.1:1/?key=SECRET",
        None,
        "The file's server refused the connection.",
    ),
    "no host": (
        "http://none.invalid/?key=SECRET",
        None,
        "The host of the file cannot be resolved.",
    ),
    "metadata": (
        "http://169.254.169.254/?key=SECRET",
        None,
        "The address of the file is private.",
    ),
}


@pytest.mark.usefixtures("public")
@pytest.mark.parametrize(("url", "status", "received"), UNFETCHED.values(), ids=UNFETCHED)
async def test_reason_of_a_failed_download_is_known(
    url: str, status: int | None, received: str
) -> None:
    pages = {
        "/large": ("image/png", PNG * 100),
        "/gone": ("410 Gone text/plain", b"SECRET"),
        "/loop": ("location", b"/loop?key=SECRET"),
    }
    async with Pages(pages) as p:
        with pytest.raises((ValueError, httpx.HTTPError)) as raised:
            await download_files(conversation(url.format(url=p.url)), 1000)

    failure = failure_of(raised.value)
    expected = {"received": received} | ({"upstream_status": status} if status else {})
    assert (failure.code, failure.upstream_fields) == ("file_unavailable", expected)


@pytest.mark.usefixtures("public")
async def test_file_of_an_older_message_is_logged_with_a_reason() -> None:
    async with Pages({"/a": ("image/png", PNG)}) as p:
        messages = [*conversation(f"{p.url}/none?key=SECRET"), *conversation(f"{p.url}/a")]
        with capture_logs() as logs:
            await download_files(messages, 1000)

    [entry] = logs
    assert (entry["event"], entry["upstream_status"]) == ("file.left_out", 404)
    assert "SECRET" not in str(logs)


@pytest.mark.usefixtures("public")
@pytest.mark.parametrize("limit", ["_FILE_SECONDS", "_TOTAL_SECONDS"])
async def test_slow_download_times_out(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(files, limit, 0.5)
    connections: list[asyncio.Task[Any] | None] = []

    async def send_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(asyncio.current_task())
        await reader.readline()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.01)
        writer.close()

    async with await asyncio.start_server(send_slowly, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(FileTimeout) as raised:
            await download_files(conversation(f"http://127.0.0.1:{port}/a"), 1_000_000)
        await asyncio.gather(*filter(None, connections))

    assert failure_of(raised.value).code == "file_timeout"


@pytest.mark.usefixtures("public")
async def test_total_download_size_is_limited() -> None:
    """A small request can name a thousand large files."""
    async with Pages({"/a": ("image/png", PNG + b"x" * (1000 - len(PNG)))}) as p:
        ten = conversation(f"{p.url}/a") * 10
        assert len(await download_files(ten, 1000)) == 10
        downloaded = await download_files(ten * 10, 1000)
        fetching = [task for task in asyncio.all_tasks() if "resolve" in repr(task)]

    assert fetching == []
    assert len(p.requested_paths) < 30
    assert sum(isinstance(files_of(message)[0], BinaryContent) for message in downloaded) < 20
    assert files_of(downloaded[0])[0] == NOTE


NOTE = "[Left out of this message: a file of type image/png that is not available.]"


def files_of(message: Any) -> list[Any]:
    [part] = message.parts
    return list(part.content)


@pytest.mark.usefixtures("public")
async def test_older_file_that_is_gone_is_left_out() -> None:
    pages = {"/large": ("image/png", PNG * 100), "/page": ("text/html", b"<html>")}
    async with Pages({**pages, "/a": ("image/png", PNG)}) as p:
        urls = [f"{p.url}/{path}" for path in ("large", "none", "page")]
        older = [*urls, "http://127.0.0.1:1/refused", "http://[::bad/"]
        history = [message for url in older for message in conversation(url)]
        *left_out, new = await download_files([*history, *conversation(f"{p.url}/a")], 1000)

    assert [files_of(message) for message in left_out] == [[NOTE, "Look"]] * len(older)
    assert files_of(new)[0] == BinaryContent(PNG, media_type="image/png", identifier="a.png")


@pytest.mark.usefixtures("public")
async def test_older_file_out_of_time_is_left_out_of_the_history(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(files, "_TOTAL_SECONDS", 0)
    async with Pages({"/a": ("image/png", PNG)}) as p:
        older = await download_files(
            [*conversation(f"{p.url}/a"), *model_messages([ANSWERED])], 1000
        )

    assert files_of(older[0])[0] == NOTE
    assert not p.requested_paths


ANSWERED = Message(role="assistant", parts=(TextPart(text="I see."),))
