"""`mamba top` in a pseudo-terminal, against a running system."""

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from shared.redis import keys
from tests.support.processes import MambaProcess
from tests.support.sse_client import Json, SseClient, types
from tests.support.system.commands import mamba, paused_answer
from tests.support.system.running_system import System
from tests.support.terminal import Terminal, widest
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


HELLO: list[list[Json]] = [[{"text": ["Hello"]}]]


def top(system: System, width: int, height: int, *arguments: str, **env: str) -> Terminal:
    command = (sys.executable, "-m", "mamba", "top", *arguments)
    return Terminal(width, height, *command, env={"MAMBA_REDIS__URL": system.valkey.url, **env})


async def complete_overview(system: System) -> Any:
    """Return the overview as soon as it contains both APIs and the worker."""

    async def probe() -> Any:
        overview = (await mamba(system, "top", "--json")).json
        return overview if (len(overview["workers"]), len(overview["apis"])) == (1, 2) else None

    return await until(probe)


@pytest.mark.parametrize(("width", "height"), [(120, 40), (80, 24), (40, 15)])
async def test_top_fits_terminal_and_restores_it(
    workerless: System, sse: SseClient, name: str, width: int, height: int
) -> None:
    async with (
        workerless.start_workers(1, WORKER__CONCURRENCY=1),
        paused_answer(workerless, sse, name) as running,
    ):
        async with sse.ask(workerless.chat, f"{name}-2", model=name) as waiting:
            with top(workerless, width, height) as terminal:
                lines = await terminal.shows(
                    lambda shown: " 1/1" in shown and "API 2  Clients 2" in shown
                )
                terminal.press("q")
                assert await terminal.ended() == 0
                assert terminal.is_restored
        await workerless.upstream.release(name)

    assert all(widest(frame) <= width for frame in terminal.frames)
    assert len(lines) == height
    assert lines[0].startswith(f"mamba top  127.0.0.1:{workerless.valkey.port}")
    main = next(line for line in lines if line.startswith("main"))
    assert [word for word in main.split() if word.isdigit()][:2] == ["1", "1"]
    ids = {running.run_id, waiting.run_id}
    shown = [line for line in lines if line.partition(" ")[0] in ids]
    assert len(shown) == (1 if height < 20 else 2)
    assert lines[-1].startswith("q quit  p pause")


async def test_top_follows_terminal_resize(workerless: System) -> None:
    with top(workerless, 120, 40) as terminal:
        await terminal.shows(lambda shown: "QUEUE" in shown)
        terminal.resize(50, 12)
        lines = await terminal.shows(lambda shown: shown.count("\n") == 11)

    assert widest(lines) <= 50


async def test_top_pause_freezes_the_screen(workerless: System) -> None:
    with top(workerless, 100, 30, "--interval", "1") as terminal:
        await terminal.shows(lambda shown: "Workers 0 serving" in shown)
        terminal.press("p")
        await terminal.shows(lambda shown: "paused" in shown)
        async with workerless.start_workers(1):
            terminal.resize(99, 30)
            held = await terminal.shows(lambda shown: "paused" in shown)
            terminal.press("p")
            await terminal.shows(lambda shown: "Workers 1 serving" in shown)

    assert "Workers 0 serving" in "\n".join(held)


async def test_top_stops_selected_run_after_confirmation(
    workerless: System, sse: SseClient, name: str
) -> None:
    async with workerless.start_workers(1), paused_answer(workerless, sse, name) as stream:
        with top(workerless, 100, 30) as terminal:
            await terminal.shows(lambda shown: stream.run_id in shown)
            terminal.press("x")  # nothing is selected
            terminal.press("\x1b[B")
            terminal.press("x")
            await terminal.shows(lambda shown: f"Stop run {stream.run_id}" in shown)
            terminal.press("n")
            await terminal.shows(lambda shown: "q quit" in shown)
            assert (await workerless.run(stream.run_id))["state"] == "running"
            terminal.press("x")
            terminal.press("y")
            await terminal.shows(lambda shown: f"{stream.run_id} is cancelled." in shown)
        events = await stream.rest()

    assert types(events)[-1] == "abort"


async def test_top_explains_failure_codes(workerless: System, sse: SseClient, name: str) -> None:
    await workerless.upstream.script(name, HELLO, [{"status": 401}])
    async with workerless.start_workers(1):
        await sse.answer(workerless.chat, name, model=name)
        with top(workerless, 120, 30) as terminal:
            lines = await terminal.shows(lambda shown: "model_auth" in shown)

    assert any("the model rejects the server's credentials" in line for line in lines)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_signal_ends_top_and_restores_terminal(
    workerless: System, number: signal.Signals
) -> None:
    with top(workerless, 80, 24) as terminal:
        await terminal.shows(lambda shown: "QUEUE" in shown)
        terminal.child.send_signal(number)
        assert await terminal.ended() == 0
        assert terminal.is_restored
        assert "Traceback" not in terminal.output


