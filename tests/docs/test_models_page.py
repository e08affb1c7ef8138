"""Runs the examples of docs/models.md."""

import asyncio
import re
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

import mamba.backends
from shared.providers.names import (
    fallback_chain,
    parse_model_name,
    providers_of,
    queue_for_model,
    resolve_requested_model,
)
from shared.settings import Settings
from tests.support.upstream.client import Upstream

PAGE = (Path(__file__).parents[2] / "docs/models.md").read_text()
YAML = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
[PYTHON] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
LLAMA = "meta-llama/Llama-3.2-3B-Instruct"


def test_settings_examples_have_the_documented_effect() -> None:
    providers, defaults, queues, profiles = (Settings(**block) for block in YAML)

    assert providers_of(providers)["ollama"].base_url == "http://gpu-1:11434/v1"
    assert providers_of(providers)["gateway"].configured
    assert str(parse_model_name(providers, "gpt-4o")) == "gateway/gpt-4o"
    assert resolve_requested_model(defaults, "gpt-4o-mini") == "gpt-4o-mini"
    assert len(fallback_chain(defaults, parse_model_name(defaults, "gpt-4o"))) == 3
    assert queue_for_model(queues, parse_model_name(queues, "ollama/llama3.2")) == "local"
    assert providers_of(profiles)["tiny"].settings.profile.tools is False


async def test_python_example_runs(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    create = partial(mamba.backends.create_vllm_backend, base_url=upstream.base_url)
    monkeypatch.setattr(mamba.backends, "create_vllm_backend", create)
    await upstream.script(LLAMA, [[{"text": ["Hel", "lo"]}]])
    names: dict[str, Any] = {}
    exec(PYTHON, names)
    main: Callable[[], Coroutine[Any, Any, None]] = names["main"]

    async with asyncio.timeout(20):
        await main()

    output = capsys.readouterr().out
    assert output.startswith("Hello {")
    assert output.endswith("Hello")
