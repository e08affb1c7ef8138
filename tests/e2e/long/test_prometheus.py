"""A real Prometheus scrapes a running system: panels have data, and alerts fire."""

import re
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
import yaml

from deploy import alerts
from deploy.dashboards.files import dashboards
from tests.support.deploy.dashboards import panels, queries
from tests.support.deploy.prometheus import find
from tests.support.processes import ServerProcess, free_port
from tests.support.sse_client import SseClient, check_whole
from tests.support.system.running_system import System, kill_process
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: Alerts that are right on a busy machine.
BUSY_MACHINE = {"MambaRedisSlow"}
#: Panels without data on a system that has no errors, waits, costs, limits or split storage.
EMPTY_PANELS = {
    *("Firing alerts", "Redis memory", "Memory"),
    *("Errors by code", "Timeouts", "Failed, by model"),
    *("Refused requests", "Refusals by code"),
    *("Model endpoints", "Model list latency, by endpoint"),
    *("Cost per hour", "Announced waits"),
    "Up",
}


class Prometheus(ServerProcess):
    """A Prometheus that scrapes every two seconds and evaluates all alerts without their delay."""

    def __init__(self, folder: Path, targets: dict[str, list[str]]) -> None:
        port = free_port()
        self._client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60)
        rules = re.sub(r"\n +for: \w+", "", alerts.ALERTS.read_text())
        (folder / "alerts.yml").write_text(rules)
        config = {
            "global": dict.fromkeys(
                ("scrape_interval", "scrape_timeout", "evaluation_interval"), "2s"
            ),
            "rule_files": ["alerts.yml"],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": addresses}]}
                for job, addresses in targets.items()
            ],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        super().__init__(
            find("prometheus"),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        )

    async def ready(self) -> Self:
        async def probe() -> bool:
            assert self.child.poll() is None, self.output
            try:
                return (await self._client.get("/-/ready")).status_code == 200
            except httpx.TransportError:
                return False

        await until(probe, seconds=60)
        return self

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of an instant query."""
        response = await self._client.get("/api/v1/query", params={"query": expression})
        assert response.status_code == 200, response.text
        return response.json()["data"]["result"]

    async def firing(self) -> dict[str, dict[str, Any]]:
        """Return the annotations of each firing alert by name."""
        found = (await self._client.get("/api/v1/alerts")).json()["data"]["alerts"]
        return {
            alert["labels"]["alertname"]: alert["annotations"]
            for alert in found
            if alert["state"] == "firing"
        }

    async def close(self) -> None:
        await self._client.aclose()
        await kill_process(self)


@asynccontextmanager
async def scraping_prometheus(
    system: System, folder: Path, worker_port: int
) -> AsyncGenerator[Prometheus]:
    apis = [f"127.0.0.1:{api.port}" for api in system.apis]
    targets = {"mamba-api": apis, "mamba-worker": [f"127.0.0.1:{worker_port}"]}
    prometheus = Prometheus(folder, targets)
    prometheus.start()
    try:
        yield await prometheus.ready()
    finally:
        await prometheus.close()


async def wait_for_scraped_runs(prometheus: Prometheus, model: str, runs: int) -> None:
    """Wait until Prometheus has scraped this many succeeded runs of the model."""
    labels = f'model="{model}",outcome="succeeded",job="mamba-worker"'

    async def probe() -> bool:
        found = await prometheus.query(f"mamba_runs_total{{{labels}}}")
        return [series["value"][1] for series in found] == [str(runs)]

    await until(probe, seconds=60)


async def test_every_panel_has_data(
    workerless: System, sse: SseClient, name: str, tmp_path: Path
) -> None:
    await workerless.upstream.script(name, [[{"words": 20}], [{"words": 20}]])
    port = free_port()

    async with (
        workerless.start_workers(1, WORKER__METRICS_PORT=port),
        scraping_prometheus(workerless, tmp_path, port) as prometheus,
    ):
        for number in (1, 2):
            check_whole(await sse.answer(workerless.chat, f"{name}-{number}", model=name))
            await wait_for_scraped_runs(prometheus, name, number)

        async def panels_have_data() -> bool:
            return await empty_panels(prometheus) <= EMPTY_PANELS

        with suppress(TimeoutError):
            await until(panels_have_data, seconds=60)
        assert await empty_panels(prometheus) - EMPTY_PANELS == set()

        async def only_expected_alerts_fire() -> bool:  # a scrape can be too slow
            return (await prometheus.firing()).keys() <= BUSY_MACHINE

        with suppress(TimeoutError):
            await until(only_expected_alerts_fire, seconds=30)
        assert (await prometheus.firing()).keys() - BUSY_MACHINE == set()


async def empty_panels(prometheus: Prometheus) -> set[str]:
    return {
        panel["title"]
        for dashboard in dashboards()
        for panel in panels(dashboard)
        if not all([await prometheus.query(text) for text in queries(panel)])
    }


async def test_no_workers_alert_fires_until_a_worker_starts(
    workerless: System, sse: SseClient, name: str, tmp_path: Path
) -> None:
    await workerless.upstream.script(name, [[{"words": 3}]])
    port = free_port()

    async with (
        workerless.start_workers(1, WORKER__METRICS_PORT=port) as workers,
        scraping_prometheus(workerless, tmp_path, port) as prometheus,
    ):
        await until(lambda: prometheus.query("mamba_worker_slots"), seconds=60)
        workers[0].send(signal.SIGKILL)
        async with sse.ask(workerless.chat, name, model=name) as stream:

            async def no_workers_alert() -> dict[str, Any]:
                return (await prometheus.firing()).get("MambaNoWorkers", {})

            annotations = await until(no_workers_alert, seconds=60)
            async with workerless.start_workers(1, WORKER__METRICS_PORT=port):
                check_whole(await stream.rest())

                async def alert_ended() -> bool:
                    return not await no_workers_alert()

                await until(alert_ended, seconds=60)

    assert annotations["summary"] == "1 runs wait in the queue main, but no worker is alive."
    assert annotations["runbook_url"] == "docs/operate/runbook.md#mambanoworkers"
