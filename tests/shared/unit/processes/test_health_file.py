"""The health file reports processes that hang or have lost Redis, and ignores everything else."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.processes.health_file import REDIS_LOST_SECONDS, HealthFile, find_problem


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path / f"mamba-worker-{os.getuid()}"


def age(folder: Path, seconds: float) -> None:
    """Make the last heartbeat older."""
    path = folder / str(os.getpid())
    at, *rest = path.read_text().split()
    path.write_text(" ".join([str(float(at) - seconds), *rest]))


def test_fresh_heartbeat_is_healthy() -> None:
    HealthFile("worker").write(last_contact=time.monotonic())

    assert find_problem("worker") is None


def test_old_heartbeat_is_a_hang(folder: Path) -> None:
    HealthFile("worker").write(last_contact=time.monotonic())
    age(folder, 25)

    assert "hangs: it has sent no heartbeat for 25 seconds" in (find_problem("worker") or "")


@pytest.mark.parametrize(("seconds", "lost"), [(50, False), (REDIS_LOST_SECONDS + 5, True)])
def test_lost_redis_fails_only_a_worker(seconds: float, lost: bool) -> None:  # noqa: FBT001
    for role in ("worker", "api"):
        HealthFile(role).write(last_contact=time.monotonic() - seconds)

    problem = find_problem("worker")
    assert (problem is not None) is lost
    assert not lost or "has not reached Redis for 65 seconds" in (problem or "")
    assert find_problem("api") is None


def test_removed_file_means_that_no_process_runs() -> None:
    file = HealthFile("worker")
    file.write(last_contact=time.monotonic())
    file.remove()

    with pytest.raises(FileNotFoundError, match="No worker has started"):
        find_problem("worker")


def test_file_of_an_earlier_process_with_the_same_id_is_ignored(folder: Path) -> None:
    HealthFile("worker").write(last_contact=time.monotonic())
    (folder / str(os.getpid())).write_text("1.0 1.0 1")

    with pytest.raises(FileNotFoundError):
        find_problem("worker")


def test_symbolic_link_to_a_folder_is_rejected(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder.symlink_to(elsewhere)

    with pytest.raises(PermissionError, match="not a folder of this user"):
        HealthFile("worker").write(last_contact=1.0)
    with pytest.raises(FileNotFoundError):
        find_problem("worker")
    assert not list(elsewhere.iterdir())


@given(name=st.text("0123456789x", min_size=1, max_size=9), content=st.binary(max_size=60))
def test_foreign_files_are_ignored(name: str, content: bytes) -> None:
    HealthFile("worker").write(last_contact=time.monotonic())
    if name != str(os.getpid()):
        path = Path(os.environ["TMPDIR"]) / f"mamba-worker-{os.getuid()}" / name
        path.write_bytes(content)

    assert find_problem("worker") is None
