"""`mamba queue --by owner`, `pause`, `resume` and `drain`, and the doctor's check of pauses."""

import asyncio
import getpass
import json
import re
import socket

import pytest

from mamba.operate.deployment import Deployment
from mamba.operate.doctor.pause_checks import check_pauses
from mamba.operate.doctor.worker_checks import check_workers
from mamba.operate.queues import control, pages
from mamba.operate.queues.pages import PageOptions
from shared.errors import NotFound
from shared.processes.workers import WorkerRegistry
from shared.queue.pauses import Pauses
from shared.redis.client import Redis
from tests.support.fakes.jobs import use_queue
from tests.support.fakes.workers import serving
from tests.support.system.queue_simulation import QueueSimulation
from tests.support.wait import until

TEXT = PageOptions(20, as_json=False, color=False)
JSON = PageOptions(20, as_json=True, color=False)


async def test_pause_is_shown_until_it_is_resumed(
    deployment: Deployment, redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    await WorkerRegistry(redis).renew(serving("w", "main", running=0))
    await control.pause(deployment, "intake", None)
    await control.pause(deployment, "processing", "main")
    capsys.readouterr()

    await pages.show(deployment, pages.read_queues, TEXT)
    text = capsys.readouterr().out
    await pages.show(deployment, pages.read_queues, JSON)
    report = json.loads(capsys.readouterr().out)

    lines = text.splitlines()
    assert lines[1].endswith("0/4    intake paused, processing paused")
    by = re.escape(f"ago by cli:{socket.gethostname()}:{getpass.getuser()}")
    assert re.fullmatch(rf"Paused: the intake of all queues, \d\S+ {by}", lines[3])
    assert re.fullmatch(rf"Paused: the processing of the queue main, \d\S+ {by}", lines[4])
    [queue] = report["queues"]
    assert (queue["intake_paused"], queue["processing_paused"]) == (True, True)
    assert [(pause["what"], pause["queue"]) for pause in report["pauses"]] == [
        ("intake", None),
        ("processing", "main"),
    ]

    await control.resume(deployment, "intake", None)
    await control.resume(deployment, "processing", "main")
    capsys.readouterr()
    await pages.show(deployment, pages.read_queues, TEXT)
    assert "paused" not in capsys.readouterr().out.lower()


async def test_doctor_warns_of_each_pause(deployment: Deployment, redis: Redis) -> None:
    await WorkerRegistry(redis).renew(serving("w", "main", running=0))
    await use_queue(redis, "main")
    assert await check_pauses(deployment) == []
    await Pauses(redis).begin("intake", None, operator="api_key::ops")
    await Pauses(redis).begin("processing", "main", operator="api_key::ops")

    intake, processing = await check_pauses(deployment)
    _, queue = await check_workers(deployment)

    assert (intake.status, processing.status) == ("warning", "warning")
    ending = "ago by api_key::ops: new runs are refused"
    assert re.fullmatch(rf"the intake of all queues was paused \d\S+ {ending}", intake.message)
    assert intake.fix == "when you are done, run: mamba queue resume intake"
    assert processing.fix == "when you are done, run: mamba queue resume processing main"
    assert queue.status == "warning"
    assert queue.message.endswith("its processing is paused")


async def test_unknown_queue_is_refused(deployment: Deployment) -> None:
    with pytest.raises(NotFound, match=r"There is no queue .typo.\. The queues are: main\."):
        await control.pause(deployment, "intake", "typo")


async def test_paused_queue_stays_listed_without_runs(
    deployment: Deployment, redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    await Pauses(redis).begin("intake", "gone", operator="api_key::ops")

    await pages.show(deployment, pages.read_queues, TEXT)
    await control.resume(deployment, "intake", "gone")

    shown = capsys.readouterr().out
    assert "gone" in shown.splitlines()[2]
    assert shown.endswith("The intake of the queue gone has resumed.\n")


async def test_expected_wait_is_shown(
    deployment: Deployment, redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    simulation = QueueSimulation(redis, slots=1)
    for _ in range(3):
        await simulation.add("a", 60)
    await simulation.claim()
    await pages.show(deployment, pages.read_queues, TEXT)
    before = capsys.readouterr().out.splitlines()
    await simulation.end_next()
    await simulation.claim()
    await pages.show(deployment, pages.read_queues, TEXT)
    after = capsys.readouterr().out.splitlines()

    column = before[0].split().index("EXPECTED")
    assert before[1].split()[column] == "-"
    assert after[1].split()[column].startswith("2m")


async def test_drain_ends_when_no_run_is_left(
    deployment: Deployment, redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    simulation = QueueSimulation(redis, slots=1)
    await simulation.add("a", 1)
    await simulation.add("a", 1)
    await simulation.claim()

    draining = asyncio.create_task(control.drain(deployment, "main"))
    shown = ""

    async def progress_is_shown() -> bool:
        nonlocal shown
        shown += capsys.readouterr().out
        return "1 waiting, 1 running" in shown

    await until(progress_is_shown)
    await simulation.run_to_the_end()
    await draining

    assert capsys.readouterr().out.endswith("No runs are left.\n")
    assert [pause.what for pause in await Pauses(redis).read()] == ["intake"]


async def test_owners_are_listed_with_their_runs(
    deployment: Deployment, redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    await pages.show(deployment, pages.read_owners, TEXT)
    assert capsys.readouterr().out == "No runs are waiting or running.\n"
    simulation = QueueSimulation(redis, slots=1)
    await simulation.add("jwt::\x1b[2J", 1)
    await simulation.claim()
    for owner in ("jwt::ann", "jwt::ann", "jwt::bob"):
        await simulation.add(owner, 1, weight=0.5)

    await pages.show(deployment, pages.read_owners, TEXT)
    lines = capsys.readouterr().out.splitlines()
    await pages.show(deployment, pages.read_owners, PageOptions(1, as_json=False, color=False))
    first = capsys.readouterr().out.splitlines()
    await pages.show(deployment, pages.read_owners, JSON)
    report = json.loads(capsys.readouterr().out)

    assert lines[0].split() == ["OWNER", "QUEUE", "WAITING", "RUNNING", "OLDEST", "WEIGHT"]
    assert lines[1].split()[:4] == ["jwt::ann", "main", "2", "0"]
    assert lines[1].endswith("0.5")
    assert lines[3].split() == ["jwt::\ufffd[2J", "main", "0", "1", "-", "1"]
    assert first[-1] == "… and 1 more owners with waiting runs (--limit)"
    assert [owner["owner"] for owner in report["owners"]] == [
        "jwt::ann",
        "jwt::bob",
        "jwt::\x1b[2J",
    ]
    assert report["waiting_owners"] == 2
