"""`make chaos`: runs the chaos suite at length and writes `docs/chaos.md`."""

import argparse
import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.chaos.experiment import ChaosPlan, ChaosResult, run_experiment
from tests.chaos.faults import FaultKind
from tests.chaos.report import render_page, render_text
from tests.support.isolation import Isolation
from tests.support.processes import ROOT


def main() -> None:
    options = _options()
    kinds = [kind for kind in FaultKind if not options.kinds or kind.name in options.kinds]
    plan = ChaosPlan(
        options.seed,
        options.faults,
        kinds,
        options.every,
        options.chats,
        options.sentinel,
        options.confirm_replicas,
    )
    result = _run(plan)
    print(render_text(result))
    if options.logs:
        _write_logs(result, options.logs)
    if options.page:
        command = f"make chaos FAULTS={options.faults} SEED={options.seed}"
        options.page.write_text(render_page(result, command, f"commit {_commit()}"))
    sys.exit(bool(result.violations))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two faults")
    parser.add_argument("--chats", type=int, default=8, help="chats at the same time")
    parser.add_argument("--kinds", nargs="*", help="names of FaultKind; all if omitted")
    parser.add_argument(
        "--sentinel", action="store_true", help="Valkey with a replica, by Sentinel"
    )
    parser.add_argument("--confirm-replicas", type=int, default=0)
    parser.add_argument("--page", type=Path, help="where to write the report")
    parser.add_argument("--logs", type=Path, help="folder for the output of the processes")
    return parser.parse_args()


def _run(plan: ChaosPlan) -> ChaosResult:
    isolation = Isolation()
    isolation.start()
    try:
        with tempfile.TemporaryDirectory(prefix="mamba-chaos-") as folder:
            return asyncio.run(run_experiment(plan, Path(folder)))
    finally:
        isolation.end()


def _write_logs(result: ChaosResult, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name, output in result.logs.items():
        (folder / name.replace(" ", "-")).write_text(output)


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


main()
