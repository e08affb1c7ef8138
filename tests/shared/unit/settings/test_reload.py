"""Reload of the settings while a process runs."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from shared.settings import Settings, load_settings, reload
from shared.settings.live_settings import LiveSettings
from shared.settings.reload import Reload
from tests.support.wait import until

KEY = "sk-very-secret"
Logs = list[MutableMapping[str, Any]]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith(("MAMBA_", "OPENAI_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reload, "POLL_SECONDS", 0.01)
    return tmp_path


@asynccontextmanager
async def reloading(live: LiveSettings) -> AsyncGenerator[Logs]:
    with capture_logs() as logs:
        async with Reload(live):
            yield logs


async def event(logs: Logs, name: str) -> MutableMapping[str, Any]:
    async def probe() -> list[MutableMapping[str, Any]]:
        return [line for line in logs if line["event"] == name]

    return (await until(probe))[-1]


async def wait_for_message_limit(live: LiveSettings, count: int) -> None:
    async def probe() -> bool:
        return live.now.limits.messages == count

    await until(probe)


async def test_created_and_deleted_files_are_reloaded(folder: Path) -> None:
    live = LiveSettings(load_settings())
    (folder / "config").mkdir()

    async with reloading(live):
        (folder / "config/config.yaml").write_text("limits: {messages: 1}")
        await wait_for_message_limit(live, 1)
        (folder / "config.local.yaml").write_text("limits: {messages: 2}")
        await wait_for_message_limit(live, 2)
        (folder / "mamba.env").write_text("MAMBA_LIMITS__MESSAGES=3")
        await wait_for_message_limit(live, 3)
        (folder / "mamba.env").unlink()
        await wait_for_message_limit(live, 2)


async def test_replaced_file_is_reloaded(folder: Path) -> None:
    file = folder / "config.local.yaml"
    file.write_text("limits: {messages: 1}")
    live = LiveSettings(load_settings())

    async with reloading(live):
        (folder / "new").write_text("limits: {messages: 2}")
        (folder / "new").rename(file)
        await wait_for_message_limit(live, 2)


async def test_config_map_symlink_swap_is_reloaded(folder: Path) -> None:
    for version in (1, 2):
        (folder / f"v{version}").mkdir()
        (folder / f"v{version}/config.local.yaml").write_text(f"limits: {{messages: {version}}}")
    (folder / "..data").symlink_to("v1")
    (folder / "config.local.yaml").symlink_to("..data/config.local.yaml")
    live = LiveSettings(load_settings())

    async with reloading(live):
        (folder / "..data_tmp").symlink_to("v2")
        (folder / "..data_tmp").rename(folder / "..data")
        await wait_for_message_limit(live, 2)


async def test_change_during_process_start_is_reloaded(folder: Path) -> None:
    live = LiveSettings(load_settings())
    (folder / "config.local.yaml").write_text("limits: {messages: 2}")

    async with reloading(live):
        await wait_for_message_limit(live, 2)


async def test_sighup_reloads_immediately(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    live = LiveSettings(load_settings())
    monkeypatch.setattr(reload, "POLL_SECONDS", 3600)

    async with reloading(live) as logs:
        await asyncio.sleep(0)
        (folder / "config.local.yaml").write_text("limits: {messages: 2}")
        os.kill(os.getpid(), signal.SIGHUP)
        await wait_for_message_limit(live, 2)

    assert (await event(logs, "settings.reloaded"))["changed"] == ["limits.messages"]


async def test_changed_keys_are_logged_without_values(folder: Path) -> None:
    live = LiveSettings(load_settings())

    async with reloading(live) as logs:
        (folder / "mamba.env").write_text(f"OPENAI_API_KEY={KEY}\nMAMBA_TITLE__MODEL=m")
        line = await event(logs, "settings.reloaded")

    assert line["changed"] == ["openai.api_key", "title.model"]
    assert KEY not in str(logs)


async def test_invalid_settings_are_rejected_until_fixed(folder: Path) -> None:
    live = LiveSettings(load_settings())
    file = folder / "config.local.yaml"

    async with reloading(live) as logs:
        file.write_text(f"limits: {{messages: 2}}\nopenai: {{api_kye: {KEY}}}")
        line = await event(logs, "settings.refused")
        assert live.now == Settings()
        assert REGISTRY.get_sample_value("mamba_settings_loaded") == 0
        file.write_text("limits: {messages: 3}")
        await wait_for_message_limit(live, 3)

    assert REGISTRY.get_sample_value("mamba_settings_loaded") == 1
    assert "openai.api_kye: unknown setting" in line["problem"]
    assert "openai.api_key" in line["problem"]
    assert KEY not in str(logs)


async def test_restart_only_setting_keeps_its_value_and_is_logged_once(folder: Path) -> None:
    live = LiveSettings(load_settings())
    file = folder / "config.local.yaml"

    async with reloading(live) as logs:
        file.write_text("server: {port: 9000, heartbeat_seconds: 1}\nredis: {max_connections: 9}")
        line = await event(logs, "settings.restart_needed")
        file.write_text(
            "server: {port: 9000, heartbeat_seconds: 2}\nredis: {max_connections: 9}\n"
            "limits: {messages: 2}"
        )
        await wait_for_message_limit(live, 2)

    assert line["changed"] == ["redis.max_connections", "server.port"]
    assert (live.now.server.port, live.now.server.heartbeat_seconds) == (8000, 2)
    assert live.now.redis.max_connections == Settings().redis.max_connections
    assert len([line for line in logs if line["event"] == "settings.restart_needed"]) == 1


async def test_failing_listener_does_not_block_others(folder: Path) -> None:
    received: list[int] = []
    live = LiveSettings(load_settings())

    def fail(_: Settings) -> None:
        raise ZeroDivisionError

    live.on_change(fail)
    live.on_change(lambda settings: received.append(settings.limits.messages))

    async with reloading(live) as logs:
        (folder / "config.local.yaml").write_text("limits: {messages: 2}")
        await wait_for_message_limit(live, 2)
        assert (await event(logs, "settings.not_applied"))["error"] == "ZeroDivisionError"

    assert received == [2]
