"""The benchmark: its client, its upstream, its direct server, its table and its plots."""

import argparse
from pathlib import Path

import pytest

from bench import growth, scaling
from bench.__main__ import parse_arguments
from bench.capacity import Curves, Delay, Throughput
from bench.load import ask
from bench.measurements import FULL, steady_delays
from bench.plots import write_plots
from bench.servers import DirectApi, open_upstream
from bench.table import Row, at_least, at_most, compare, markdown, single, write_section
from bench.upstream import model_name
from bench.usage import cpu_seconds, resident_megabytes
from tests.support.processes import start_all, stop_all


async def test_direct_server_of_the_benchmark_answers() -> None:
    async with open_upstream() as upstream:
        direct = DirectApi(upstream.base_url)
        try:
            await start_all(direct)
            url = f"{direct.url}/chat"
            fast, slow = await ask(url, model_name(20)), await ask(url, model_name(5, 0.01))
            pids = (direct.child.pid,)
            used, memory = cpu_seconds(pids), resident_megabytes(pids)
        finally:
            await stop_all(direct)

    assert (fast.words, fast.delays) == (20, [])
    assert 0 < fast.first_token <= fast.duration
    assert slow.words == len(slow.delays) == 5
    assert all(0 <= delay < 30 for _, delay in slow.delays)
    assert steady_delays([slow])[0] >= 0
    assert 0 < used < 60
    assert 10 < memory < 1000


def test_table_has_medians_and_verdicts() -> None:
    ratio = compare("speed", [(10.0, 2.0), (30.0, 5.0), (20.0, 10.0)], at_least(5))
    added = single("delay", 12.345, at_most(10, "ms"))
    assert ratio == Row("speed", "20", "5", "5 ×", "≥ 5 ×", met=True)
    assert added == Row("delay", "12.3 ms", "", "", "≤ 10 ms", met=False)
    assert markdown([ratio, added]).splitlines()[2:] == [
        "| speed | 20 | 5 | 5 × | ≥ 5 × | met |",
        "| delay | 12.3 ms |  |  | ≤ 10 ms | missed |",
    ]


def test_scaling_separates_overhead_from_uneven_work() -> None:
    even = scaling.Round(0.004, [0.0025, 0.0025], [0.0026, 0.0026])
    uneven = scaling.Round(0.004, [0.0025, 0.0025], [0.004, 0.0015])

    speed, overhead, part, contention = scaling.rows_of([even, uneven, uneven])

    assert speed.cells()[1:] == ("250", "", "1.25 × one process", "≥ 1.8 ×", "missed")
    assert overhead.mamba == "1.1 ×"
    assert part.mamba == "0.727"
    assert contention.mamba == "1.25 ×"


def test_growth_compares_the_costs_of_each_round() -> None:
    rounds = [[1, 1, 1, 1, 1.2], [2, 2, 2, 3, 2.4], [4.0, 4, 4, 4, 5.6]]

    first, *_, last = growth.rows_of(rounds)

    assert first.cells()[1:] == ("2", "", "", "", "")
    assert last.cells()[1:] == ("2.4", "", "1.2 × the first", "≤ 1.25 ×", "met")


def test_section_between_markers_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("before\n<!-- results -->\nold\n<!-- end of results -->\nafter\n")
    for _ in range(2):
        write_section("results", "new", page)
    assert page.read_text() == (
        "before\n<!-- results -->\n\nnew\n\n<!-- end of results -->\nafter\n"
    )


def test_same_values_give_the_same_plots(tmp_path: Path) -> None:
    delays = [Delay(10, 1.0, 2.0), Delay(20, 3.0, 200.0)]
    curves = {"Mamba": Curves(delays, [Throughput(1, 900.0), Throughput(50, 5000.0)])}
    names = ("latency.svg", "throughput.svg")
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        write_plots(curves, tmp_path / folder)
    for name in names:
        first, second = ((tmp_path / folder / name).read_text() for folder in ("first", "second"))
        assert first == second
        assert "Mamba" in first


def test_rounds_are_an_argument(capsys: pytest.CaptureFixture[str]) -> None:
    expected = argparse.Namespace(rounds=FULL.rounds, quick=False, long=False, write=False)
    assert parse_arguments([]) == expected
    assert parse_arguments(["--rounds", "1"]).rounds == 1
    for arguments, code in ((["--help"], 0), (["--rounds", "0"], 2)):
        with pytest.raises(SystemExit) as exit_:
            parse_arguments(arguments)
        assert exit_.value.code == code
    printed = capsys.readouterr()
    assert "--rounds N" in printed.out
    assert "must be 1 or greater (got 0)" in printed.err
