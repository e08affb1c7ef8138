"""`mamba run show`, `list` and `stop` on stored runs, without messages and safe to print."""

import json
from typing import Any

import pytest
import typer

from mamba.cli_errors import CommandFailed
from mamba.operate import run as run_page
from mamba.operate import stop_runs
from mamba.operate.deployment import Deployment
from mamba.operate.run_filter import parse_since, run_filter
from shared.redis import keys
from shared.redis.client import Redis
from shared.runs.finalize import RunEnding, RunFinalizer
from shared.runs.run import Run
from shared.runs.run_list import LIVE_STATES, RunFilter
from shared.streams.run_state import RunState
from tests.support.fakes.runs import put_run, put_usage


async def end(deployment: Deployment, run: Run, ending: RunEnding) -> None:
    async with deployment.run_control():
        stores = deployment.stores
        finalizer = RunFinalizer(stores.stream, stores.ended_runs, deployment.queue)
        assert await finalizer.end(run, ending)


async def stored(deployment: Deployment, run_id: str) -> Run:
    run = await deployment.stores.runs.get(run_id)
    assert run is not None
    return run


async def ids(deployment: Deployment, limit: int = 100, **wanted: Any) -> list[str]:
    found = await run_page.find(deployment, RunFilter(**wanted), limit=limit, scan_limit=10_000)
    return [run.id for run in found.runs]


