"""A real AI SDK client that authenticates with an API key or a token."""

import time
from collections.abc import AsyncGenerator
from functools import partial

import pytest
import pytest_asyncio

from shared.api_key import hash_of, new_api_key
from tests.support.ai_client.driver import AiClient
from tests.support.auth.credentials import SECRET, secret_token, valid_claims
from tests.support.processes import Api, start_all, stop_all
from tests.support.system.running_system import System

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEY = new_api_key()
KEYED = {
    "MAMBA_AUTH__MODE": "api_key",
    "MAMBA_AUTH__API_KEYS": f'[{{"name":"app","hash":"{hash_of(KEY)}"}}]',
}
SIGNED = {
    "MAMBA_AUTH__MODE": "jwt",
    "MAMBA_AUTH__JWT__ALGORITHMS": '["HS256"]',
    "MAMBA_AUTH__JWT__SECRET": SECRET,
}
CREDENTIALS = {
    "API key": (KEYED, {"X-API-Key": KEY}),
    "API key as bearer token": (KEYED, {"Authorization": f"Bearer {KEY}"}),
    "JWT": (SIGNED, {"Authorization": f"Bearer {secret_token()}"}),
}


@pytest_asyncio.fixture(loop_scope="session")
async def guarded(system: System, env: dict[str, str]) -> AsyncGenerator[Api]:
    """An API of the system that requires authentication."""
    api = Api(system.valkey.url, env)
    await start_all(api)
    yield api
    await stop_all(api)


@pytest.mark.parametrize(("env", "headers"), CREDENTIALS.values(), ids=CREDENTIALS.keys())
async def test_resume_after_a_cut_sends_the_same_credentials(
    system: System, guarded: Api, ai: AiClient, name: str, headers: dict[str, str]
) -> None:
    chat = f"{guarded.url}/chat"
    await system.upstream.script(name, [[{"text": ["One ", "two ", "three ", "four."]}]])
    send = partial(ai.send, ai="7", api=chat, chat=name, text="Hi", body={"model": name})

    answer = await send(headers=headers, cut_after=3, resilient=True)

    assert (answer.status, answer.text) == ("ready", "One two three four.")
    assert [(r.method, r.status) for r in answer.requests] == [("POST", 200), ("GET", 200)]
    for request in answer.requests:
        assert request.headers.items() >= {k.lower(): v for k, v in headers.items()}.items()
    page = await ai.resume(ai="7", api=chat, chat=name, headers=headers)
    assert page.text == answer.text


REFUSED: dict[str, tuple[dict[str, str], dict[str, str], str]] = {
    "no API key": (KEYED, {}, "The request has no API key."),
    "unknown API key": (KEYED, {"X-API-Key": new_api_key()}, "The API key is unknown."),
    "expired JWT": (
        SIGNED,
        {"Authorization": f"Bearer {secret_token(valid_claims(exp=int(time.time()) - 60))}"},
        "The token has expired.",
    ),
}


@pytest.mark.parametrize(("env", "headers", "reason"), REFUSED.values(), ids=REFUSED.keys())
async def test_rejected_credentials_show_the_reason(
    guarded: Api, ai: AiClient, name: str, headers: dict[str, str], reason: str
) -> None:
    answer = await ai.send(ai="7", api=f"{guarded.url}/chat", chat=name, text="Hi", headers=headers)

    assert answer.status == "error"
    assert [request.status for request in answer.requests] == [401]
    assert answer.error is not None
    assert reason in answer.error.message
