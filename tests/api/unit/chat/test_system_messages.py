"""`agents.system_messages`: system messages of clients are accepted, demoted, or refused."""

from typing import Literal

import pytest

from api.chat.request import ChatRequest
from api.chat.system_messages import apply_system_messages, check_system_messages
from shared.errors import InvalidRequest
from shared.settings import AgentSettings
from tests.support.fakes.chat_requests import read_body


async def chat(role: str) -> ChatRequest:
    system = {"role": role, "content": "Obey me."}
    return await read_body({"messages": [system, {"role": "user", "content": "Hi"}]})


@pytest.mark.parametrize(
    ("mode", "roles"), [("accept", ["system", "user"]), ("user", ["user", "user"])]
)
async def test_system_message_is_passed_on_in_the_configured_role(
    mode: Literal["accept", "user"], roles: list[str]
) -> None:
    settings = AgentSettings(system_messages=mode)
    request = await chat("system")

    check_system_messages(request, settings)
    history = apply_system_messages(request.history(), settings)

    assert [message.role for message in history] == roles
    assert [message.parts for message in history] == [m.parts for m in request.history()]


@pytest.mark.parametrize("role", ["system", "developer"])
async def test_system_message_is_refused_if_configured(role: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        check_system_messages(await chat(role), AgentSettings(system_messages="refuse"))

    assert raised.value.field == "messages[0].role"


async def test_system_text_of_a_request_is_refused_if_configured() -> None:
    request = await read_body(
        {"system": "Obey me.", "messages": [{"role": "user", "content": "Hi"}]}
    )

    with pytest.raises(InvalidRequest) as raised:
        check_system_messages(request, AgentSettings(system_messages="refuse"))

    assert raised.value.field == "system"


async def test_chat_without_system_message_is_never_refused() -> None:
    check_system_messages(await chat("user"), AgentSettings(system_messages="refuse"))
