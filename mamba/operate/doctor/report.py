"""Runs all checks of `mamba doctor` and prints their findings."""

import json
import os
from collections.abc import AsyncIterator

from mamba.cli_errors import CommandFailed, print_now
from mamba.operate.deployment import open_deployment
from mamba.operate.doctor.diagnosis import Diagnosis
from mamba.operate.doctor.pause_checks import check_pauses
from mamba.operate.doctor.provider_check import check_provider_live
from mamba.operate.doctor.redis_checks import (
    check_clock,
    check_latency,
    check_queue_server,
    check_stream_servers,
)
from mamba.operate.doctor.settings_checks import check_prices, check_settings, check_tracing
from mamba.operate.doctor.webhook_checks import check_webhooks
from mamba.operate.doctor.worker_checks import check_providers, check_workers
from mamba.operate.redis_problems import RedisFailed
from mamba.operate.table import GREEN, RED, RESET, YELLOW, printable
from shared.errors import SettingsError
from shared.settings import load_settings

_CHECKS = (
    check_queue_server,
    check_latency,
    check_stream_servers,
    check_clock,
    check_workers,
    check_pauses,
    check_providers,
    check_webhooks,
)
_COLORS = {"ok": GREEN, "warning": YELLOW, "error": RED}


async def diagnose(
    *, as_json: bool, color: bool, provider: str | None = None, model: str | None = None
) -> bool:
    """Print the findings as they come, or all as JSON. Returns whether nothing is wrong.

    With `provider`, only that provider is checked, with requests to its server.
    """
    findings: list[Diagnosis] = []
    found = check_provider_live(load_settings(), provider, model) if provider else _findings()
    async for finding in found:
        findings.append(finding)
        if not as_json:
            print_now(_line(finding, color=color))
    if as_json:
        print_now(json.dumps([finding.json() for finding in findings]))
    return all(finding.status != "error" for finding in findings)


async def _findings() -> AsyncIterator[Diagnosis]:
    try:
        settings = load_settings()
    except SettingsError as error:
        yield Diagnosis("settings", "error", str(error), "see docs/reference/configuration.md")
        return
    yield Diagnosis("settings", "ok", "valid")
    environment = check_tracing(os.environ)
    for finding in (*check_settings(settings), *check_prices(settings), environment):
        yield finding
    try:
        async with open_deployment(settings) as deployment:
            for check in _CHECKS:
                for finding in await check(deployment):
                    yield finding
    except RedisFailed as failure:
        yield Diagnosis("redis", "error", failure.message, failure.fix)
    except CommandFailed as failure:
        yield Diagnosis("redis", "error", str(failure), "correct the setting")


def _line(finding: Diagnosis, *, color: bool) -> str:
    status = f"{finding.status:8}"
    if color:
        status = f"{_COLORS[finding.status]}{status}{RESET}"
    fix = f"\n          → {printable(finding.fix)}" if finding.fix else ""
    return f"{status}  {printable(f'{finding.part}: {finding.message}')}{fix}"
