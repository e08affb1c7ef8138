"""A page of assistant-ui, rendered without a browser."""

import json
import secrets

import pytest

from tests.interop.conftest import InteropSystem
from tests.interop.ui_libraries.driver import run_script
from tests.support.ai_client.driver import Json

#: The first test installs the libraries.
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

QUESTION = "Where am I?"
CALL: Json = {"tool": {"id": "c1", "name": "getLocation", "arguments": '{"exact": true}'}}


PAUSED: list[list[Json]] = [[{"text": ["Hel"]}, {"wait": True}, {"text": ["lo"]}]]
#: With the transport of assistant-ui, and with that of Mamba.
each_transport = pytest.mark.parametrize("mamba", [False, True], ids=["own", "mamba"])


@each_transport
async def test_answer_is_shown(system: InteropSystem, mamba: bool) -> None:  # noqa: FBT001
    shown, _ = await _play(system, "answer", [[{"text": ["Hel", "lo"]}]], mamba=mamba)

    assert shown == [QUESTION, "Hello"]


@each_transport
async def test_reloaded_page_shows_the_whole_answer(
    system: InteropSystem,
    mamba: bool,  # noqa: FBT001
) -> None:
    shown, name = await _play(system, "reload", PAUSED, mamba=mamba)

    assert shown == [QUESTION, "Hello"]
    assert len(await system.upstream.requests(name)) == 1


@each_transport
async def test_stopped_answer_keeps_its_text(system: InteropSystem, mamba: bool) -> None:  # noqa: FBT001
    shown, name = await _play(system, "stop", PAUSED, mamba=mamba)

    assert shown == [QUESTION, "Hel"]
    await system.upstream.until(name, lambda got: got[0]["outcome"] == "client-closed")


async def test_client_tool_of_the_page_is_executed(system: InteropSystem) -> None:
    script: list[list[Json]] = [[{"text": ["Let me see. "]}, CALL], [{"text": ["In Lisbon."]}]]

    shown, name = await _play(system, "clientTool", script)

    assert shown == [QUESTION, "Let me see. In Lisbon."]
    first, second = await system.upstream.requests(name)
    [tool] = [
        t["function"] for t in first["body"]["tools"] if t["function"]["name"] == "getLocation"
    ]
    assert tool["description"] == "Returns the location of the user."
    assert tool["parameters"]["properties"] == {"exact": {"type": "boolean"}}
    assert json.loads(second["body"]["messages"][-1]["content"]) == {
        "city": "Lisbon",
        "exact": True,
    }


async def _play(
    system: InteropSystem, scenario: str, script: list[list[Json]], *, mamba: bool = False
) -> tuple[list[str], str]:
    """Send the question from a page, and return the messages that it shows at the end."""
    name = secrets.token_hex(8)
    await system.upstream.script(name, script)
    command = {
        "api": f"{system.api.url}/chat",
        "model": name,
        "question": QUESTION,
        "scenario": scenario,
        "mamba": mamba,
        "release": f"{system.upstream.url}/release/{name}",
    }
    return json.loads(await run_script("assistant_ui.mjs", json.dumps(command))), name
