"""An unmodified AI SDK client asks, and is answered."""

import pytest

from tests.e2e.ai_client.driver import AiClient, Version
from tests.e2e.conftest import House

pytestmark = pytest.mark.asyncio(loop_scope="session")

VERSIONS: tuple[Version, ...] = ("5", "6", "7")


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_question_is_answered(house: House, ai: AiClient, version: Version) -> None:
    await house.upstream.script("plain", [[{"text": ["Hello", ", ", "world", "."]}]])

    answer = await ai.send(
        ai=version, api=house.chat, chat=f"plain-{version}", text="Hi", body={"model": "plain"}
    )

    assert answer.error is None
    assert answer.text == "Hello, world."
    assert answer.status == "ready"
    assert [finish.finish_reason for finish in answer.finishes] in (["stop"], [None])
