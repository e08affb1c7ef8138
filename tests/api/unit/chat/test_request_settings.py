"""The settings of the model in a request: spellings, ranges, and what the operator allows."""

from typing import Any, get_args

import pytest

from api.chat.request import ChatRequest
from api.chat.request_settings import check_allowed_settings
from shared.chat.call_settings import CallSettings
from shared.errors import InvalidRequest
from shared.settings import ChatSettings
from shared.settings.sections.chat import RequestSetting
from tests.support.fakes.chat_requests import HI, read_body

SCHEMA = {"type": "object", "properties": {"exact": {"type": "boolean"}}}
#: The body that the transport of assistant-ui sends.
ASSISTANT_UI: dict[str, Any] = {
    "callSettings": {"temperature": 0.5, "maxTokens": 100, "topP": 0.9},
    "system": "Be brief.",
    "config": {"modelName": "gpt-4o-mini"},
    "tools": {"getLocation": {"description": "Where", "parameters": SCHEMA}},
    "id": "trip",
    "messages": [{"id": "m1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}],
    "trigger": "submit-message",
}


async def read(**fields: Any) -> ChatRequest:
    return await read_body({"messages": [HI], **fields})


async def refusal(**fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        await read(**fields)
    return caught.value


async def test_settings_are_read() -> None:
    chat = await read(
        temperature=0,
        topP=0.5,
        maxOutputTokens=64,
        stopSequences=["END"],
        seed=7,
        reasoningEffort="low",
    )

    assert chat.call_settings() == CallSettings(
        temperature=0,
        top_p=0.5,
        max_output_tokens=64,
        stop_sequences=("END",),
        seed=7,
        reasoning_effort="low",
    )
    assert {*chat.used_settings()} == {*get_args(RequestSetting)} - {"system"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"max_tokens": 5}, CallSettings(max_output_tokens=5)),
        ({"maxTokens": 5}, CallSettings(max_output_tokens=5)),
        ({"max_completion_tokens": 5}, CallSettings(max_output_tokens=5)),
        ({"top_p": 0.1}, CallSettings(top_p=0.1)),
        ({"stop": "END"}, CallSettings(stop_sequences=("END",))),
        ({"stopSequences": "END"}, CallSettings(stop_sequences=("END",))),
        ({"reasoning_effort": "none"}, CallSettings(reasoning_effort="none")),
        ({"reasoning": "provider-default"}, CallSettings()),
        ({"callSettings": {"maxTokens": 5}}, CallSettings(max_output_tokens=5)),
        ({"temperature": None, "stop": None, "callSettings": {"seed": None}}, CallSettings()),
        ({"callSettings": None, "toolChoice": "auto", "presence_penalty": 0}, CallSettings()),
    ],
)
async def test_other_spellings_are_read(fields: dict[str, Any], expected: CallSettings) -> None:
    assert (await read(**fields)).call_settings() == expected


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"topP": -0.1}, "topP"),
        ({"maxOutputTokens": 0}, "maxOutputTokens"),
        ({"maxOutputTokens": 1.5}, "maxOutputTokens"),
        ({"stopSequences": [""]}, "stopSequences[0]"),
        ({"stopSequences": ["x"] * 17}, "stopSequences"),
        ({"seed": 2**63}, "seed"),
        ({"reasoningEffort": "extreme"}, "reasoningEffort"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"callSettings": {"top_p": 2}}, "callSettings.top_p"),
        ({"callSettings": [1]}, "callSettings"),
        ({"maxTokens": 5, "maxOutputTokens": 5}, "maxTokens"),
        ({"temperature": 1, "callSettings": {"temperature": 0}}, "callSettings.temperature"),
        ({"topK": 5}, "topK"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"callSettings": {"topK": 5}}, "callSettings.topK"),
        ({"logit_bias": {"1": 1}}, "logit_bias"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"config": {"apiKey": "sk-secret"}}, "config.apiKey"),
        ({"config": {"modelName": "m" * 257}}, "config.modelName"),
    ],
)
async def test_setting_that_cannot_be_used_is_refused(fields: dict[str, Any], field: str) -> None:
    error = await refusal(**fields)

    assert error.field == field
    assert str(error).startswith(f"{field}: ")
    assert "secret" not in str(error)


async def test_setting_that_is_not_allowed_is_refused_by_name() -> None:
    chat = await read(reasoning_effort="high")

    with pytest.raises(InvalidRequest) as caught:
        check_allowed_settings(chat.used_settings(), ChatSettings().request_settings)

    assert caught.value.field == "reasoningEffort"
    assert "chat.request_settings" in str(caught.value)


async def test_system_text_can_be_forbidden() -> None:
    chat = await read(system="Be brief.")

    check_allowed_settings(chat.used_settings(), ChatSettings().request_settings)
    with pytest.raises(InvalidRequest, match=r"system: .* Allowed: none\."):
        check_allowed_settings(chat.used_settings(), ())


async def test_request_of_assistant_ui_is_accepted() -> None:
    chat = await read_body(ASSISTANT_UI)

    assert chat.call_settings() == CallSettings(temperature=0.5, max_output_tokens=100, top_p=0.9)
    assert chat.model == "gpt-4o-mini"
    assert chat.display_tools() == ()
    [(field, tool)] = chat.located_client_tools()
    assert (field, tool.name, tool.input_schema) == ("tools.getLocation", "getLocation", SCHEMA)


async def test_tools_of_both_forms_must_have_different_names() -> None:
    tool = {"name": "getLocation", "inputSchema": SCHEMA}

    error = await refusal(clientTools=[tool], tools=ASSISTANT_UI["tools"])

    assert error.field == "tools.getLocation"
