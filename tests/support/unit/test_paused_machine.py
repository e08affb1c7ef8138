"""A test that fails is repeated if the machine was paused, and only then."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.isolation import ROOT

PROBE = """
import os
import signal
import subprocess
import sys

import pytest

from tests.support.isolation.paused_machine import PausedMachine

tries = []


def test_second_try_passes():
    tries.append(1)
    if len(tries) == 1 and {paused}:
        wake = f"sleep 1.5; kill -CONT {{os.getpid()}}"
        with subprocess.Popen(["/bin/sh", "-c", wake]):
            os.kill(os.getpid(), signal.SIGSTOP)
    assert len(tries) == 2


if __name__ == "__main__":
    sys.exit(pytest.main(["-p", "no:cacheprovider", __file__], plugins=[PausedMachine(pause=1.0)]))
"""


@pytest.mark.parametrize(("paused", "outcome"), [("True", "1 passed"), ("False", "1 failed")])
def test_failure_during_a_pause_is_repeated(tmp_path: Path, paused: str, outcome: str) -> None:
    probe = tmp_path / "test_probe.py"
    probe.write_text(PROBE.format(paused=paused))

    result = subprocess.run(
        [sys.executable, str(probe)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert outcome in result.stdout, result.stdout + result.stderr
