"""OpenAI's SDK for JavaScript, pointed at Mamba by mistake."""

import json

import pytest

from tests.interop.conftest import InteropSystem
from tests.interop.ui_libraries.driver import run_script

#: The first test installs the libraries.
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]


@pytest.mark.parametrize("stream", [True, False])
async def test_error_describes_the_endpoint(
    system: InteropSystem,
    stream: bool,  # noqa: FBT001
) -> None:
    command = json.dumps({"baseURL": system.api.url, "stream": stream})

    error = json.loads(await run_script("openai_sdk.mjs", command))

    assert (error["status"], error["code"]) == (422, "not_openai_compatible")
    assert "does not implement OpenAI's API" in error["message"]
