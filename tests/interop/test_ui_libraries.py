"""The chats of Vue and Svelte with each transport, in Node.js."""

import secrets
from pathlib import Path

import pytest

from tests.interop.conftest import InteropSystem
from tests.interop.ui_libraries.driver import (
    FOLDER,
    Library,
    Scenario,
    Shown,
    Transport,
    play,
    run_script,
)
from tests.support.ai_client.driver import Json
from tests.support.ai_client.stored_message import comparable_message, read_stored_message
from tests.support.chat_page.documented_code import blocks

#: The first test installs the libraries.
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

PAUSED: list[list[Json]] = [[{"text": ["Hel"]}, {"wait": True}, {"text": ["lo"]}]]

#: Transports of the AI SDK. `@ai-sdk/workflow` belongs to no library.
SDK_CHATS = [("vue", "default"), ("svelte", "default"), ("vue", "workflow")]
MAMBA_CHATS = [("vue", "mamba"), ("svelte", "mamba")]

#: A page with the transport of the documentation, whose chat and model the argument names.
DOCUMENTED_WORKFLOW = """
import { Chat } from '@ai-sdk/vue';
import { transport } from './transport.mjs';

const [name] = process.argv.slice(2);
const chat = new Chat({ id: name, transport });
await chat.sendMessage({ text: 'Hi' }, { body: { model: name } });
console.log(chat.messages.at(-1).parts.map(({ text }) => text ?? '').join(''));
process.exit(0);
"""


@pytest.mark.parametrize(("library", "transport"), SDK_CHATS)
async def test_answer_is_shown(
    system: InteropSystem, library: Library, transport: Transport
) -> None:
    shown, name = await _play(system, library, transport, "answer", [[{"text": ["Hel", "lo"]}]])

    await _check_whole(system, shown, name)


@pytest.mark.parametrize(("library", "transport"), SDK_CHATS + MAMBA_CHATS)
async def test_reloaded_page_shows_the_whole_answer(
    system: InteropSystem, library: Library, transport: Transport
) -> None:
    shown, name = await _play(system, library, transport, "resume", PAUSED)

    await _check_whole(system, shown, name)


@pytest.mark.parametrize("library", ["vue", "svelte"])
@pytest.mark.parametrize("transport", ["default", "mamba"])
async def test_stopped_answer_keeps_its_text(
    system: InteropSystem, library: Library, transport: Transport
) -> None:
    shown, name = await _play(system, library, transport, "stop", PAUSED)

    assert (shown.status, shown.error, shown.text) == ("ready", None, "Hel")
    await system.upstream.until(name, lambda got: got[0]["outcome"] == "client-closed")
    stored = await read_stored_message(f"{system.api.url}/chat/{name}/message")
    assert stored["id"] == shown.messages[-1]["id"]
    assert [part["text"] for part in stored["parts"] if part["type"] == "text"] == ["Hel"]


async def test_workflow_transport_reconnects_in_mid_answer(system: InteropSystem) -> None:
    shown, name = await _play(system, "vue", "workflow", "reconnect", PAUSED)

    await _check_whole(system, shown, name)


async def test_documented_workflow_transport_shows_the_answer(
    system: InteropSystem, tmp_path: Path
) -> None:
    name = secrets.token_hex(8)
    await system.upstream.script(name, [[{"text": ["Hel", "lo"]}]])
    [code] = [block for block in blocks("chat", "js") if "WorkflowChatTransport" in block]
    (tmp_path / "node_modules").symlink_to(FOLDER / "node_modules")
    code = code.replace("http://localhost:8000", system.api.url)
    (tmp_path / "transport.mjs").write_text(f"const authHeaders = {{}};\n{code}")
    (tmp_path / "page.mjs").write_text(DOCUMENTED_WORKFLOW)

    text = await run_script(str(tmp_path / "page.mjs"), name)

    assert text == "Hello"


async def _play(
    system: InteropSystem,
    library: Library,
    transport: Transport,
    scenario: Scenario,
    script: list[list[Json]],
) -> tuple[Shown, str]:
    name = secrets.token_hex(8)
    await system.upstream.script(name, script)
    shown = await play(
        library,
        transport,
        scenario,
        api=f"{system.api.url}/chat",
        chat=name,
        model=name,
        release=f"{system.upstream.url}/release/{name}",
    )
    return shown, name


async def _check_whole(system: InteropSystem, shown: Shown, name: str) -> None:
    """Check that the page shows the message that the API stores, and no other answer."""
    assert (shown.status, shown.error, shown.text) == ("ready", None, "Hello")
    assert [message["role"] for message in shown.messages] == ["user", "assistant"]
    stored = await read_stored_message(f"{system.api.url}/chat/{name}/message")
    assert comparable_message(shown.messages[-1]) == stored
