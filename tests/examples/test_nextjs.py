"""The example `nextjs`: its tokens, its webhook, and its pages in a browser."""

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import jwt
import pytest
import pytest_asyncio
from dotenv import dotenv_values
from standardwebhooks.webhooks import Webhook

from tests.examples.conftest import MODEL
from tests.support.ai_client.driver import Json
from tests.support.auth.credentials import secret_token, valid_claims
from tests.support.browser.page import Browser
from tests.support.browser.window import open_window
from tests.support.chat_page.documented_window import DocumentedWindow, open_page
from tests.support.examples.documented_files import EXAMPLES
from tests.support.examples.example_app import (
    ExampleServer,
    install_example,
    open_backend,
    open_example,
)
from tests.support.processes import free_port
from tests.support.system.running_system import System
from tests.support.upstream.client import Upstream
from tests.support.wait import until
from web.node import find_node

pytestmark = pytest.mark.asyncio(loop_scope="session")

FOLDER = EXAMPLES / "nextjs"
#: The documented settings, which Mamba and the application share.
SETTINGS = {
    name: value for name, value in dotenv_values(FOLDER / ".env.development").items() if value
}
#: The style sheets are loaded, so buttons no longer move.
LOADED = "document.readyState === 'complete'"
#: The request that resumes the chat, which follows the first token, has a response.
RESUMED = "performance.getEntriesByType('resource').some(({ name }) => name.endsWith('/stream'))"
#: Delays the requests that store messages, and records the order of the requests.
DELAY_STORE = """
(() => {
  window.steps = [];
  const send = window.fetch;
  window.fetch = async (url, init) => {
    const { method = 'GET' } = init ?? {};
    steps.push(method);
    if (method === 'PUT') await new Promise((resolve) => setTimeout(resolve, 300));
    const response = await send(url, init);
    if (method === 'PUT') steps.push('stored');
    return response;
  };
})()
"""
PAUSED: list[list[Json]] = [[{"text": ["Hel"]}, {"wait": True}, {"text": ["lo"]}]]


@dataclass
class NextApp:
    server: ExampleServer
    mamba: System
    data: Path

    @property
    def url(self) -> str:
        return self.server.url

    def client(self, user: str | None) -> httpx.AsyncClient:
        """Return a client of the application that is signed in as the user."""
        claims = valid_claims(sub=user)
        cookie = secret_token(claims, secret=SETTINGS["SESSION_SECRET"])
        cookies = {"session": cookie} if user else None
        return httpx.AsyncClient(base_url=self.url, cookies=cookies, timeout=60)

    def stored_messages(self, chat: str) -> list[list[str]]:
        """Return the role and the text of each message that the application has stored."""
        messages = self.read(chat)["messages"]
        return [[message["role"], text_of(message)] for message in messages]

    def read(self, chat: str) -> Json:
        """Return what the application has stored for a chat."""
        return json.loads((self.data / f"{chat}.json").read_text())

    async def until_stored(self, chat: str, *messages: list[str]) -> None:
        async def probe() -> bool:
            return self.stored_messages(chat) == [*messages]

        await until(probe, seconds=60)

    async def erase_at_mamba(self, chat: str) -> None:
        """Delete the runs of a chat, as Mamba does at the end of the retention."""
        async with httpx.AsyncClient(headers=mamba_headers("ann"), timeout=60) as client:
            assert (await client.delete(f"{self.mamba.chat}/{chat}")).status_code == 204

    async def send_event(self, event_id: str, event: Json, body: Json | None = None) -> int:
        """Sign an event, send it or another body as a webhook, and return the status."""
        now = datetime.now(UTC)
        secret = SETTINGS["MAMBA_WEBHOOKS__APP__SECRET"]
        headers = {
            "webhook-id": event_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(secret).sign(event_id, now, json.dumps(event)),
        }
        async with self.client(None) as client:
            content = json.dumps(body or event)
            response = await client.post("/api/mamba", content=content, headers=headers)
        return response.status_code


def text_of(message: Json) -> str:
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")


def answer_event(chat: str, text: str, *, minute: int = 0, owner: str = "jwt::ann") -> Json:
    """Return the event of an answer that ended in this minute."""
    metadata = {"mamba": {"finishedAt": f"2026-03-01T12:{minute:02}:00Z"}}
    parts = [{"type": "text", "text": text}]
    message = {"id": "msg_1", "role": "assistant", "parts": parts, "metadata": metadata}
    data = {"chatId": chat, "owner": owner, "messageUrl": "/", "message": message}
    return {"type": "run.succeeded", "data": data}


