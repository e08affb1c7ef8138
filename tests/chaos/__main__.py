"""`make chaos`: runs the chaos suite at length and writes `docs/chaos.md`."""

import argparse
import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.chaos.clock import fake_time_library
from tests.chaos.experiment import ChaosPlan, ChaosResult, run_experiment
from tests.chaos.faults import CLUSTER_KINDS, SENTINEL_KINDS, SINGLE_KINDS, FaultKind
from tests.chaos.report import kept_section, render_page, render_text
from tests.chaos.storage import StorageKind
from tests.support.isolation import Isolation
from tests.support.processes import ROOT

_SUPPORTED: dict[StorageKind, tuple[FaultKind, ...]] = {
    "single": SINGLE_KINDS,
    "sentinel": SENTINEL_KINDS,
    "cluster": CLUSTER_KINDS,
}
_STORAGES = {
    "sentinel": "Valkey with a replica, by Sentinel",
    "cluster": "one Valkey for the queue, and a cluster with replicas for the streams",
}


def main() -> None:
    options = _options()
    plan = ChaosPlan(
        options.seed,
        options.faults,
        _kinds(options.storage, options.kinds),
        options.every,
        options.chats,
        options.storage,
        options.confirm_replicas,
    )
    result = _run(plan)
    print(render_text(result))
    if options.logs:
        _write_logs(result, options.logs)
    if options.page:
        command = f"make chaos FAULTS={options.faults} SEED={options.seed}"
        page = render_page(result, command, f"commit {_commit()}")
        options.page.write_text(page + kept_section(options.page))
    sys.exit(bool(result.violations))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two faults")
    parser.add_argument("--chats", type=int, default=8, help="chats at the same time")
    parser.add_argument("--kinds", nargs="*", help="names of FaultKind; all if omitted")
    parser.set_defaults(storage="single")
    for storage, text in _STORAGES.items():
        parser.add_argument(
            f"--{storage}", dest="storage", action="store_const", const=storage, help=text
        )
    parser.add_argument("--confirm-replicas", type=int, default=0)
    parser.add_argument("--page", type=Path, help="where to write the report")
    parser.add_argument("--logs", type=Path, help="folder for the output of the processes")
    return parser.parse_args()


def _kinds(storage: StorageKind, names: list[str] | None) -> list[FaultKind]:
    """Return the kinds with these names, or all that the storage and this machine support."""
    if names:
        return [FaultKind[name] for name in names]
    if fake_time_library():
        return list(_SUPPORTED[storage])
    print("Clock jumps are left out: they need the Debian package faketime.", file=sys.stderr)
    return [kind for kind in _SUPPORTED[storage] if not kind.needs_fake_clock]


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
