from collections.abc import AsyncGenerator

import pytest
from pydantic import SecretStr

from shared.settings import OpenAISettings, Settings
from shared.settings.live_settings import LiveSettings
from tests.support.upstream.client import Upstream
from worker.models.registry import ModelRegistry


@pytest.fixture
async def models(upstream: Upstream) -> AsyncGenerator[ModelRegistry]:
    """The models of the scripted server, whose earlier scripts are removed."""
    await upstream.clear()
    openai = OpenAISettings(base_url=upstream.base_url, api_key=SecretStr("k"))
    models = ModelRegistry(LiveSettings(Settings(openai=openai)))
    yield models
    await models.close()