async def test_top_can_be_suspended_and_continued(workerless: System) -> None:
    with top(workerless, 80, 24) as terminal:
        await terminal.shows(lambda shown: "QUEUE" in shown)
        terminal.child.send_signal(signal.SIGTSTP)

        stat = Path(f"/proc/{terminal.child.pid}/stat")

        async def suspended() -> bool:
            state = stat.read_text().rpartition(")")[2].split()[0]  # noqa: ASYNC240  (no disk)
            return state == "T" and terminal.is_restored

        await until(suspended)
        terminal.child.send_signal(signal.SIGCONT)
        await terminal.shows(lambda shown: "QUEUE" in shown)


async def test_top_keeps_last_values_while_redis_is_unreachable(workerless: System) -> None:
    async with workerless.start_workers(1):
        with top(workerless, 100, 30, "--interval", "1") as terminal:
            await terminal.shows(lambda shown: "Workers 1 serving" in shown)
            workerless.valkey.send(signal.SIGSTOP)
            try:
                lines = await terminal.shows(lambda shown: "Redis unreachable" in shown)
            finally:
                workerless.valkey.send(signal.SIGCONT)
            await terminal.shows(lambda shown: "Redis unreachable" not in shown)

    assert "Workers 1 serving" in "\n".join(lines)


async def test_top_waits_for_redis(system: System) -> None:
    unreachable = "redis://user:secret@127.0.0.1:1/0"
    with top(system, 80, 24, MAMBA_REDIS__URL=unreachable) as terminal:
        await terminal.shows(lambda shown: "Redis unreachable" in shown)
        terminal.press("q")
        assert await terminal.ended() == 0
        assert "secret" not in terminal.output


async def test_top_respects_no_color(workerless: System) -> None:
    with top(workerless, 80, 24) as terminal, top(workerless, 80, 24, NO_COLOR="1") as plain:
        await terminal.shows(lambda shown: "QUEUE" in shown)
        await plain.shows(lambda shown: "QUEUE" in shown)
        assert "\x1b[1;31m" in terminal.output  # no worker is alive
        assert "31m" not in plain.output


async def test_top_without_terminal_prints_one_snapshot(workerless: System) -> None:
    async with workerless.start_workers(1):
        await complete_overview(workerless)
        result = await mamba(workerless, "top")
        once = await mamba(workerless, "top", "--once", COLUMNS="60")

    assert result.code == once.code == 0
    assert "\x1b" not in result.out + once.out
    assert "Workers 1 serving" in result.out
    assert widest(once.out.splitlines()) <= 60


async def test_top_json_has_the_overview(workerless: System, sse: SseClient, name: str) -> None:
    async with workerless.start_workers(1), paused_answer(workerless, sse, name) as stream:
        overview = await complete_overview(workerless)
        await workerless.upstream.release(name)

    assert [(queue["name"], queue["running"]) for queue in overview["queues"]] == [("main", 1)]
    assert [(run["id"], run["state"]) for run in overview["live"]] == [(stream.run_id, "running")]
    assert overview["redis"]["up"]
    assert "Hel" not in json.dumps(overview)
    assert "owner" not in json.dumps(overview)


async def test_top_json_with_interval_prints_lines_until_signal(workerless: System) -> None:
    process = MambaProcess(
        *("top", "--json", "--interval", "1"),
        env={"MAMBA_REDIS__URL": workerless.valkey.url},
    ).start()

    async def has_refreshed() -> bool:
        return process.output.count("\n") >= 2

    await until(has_refreshed, seconds=60)
    process.send(signal.SIGINT)
    assert await process.ended() == 0
    assert all(json.loads(line)["queues"] for line in process.output.splitlines())
    await process.stop()


@pytest.mark.parametrize("argument", ["--once", "--json"])
async def test_unreachable_redis_is_reported_in_one_line(system: System, argument: str) -> None:
    result = await mamba(system, "top", argument, MAMBA_REDIS__URL="redis://u:secret@127.0.0.1:1/0")

    assert result.code == 1
    assert len(result.error.splitlines()) == 1
    assert "secret" not in result.error


async def test_samples_have_the_counts_of_all_processes(
    workerless: System, sse: SseClient, name: str
) -> None:
    await workerless.upstream.script(name, HELLO)

    async with workerless.start_workers(2):

        async def sample_with_counts() -> Any:
            samples = (await mamba(workerless, "top", "--json")).json["samples"]
            await sse.answer(workerless.chat, f"{name}-{len(samples)}", model=name)
            counts = ("accepted", "first_token_p50_ms", "succeeded")
            return next((sample for sample in samples if all(map(sample.get, counts))), None)

        sample = await until(sample_with_counts, seconds=90)

    assert sample["workers"] == 2
    async with workerless.redis() as redis:
        assert await redis.execute_command("PTTL", keys.SAMPLES) > 0
