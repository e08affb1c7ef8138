"""Rendering of `mamba top`: it fits every terminal and escapes control characters."""

from itertools import pairwise
from typing import Any

import pytest

from mamba.operate.top.charts import CHARTS, maximum_per_bin, short_duration, short_number
from mamba.operate.top.grid import Column, bar, grid, sparkline, text
from mamba.operate.top.keyboard import keys_in
from mamba.operate.top.levels import WAIT
from mamba.operate.top.screen import View, render, render_screen
from shared.monitoring.metrics_history import Sample
from shared.monitoring.snapshot import (
    QueueSnapshot,
    RedisSnapshot,
    RunSnapshot,
    SystemOverview,
    WebhookSnapshot,
)
from shared.processes.api_processes import ApiRecord
from shared.processes.vanished import VanishedWorker
from shared.processes.workers import WorkerRecord
from shared.runs.failure_meanings import MEANINGS
from tests.support.reference.failures import ALL_FAILURES

NOW = 1_800_000_000_000


def sample(seconds_ago: int, **more: Any) -> Sample:
    zeros = dict.fromkeys(
        ("waiting", "running", "deferred", "oldest_wait_ms", "workers", "slots", "clients"), 0
    )
    return Sample(**{**zeros, "at": NOW - seconds_ago * 1000, **more})


def run(number: int, **more: Any) -> RunSnapshot:
    fields: dict[str, Any] = {
        "id": f"run-{number:016}",
        "state": "running",
        "agent": "chat",
        "model": "some-model",
        "queue": "main",
        "attempts": 1,
        "age_ms": 7200,
        "worker": "web-1-4711-3fa2b1",
    }
    return RunSnapshot(**{**fields, **more})


def worker(number: int, **more: Any) -> WorkerRecord:
    fields: dict[str, Any] = {
        "id": f"web-{number}-4711-3fa2b1",
        "host": "web",
        "pid": 1,
        "started_at": 0,
        "queues": ("main",),
        "running": 3,
        "concurrency": 4,
    }
    return WorkerRecord(**{**fields, **more})


def overview(size: int = 1, **more: Any) -> SystemOverview:
    queues = [
        QueueSnapshot(name=f"q{n}", waiting=n, running=1, deferred=0, oldest_wait_ms=n * 1000)
        for n in range(size)
    ]
    fields: dict[str, Any] = {
        "at": NOW,
        "queues": queues,
        "workers": [worker(number) for number in range(size)],
        "apis": [ApiRecord(id="p", host="h", pid=1, started_at=0, clients=2)],
        "redis": RedisSnapshot(
            up=True, latency_ms=0.3, memory_bytes=5_000_000, memory_limit_bytes=0
        ),
        "live": [run(number) for number in range(size)],
        "failed": [run(number, error="model_auth", ended_at=NOW - 5000) for number in range(size)],
        "samples": [sample(n * 5, waiting=n) for n in range(100, 0, -1)],
    }
    return SystemOverview(**{**fields, **more})


def rendered(seen: SystemOverview, width: int, height: int) -> str:
    return "\n".join(line.plain for line in render_screen(seen, View("redis:6379"), width, height))


@pytest.mark.parametrize("size", [0, 3, 60])
@pytest.mark.parametrize("height", [1, 8, 15, 24, 40])
@pytest.mark.parametrize("width", [1, 20, 40, 80, 120])
def test_screen_fits_any_terminal(width: int, height: int, size: int) -> None:
    lines = render_screen(overview(size), View("redis:6379"), width, height)

    assert len(lines) == height
    assert max(line.cell_len for line in lines) <= width


@pytest.mark.parametrize("width", [20, 40, 80])
def test_wide_characters_count_as_two_cells(width: int) -> None:
    seen = overview(live=[run(0, model="模型" * 40)], workers=[worker(0, id="👷" * 40)])

    assert max(line.cell_len for line in render_screen(seen, View("redis"), width, 24)) <= width


def test_control_characters_are_replaced() -> None:
    seen = overview(live=[run(0, model="\x1b[2Jevil\r\n\x07")])

    shown = rendered(seen, 120, 40)

    assert "evil" in shown
    assert not {"\x1b", "\r", "\x07"} & set(shown)


def test_hidden_rows_are_counted() -> None:
    lines = rendered(overview(60), 80, 40).splitlines()

    counts = [line for line in lines if line.startswith("… ")]
    assert len(counts) == 4
    assert all(line.endswith(" more") for line in counts)


def test_queue_shows_its_expected_wait() -> None:
    queue = QueueSnapshot(
        name="main", waiting=3, running=1, deferred=0, oldest_wait_ms=400, expected_wait_ms=14_200
    )

    lines = rendered(overview(queues=[queue]), 120, 40).splitlines()

    [header, row] = next(pair for pair in pairwise(lines) if pair[0].startswith("QUEUE"))
    assert row.split()[header.split().index("EXPECTED") + 1] == "14.2s"  # a bar has no header


def test_snapshot_shows_all_rows() -> None:
    shown = "\n".join(line.plain for line in render(overview(60), View("redis:6379"), 80))

    assert shown.count("run-00") == 120
    assert "q quit" not in shown


def test_selected_run_is_always_visible() -> None:
    for number in (0, 30, 59):
        selected = f"run-{number:016}"
        lines = render_screen(overview(60), View("redis", selected=selected), 100, 24)
        marked = [line for line in lines if any("reverse" in str(s.style) for s in line.spans)]
        assert [line.plain.startswith(selected) for line in marked] == [True]


