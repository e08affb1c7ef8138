"""What a request wants if its chat has a live run."""

from typing import Any

import pytest

from shared.errors import InvalidRequest
from shared.settings import LimitSettings, WhenBusy
from tests.support.fakes.chat_requests import HI, read_body


async def resolve(default: WhenBusy = "reject", **fields: Any) -> WhenBusy:
    chat = await read_body({"messages": [HI], **fields}, LimitSettings())
    return chat.resolve_when_busy(default)


@pytest.mark.parametrize("choice", ["reject", "supersede", "queue"])
async def test_request_overrides_the_setting(choice: WhenBusy) -> None:
    assert await resolve(default=choice) == choice
    assert await resolve(default="supersede", whenBusy=choice) == choice


async def test_supersede_is_an_alias() -> None:
    assert await resolve(supersede=True) == "supersede"
    assert await resolve(supersede=False) == "reject"
    assert await resolve(supersede=False, default="supersede") == "reject"
    assert await resolve(supersede=False, default="queue") == "queue"
    assert await resolve(supersede=True, whenBusy="supersede") == "supersede"
    assert await resolve(supersede=False, whenBusy="queue") == "queue"


@pytest.mark.parametrize(
    ("supersede", "choice"), [(True, "queue"), (True, "reject"), (False, "supersede")]
)
async def test_contradiction_is_refused(*, supersede: bool, choice: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await resolve(supersede=supersede, whenBusy=choice)

    assert refused.value.field == "supersede"


async def test_unknown_choice_is_refused() -> None:
    with pytest.raises(InvalidRequest) as refused:
        await resolve(whenBusy="wait")

    assert refused.value.field == "whenBusy"


@pytest.mark.parametrize(
    "fields", [{"trigger": "regenerate-message"}, {"messageId": "u1"}], ids=["regenerate", "edit"]
)
async def test_replaced_history_does_not_wait(fields: dict[str, Any]) -> None:
    assert await resolve(whenBusy="queue", **fields) == "supersede"
    assert await resolve(whenBusy="reject", **fields) == "reject"


@pytest.mark.parametrize("value", [None, 7, {}, "something-new"])
async def test_unknown_trigger_is_ignored(value: object) -> None:
    assert await resolve(whenBusy="queue", trigger=value, messageId=None) == "queue"
