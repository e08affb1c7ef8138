"""A worker whose shutdown hangs exits with an error."""

import subprocess
import sys

import pytest

_SHUTDOWN = """
import time
from worker import exit_deadline

exit_deadline.EXIT_SECONDS = 0.5
with exit_deadline.ExitDeadline() as deadline:
    deadline.start(0.5)
    time.sleep({hangs})
time.sleep(1.5)
"""


@pytest.mark.parametrize(("hangs", "code"), [(60, 1), (0, 0)])
def test_hanging_shutdown_ends_with_exit_code_1(hangs: int, code: int) -> None:
    program = _SHUTDOWN.format(hangs=hangs)

    ended = subprocess.run([sys.executable, "-c", program], timeout=30, check=False)

    assert ended.returncode == code