def mamba_headers(user: str) -> dict[str, str]:
    claims = valid_claims(sub=user, aud="mamba")
    token = secret_token(claims, secret=SETTINGS["MAMBA_AUTH__JWT__SECRET"])
    return {"authorization": f"Bearer {token}"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def app(
    upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[NextApp]:
    install_example("nextjs")
    await asyncio.to_thread(find_node().run, FOLDER, "build")
    port = free_port()
    webhook = {"MAMBA_WEBHOOKS__APP__URL": f"http://127.0.0.1:{port}/api/mamba"}
    settings = {**SETTINGS, **webhook, "MAMBA_OPENAI__DEFAULT_MODEL": MODEL}
    data = tmp_path_factory.mktemp("nextjs")
    async with open_backend(upstream, settings) as mamba:
        env = {**settings, "MAMBA_URL": mamba.apis[0].url, "DATA_FOLDER": str(data)}
        options = ("start", str(FOLDER), "--hostname", "127.0.0.1", "--port", str(port))
        server = ExampleServer("nextjs", "next/dist/bin/next", *options, port=port, env=env)
        async with open_example(server):
            yield NextApp(server, mamba, data)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def signed_in(app: NextApp, browser: Browser) -> NextApp:
    def sign_in() -> None:
        with open_window(browser) as window:
            window.visit(app.url)
            window.wait_until(LOADED)
            window.click("button", "Sign in as Ann")
            window.wait_for_text("Chats of ann")

    await asyncio.to_thread(sign_in)
    return app


@pytest_asyncio.fixture(loop_scope="session")
async def chat(signed_in: NextApp, browser: Browser) -> str:
    """The ID of a new chat of the user."""

    def start_chat() -> str:
        with open_window(browser) as window:
            window.visit(signed_in.url)
            window.wait_for_text("Chats of ann")
            window.wait_until(LOADED)
            window.click("button", "New chat")
            return window.wait_until("location.pathname.match(/^.chat.([-0-9a-f]+)$/)?.[1]")

    return await asyncio.to_thread(start_chat)


@pytest_asyncio.fixture(loop_scope="session")
async def page(signed_in: NextApp, browser: Browser, chat: str) -> AsyncGenerator[DocumentedWindow]:
    async with open_page(browser, f"{signed_in.url}/chat/{chat}") as page:
        yield page


async def test_reloaded_page_continues_the_answer(
    app: NextApp, page: DocumentedWindow, chat: str
) -> None:
    await app.mamba.upstream.script(MODEL, PAUSED)
    await page.send("Hi")
    await page.wait_for_text("Hel", ".assistant")
    await page.open()
    await page.wait_for_text("Hel", ".assistant")
    await app.mamba.upstream.release(MODEL)
    await page.wait_for_text("Hello", ".assistant")
    assert await page.messages() == [["user", "Hi"], ["assistant", "Hello"]]
    await app.until_stored(chat, ["user", "Hi"], ["assistant", "Hello"])


async def test_answer_is_stored_although_the_page_was_closed(
    signed_in: NextApp, browser: Browser, chat: str
) -> None:
    address = f"{signed_in.url}/chat/{chat}"
    upstream = signed_in.mamba.upstream
    await upstream.script(MODEL, PAUSED)
    async with open_page(browser, address) as page:
        await page.send("Hi")
        await page.wait_for_text("Hel", ".assistant")
        await signed_in.until_stored(chat, ["user", "Hi"])
    await upstream.release(MODEL)
    await signed_in.until_stored(chat, ["user", "Hi"], ["assistant", "Hello"])


async def test_message_is_stored_before_it_is_sent(app: NextApp, page: DocumentedWindow) -> None:
    await app.mamba.upstream.script(MODEL, [[{"text": ["Hello"]}]])
    await page.wait_until(RESUMED)
    await page.evaluate(DELAY_STORE)
    await page.send("Hi")
    await page.wait_for_text("Hello", ".assistant")
    assert (await page.evaluate("steps"))[:4] == ["PUT", "stored", "GET", "POST"]


async def test_history_outlives_the_retention_and_a_restart(
    app: NextApp, page: DocumentedWindow, chat: str
) -> None:
    history = [["user", "Hi"], ["assistant", "Hello"]]
    await app.mamba.upstream.script(MODEL, [[{"text": ["Hello"]}]])
    await page.send("Hi")
    await page.wait_for_text("Hello", ".assistant")
    await app.until_stored(chat, *history)

    await app.erase_at_mamba(chat)
    await app.server.kill()
    app.server.start()
    await app.server.ready()

    await page.open()
    await page.wait_for_text("Hello", ".assistant")
    assert await page.messages() == history


async def test_stop_stores_what_was_written(
    app: NextApp, page: DocumentedWindow, chat: str
) -> None:
    await app.mamba.upstream.script(MODEL, PAUSED)
    await page.send("Hi")
    await page.wait_for_text("Hel", ".assistant")
    await page.click("button", "Stop")
    outcomes = await app.mamba.upstream.until(
        MODEL, lambda got: got[-1]["outcome"] == "client-closed"
    )
    assert outcomes
    await app.until_stored(chat, ["user", "Hi"], ["assistant", "Hel"])
    await page.open()
    assert await page.messages() == [["user", "Hi"], ["assistant", "Hel"]]


async def test_display_tool_is_stored_and_shown_again(
    app: NextApp, page: DocumentedWindow, chat: str
) -> None:
    call = {"id": "c1", "name": "generateCard", "arguments": json.dumps({"title": "Lisbon"})}
    await app.mamba.upstream.script(MODEL, [[{"tool": call}], [{"text": ["Here"]}]])
    await page.send("Hi")
    await page.wait_for_text("Lisbon", ".assistant h3")
    await app.until_stored(chat, ["user", "Hi"], ["assistant", "Here"])
    await page.messages()
    await app.erase_at_mamba(chat)
    await page.open()
    await page.wait_for_text("Lisbon", ".assistant h3")
    await page.send("More")
    await page.wait_for_text("Here", ".assistant:nth-of-type(4)")
    await app.until_stored(
        chat, ["user", "Hi"], ["user", "More"], ["assistant", "Here"], ["assistant", "Here"]
    )


async def test_chat_of_another_user_is_not_found(
    app: NextApp, page: DocumentedWindow, chat: str
) -> None:
    await app.mamba.upstream.script(MODEL, [[{"text": ["Hello"]}]])
    await page.send("Hi")
    await app.until_stored(chat, ["user", "Hi"], ["assistant", "Hello"])
    async with app.client("bob") as client:
        assert (await client.get(f"/chat/{chat}")).status_code == 404
        assert (await client.put(f"/api/chats/{chat}", json=[])).status_code == 404
        token = (await client.get("/api/token")).json()["token"]
        answer = f"{app.mamba.chat}/{chat}/message"
        headers = {"authorization": f"Bearer {token}"}
        assert (await client.get(answer, headers=headers)).status_code == 404
        assert (await client.get(answer, headers=mamba_headers("ann"))).status_code == 200


@pytest.mark.parametrize(("body", "status"), [("", 400), ("[", 400), ("{}", 422), ("[{}]", 422)])
async def test_invalid_messages_are_refused(
    app: NextApp, chat: str, body: str, status: int
) -> None:
    async with app.client("ann") as client:
        response = await client.put(f"/api/chats/{chat}", content=body)
    assert response.status_code == status
    assert response.text
    assert app.stored_messages(chat) == []


async def test_token_is_short_lived_and_needs_a_session(app: NextApp) -> None:
    async with app.client(None) as client:
        assert (await client.get("/api/token")).status_code == 401
        assert (await client.get(f"{app.mamba.apis[0].url}/models")).status_code == 401
    async with app.client("ann") as client:
        token = (await client.get("/api/token")).json()["token"]
    secret = SETTINGS["MAMBA_AUTH__JWT__SECRET"]
    claims = jwt.decode(token, secret, algorithms=["HS256"], audience="mamba")
    assert claims["sub"] == "ann"
    assert claims["exp"] - datetime.now(UTC).timestamp() <= 300


async def test_forged_webhook_is_refused(app: NextApp, chat: str) -> None:
    signed, forged = answer_event(chat, "Real"), answer_event(chat, "Forged")

    assert await app.send_event("evt_1", signed, forged) == 401
    assert app.stored_messages(chat) == []


@pytest.mark.parametrize("owner", ["jwt::bob", "jwt:acme:ann", "api_key::ann"])
async def test_webhook_of_another_owner_is_not_stored(app: NextApp, chat: str, owner: str) -> None:
    """Another user can send the same chat ID to Mamba."""
    event = answer_event(chat, "Theirs", owner=owner)

    assert await app.send_event("evt_1", event) == 204
    assert app.stored_messages(chat) == []


@pytest.mark.parametrize("unknown", ["a" * 256, "..%2Fsecret", "../secret"])
async def test_unknown_chat_is_not_found(app: NextApp, unknown: str) -> None:
    """Users can send any chat ID to Mamba, whose webhooks for it must not fail."""
    assert await app.send_event("evt_1", answer_event(unknown, "Theirs")) == 204
    async with app.client("ann") as client:
        assert (await client.get(f"/chat/{unknown}")).status_code == 404
        assert (await client.put(f"/api/chats/{unknown}", json=[])).status_code == 404


async def test_long_answer_is_read_from_mamba(
    app: NextApp, page: DocumentedWindow, chat: str
) -> None:
    """Webhooks leave out long messages."""
    await app.mamba.upstream.script(MODEL, [[{"text": ["word " * 6000] * 10}]])
    await page.send("Hi")

    async def stored() -> Json | None:
        messages = app.read(chat)["messages"]
        return messages[1] if len(messages) == 2 else None

    answer = await until(stored, seconds=60)
    assert len(json.dumps(answer)) > 256 * 1024


async def test_repeated_and_late_webhooks_change_nothing(app: NextApp, chat: str) -> None:
    old, new = (answer_event(chat, text, minute=m) for m, text in enumerate(("Old", "New")))

    statuses = [
        await app.send_event(event_id, event)
        for event_id, event in (("evt_2", new), ("evt_1", old), ("evt_2", new))
    ]

    assert statuses == [204, 204, 204]
    assert app.stored_messages(chat) == [["assistant", "New"]]