def test_screen_is_dimmed_while_redis_is_unreachable() -> None:
    seen = overview(2, redis=RedisSnapshot(up=False))

    lines = render_screen(seen, View("redis"), 100, 40)

    assert "Redis unreachable" in lines[1].plain
    assert all(line.style == "dim" for line in lines[2:30] if line.plain)


def test_header_counts_webhooks_that_fail() -> None:
    failing = WebhookSnapshot(destination="crm", pending=4, retrying=1, failed=0)
    lost = WebhookSnapshot(destination="log", pending=0, retrying=1, failed=3)
    fine = WebhookSnapshot(destination="ok", pending=4, retrying=0, failed=0)

    assert "Webhooks 2 retrying 3 given up" in rendered(overview(webhooks=[failing, lost]), 120, 40)
    assert "Webhooks" not in rendered(overview(webhooks=[fine]), 120, 40)


def test_waiting_queue_without_a_worker_is_red() -> None:
    unserved = QueueSnapshot(name="lonely", waiting=1, running=0, deferred=0, oldest_wait_ms=20_000)
    seen = overview(queues=[unserved], workers=[worker(0)])

    [line] = [line for line in render_screen(seen, View("r"), 120, 40) if "lonely" in line.plain]

    assert {"red", "bold red"} <= {str(span.style) for span in line.spans}


def test_unserved_and_full_queues_are_named() -> None:
    depth: dict[str, Any] = {"waiting": 1, "running": 0, "deferred": 0, "oldest_wait_ms": 20_000}
    queues = [
        QueueSnapshot(name="lonely", **depth),
        QueueSnapshot(name="busy", **depth, workers=2, slots=8, slots_used=8),
        QueueSnapshot(name="fine", **depth, workers=1, slots=8, slots_used=7),
    ]

    lines = rendered(overview(queues=queues), 120, 40).splitlines()

    notes = {line.split()[0]: line.rstrip() for line in lines if "/8" in line or "lonely" in line}
    assert notes["lonely"].endswith("no worker serves it")
    assert notes["busy"].endswith("8/8  all slots in use")
    assert notes["fine"].endswith("7/8")
    assert "full: busy" in "\n".join(lines[:3])


def test_counts_of_a_queue_are_kept_in_40_columns() -> None:
    queue = QueueSnapshot(
        name="main", waiting=3, running=1, deferred=0, oldest_wait_ms=2_000, slots=1, slots_used=1
    )

    lines = rendered(overview(queues=[queue]), 40, 15).splitlines()

    [line] = [line for line in lines if line.startswith("main")]
    assert line.split()[:3] == ["main", "3", "1"]


def test_vanished_worker_is_shown_with_its_age() -> None:
    vanished = VanishedWorker(
        id="web-9-4711-aa", seen_at=NOW - 125_000, running=3, queues=("main", "slow")
    )

    shown = rendered(overview(vanished=(vanished,)), 120, 40)

    assert "1 vanished (last 2m05s ago)" in shown.splitlines()[1]
    [line] = [line for line in shown.splitlines() if "web-9-4711-aa" in line]
    assert line.split()[1:] == ["vanished", "3", "2m05s", "ago", "main,", "slow"]


@pytest.mark.parametrize(
    ("wait_ms", "style"), [(0, "green"), (1999, "green"), (2000, "yellow"), (10_000, "red")]
)
def test_wait_is_colored_by_its_level(wait_ms: int, style: str) -> None:
    assert WAIT.style(wait_ms) == style


def test_ranked_columns_are_dropped_before_others_are_truncated() -> None:
    columns = (Column("ID", min_width=4), Column("LESS", drop_rank=2), Column("MORE", drop_rank=1))
    row = [text("0123456789"), text("less"), text("more")]

    lines = {width: grid(columns, [row], width)[1].plain.rstrip() for width in (30, 18, 12, 6)}

    assert lines == {
        30: "0123456789  less  more",
        18: "0123456789  more",
        12: "0123456789",
        6: "01234…",
    }


def test_bars_and_sparklines_show_shares() -> None:
    assert bar(0.5, 4, "").plain == "██░░"
    assert bar(0.001, 4, "").plain == "▏░░░"
    assert bar(7, 4, "").plain == "████"
    assert sparkline([0, None, 5, 10], "").plain == "▁ ▅█"
    assert sparkline([0, 0], "").plain == "▁▁"


def test_chart_shows_the_maximum_per_bin_of_ten_minutes() -> None:
    samples = [sample(3000, waiting=99), sample(550, waiting=3), sample(5, waiting=7), sample(0)]

    assert maximum_per_bin(samples, CHARTS[0].value, NOW, 10) == [3, *[None] * 8, 7]


def test_numbers_are_abbreviated() -> None:
    assert [short_number(n) for n in (0, 0.25, 12, 12.34, 999, 1000, 1_234_567)] == [
        *("0", "0.2", "12", "12.3", "999", "1k", "1.2M"),
    ]
    assert [short_duration(n) for n in (5, 999, 1500)] == ["5 ms", "999 ms", "1.5 s"]


def test_key_presses_are_parsed() -> None:
    assert keys_in(b"qp") == ["q", "p"]
    assert keys_in(b"\x1b[A\x1b[Bx\x1bOA") == ["up", "down", "x", "up"]
    assert keys_in(b"\x1b") == ["escape"]
    assert keys_in(b"\x1b[5~") == []


def test_each_failure_code_has_a_meaning() -> None:
    codes = {failure.code for failure in ALL_FAILURES}

    assert set(MEANINGS) == codes | {"lost"}