async def test_show_reports_attempts_tokens_and_times(
    deployment: Deployment, redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    await put_run(redis, "r", -5)
    runs, stream = deployment.stores.runs, deployment.stores.stream
    await stream.take_over("r", worker="worker-a")
    await runs.count_failure("r", 1, "rate_limited")
    await stream.take_over("r", worker="worker-b")
    takeover = await stream.take_over("r", worker="worker-c")
    await put_usage(redis, "r", 1, '{"input_tokens": 100, "output_tokens": 7}')
    await put_usage(redis, "r", 3, '{"input_tokens": 20, "output_tokens": 3}')
    await runs.count_handover("r", 3)
    await stream.take_over("r", worker="worker-d")

    await run_page.show(deployment, "r", as_json=False)
    text = capsys.readouterr().out
    await run_page.show(deployment, "r", as_json=True)
    report = json.loads(capsys.readouterr().out)

    assert (takeover.crashed, takeover.previous_worker) == (True, "worker-b")
    facts = dict(line.split(maxsplit=1) for line in text.split("\n\n")[0].splitlines())
    assert facts["attempts"] == "4 (1 failed, 1 handed over, 1 crashed)"
    assert facts["tokens"] == "120 input, 10 output"
    assert facts["worker"] == "worker-d (last)"
    assert facts["accepted"].startswith("20")
    assert facts["started"].endswith(" in the queue")
    rows = [line.split() for line in text.split("\n\n")[1].splitlines()[1:]]
    assert [(row[1], row[2], row[-1]) for row in rows] == [
        ("failed", "rate_limited", "worker-a"),
        ("crashed", "-", "worker-b"),
        ("handed_over", "-", "worker-c"),
        ("running", "-", "worker-d"),
    ]
    assert [attempt["outcome"] for attempt in report["attempt_log"]] == [row[1] for row in rows]
    assert report["tokens"]["output_tokens"] == 10


async def test_show_keeps_the_last_worker_and_code_after_the_end(
    deployment: Deployment, redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    await put_run(redis, "r", -5)
    await deployment.stores.stream.take_over("r", worker="worker-a")
    await redis.execute_command("HSET", keys.run("r"), "upstream", "status=400 param=max_tokens")
    failed = RunEnding.failed("model_rejected", "text", request_id="q", retryable=False)
    await end(deployment, await stored(deployment, "r"), failed)

    await run_page.show(deployment, "r", as_json=False)
    text = capsys.readouterr().out

    assert "state       failed (model_rejected: the model rejects the request)" in text
    assert "worker      worker-a (last)" in text
    assert "upstream    status=400 param=max_tokens" in text


async def test_hostile_values_are_shown_safely(
    deployment: Deployment, redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    await put_run(redis, "r", -5, owner="\x1b[2J" + "o" * 5000)
    fields: list[bytes | str | int] = [
        *("error", b"\xff\xfe", "admitted_at", 10**15, "worker:1", b"\xff", "end:1", "x y z"),
        *("usage:1", "{", "usage:x", b"\x00", "worker:" + "9" * 40, "w 1", "end:-1", ""),
    ]
    await redis.execute_command("HSET", keys.run("r"), *fields)
    await redis.execute_command("ZADD", keys.QUEUE, 1, b"\xff\x00", 2, "broken")
    await redis.execute_command("HSET", keys.run("broken"), "id", "broken", "state", "unknown")
    await redis.execute_command("PEXPIRE", keys.run("broken"), 60_000)

    await run_page.show(deployment, "r", as_json=False)
    await run_page.list_runs(deployment, RunFilter(), limit=9, scan_limit=9, as_json=False)
    shown = capsys.readouterr().out

    assert await ids(deployment) == ["r"]
    assert (await deployment.system_monitor().overview()).live[0].id == "r"
    assert "\x1b" not in shown
    assert max(map(len, shown.splitlines())) < 2000


async def test_list_filters_live_and_ended_runs(deployment: Deployment, redis: Redis) -> None:
    await put_run(redis, "waiting", -5, owner="alice", chat_id="c1")
    await put_run(redis, "other-agent", -4, owner="bob", agent="research", queue="code")
    await redis.execute_command("ZADD", keys.QUEUES, 1, "code")
    await redis.execute_command("PEXPIRE", keys.QUEUES, 60_000)
    for run_id, ending in (
        ("done", RunEnding.succeeded("stop")),
        ("failed", RunEnding.failed("model_auth", "x", request_id="q", retryable=False)),
    ):
        await put_run(redis, run_id, -3, owner="alice")
        await end(deployment, await stored(deployment, run_id), ending)

    assert await ids(deployment) == ["waiting", "other-agent", "failed", "done"]
    assert await ids(deployment, states=LIVE_STATES) == ["waiting", "other-agent"]
    assert await ids(deployment, states=frozenset({RunState.FAILED})) == ["failed"]
    assert await ids(deployment, chat_id="c1") == ["waiting"]
    assert await ids(deployment, agent="research") == ["other-agent"]
    assert await ids(deployment, owner="bob", states=frozenset({RunState.FAILED})) == []
    assert await ids(deployment, since=10**13) == []
    assert await ids(deployment, limit=3) == ["waiting", "other-agent", "failed"]


async def test_since_uses_the_time_of_admission(deployment: Deployment, redis: Redis) -> None:
    await put_run(redis, "r", -5, admitted_at=0)

    since = await deployment.redis_time_ms() - 60_000

    assert await ids(deployment, since=since) == ["r"]
    assert (await stored(deployment, "r")).admitted_at >= since


async def test_search_is_bounded_and_reported(deployment: Deployment, redis: Redis) -> None:
    for number in range(12):
        await put_run(redis, f"r{number}", -number)

    found = await deployment.run_list.find(["main"], RunFilter(), limit=5, scan_limit=100)
    nothing = await deployment.run_list.find(
        ["main"], RunFilter(owner="unknown"), limit=5, scan_limit=100
    )

    assert (len(found.runs), found.more) == (5, True)
    assert (nothing.runs, nothing.more) == ([], False)


async def test_bulk_stop_reports_counts_and_needs_confirmation(
    deployment: Deployment, redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(30):
        await put_run(redis, f"r{number}", -5, agent="chat" if number else "research")
    chat = run_filter((), owner=None, chat=None, agent="chat", since=None, allowed=LIVE_STATES)

    await stop_runs.stop_matching(deployment, chat, dry_run=True, confirmed=False)
    dry = capsys.readouterr().out
    live_after_dry_run = await ids(deployment, states=LIVE_STATES)
    with pytest.raises(CommandFailed, match="To stop 29 runs, confirm with --yes"):
        await stop_runs.stop_matching(deployment, chat, dry_run=False, confirmed=False)
    await stop_runs.stop_matching(deployment, chat, dry_run=False, confirmed=True)
    stopped = capsys.readouterr().out
    await stop_runs.stop_all(deployment, ["r1", "r0"])

    assert dry.endswith("Would stop 29 runs: 29 queued.\n")
    assert len(live_after_dry_run) == 30
    assert stopped.endswith("29 stopped.\n")
    assert capsys.readouterr().out == "1 had already ended, 1 stopped.\n"
    assert await ids(deployment, states=LIVE_STATES) == []


@pytest.mark.parametrize("text", ["2 hours", "-1h", "99999999999999h", "yesterday", "9" * 30])
def test_invalid_time_is_rejected(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is not a time"):
        parse_since(text)


def test_stop_rejects_states_that_have_ended() -> None:
    with pytest.raises(typer.BadParameter, match="such runs have ended already"):
        run_filter(["failed"], owner=None, chat=None, agent=None, since=None, allowed=LIVE_STATES)
