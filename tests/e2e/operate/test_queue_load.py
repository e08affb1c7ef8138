"""The forecast and the spread of bursts on real processes, in short versions of the benchmarks."""

import subprocess
import sys

import pytest

from bench.queue.bursts import RUNS, WORKERS, burst
from bench.queue.deployment import open_deployment
from bench.queue.forecast import OWNERS, Load


async def test_burst_spreads_over_six_worker_processes() -> None:
    async with open_deployment(["owner"], workers=WORKERS, slots=256) as deployment:
        spread = await burst(deployment)

    # A worker that gets no processor time during the burst leaves its runs to the others.
    assert len(spread.runs_of_workers) >= WORKERS - 1
    assert max(spread.runs_of_workers) <= RUNS / 3


async def test_runs_start_in_the_announced_range() -> None:
    async with open_deployment(OWNERS, workers=2, slots=4) as deployment:
        load = Load(deployment, seconds=0)
        load.start(40)
        waits = await load.announced_waits()

    assert len(waits) >= 10
    assert sum(wait.outcome == "inside" for wait in waits) / len(waits) >= 0.6


# The process of a server imports the module of the benchmark before its environment is set.
@pytest.mark.parametrize("name", ["bursts", "fairness", "forecast"])
def test_benchmark_imports_no_metrics(name: str) -> None:
    code = f"import sys, bench.queue.{name}; sys.exit('prometheus_client' in sys.modules)"

    subprocess.run([sys.executable, "-c", code], check=True)
