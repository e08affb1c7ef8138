"""Repeats a failed test if the machine was paused during it.

A virtual machine may be suspended for minutes. Timeouts and leases then end without a defect, and
a failure proves nothing. A test that fails without a pause is not repeated.
"""

import threading
import time

import pytest
from _pytest.runner import runtestprotocol

_TICK_SECONDS = 0.25
#: Even a busy machine runs each thread within this time.
_PAUSE_SECONDS = 8.0


class PausedMachine:
    """A plugin. It takes the machine for paused if a thread did not run for `pause` seconds."""

    def __init__(self, pause: float = _PAUSE_SECONDS) -> None:
        self._pause = pause
        self._pauses = 0
        self._ended = threading.Event()
        threading.Thread(target=self._watch, name="paused-machine", daemon=True).start()

    def pytest_unconfigure(self) -> None:
        self._ended.set()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        pauses = self._pauses
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        if any(report.failed for report in reports) and self._paused_since(pauses):
            reports = runtestprotocol(item, log=False, nextitem=nextitem)
            reports[-1].sections.append(("Repeated", "The machine was paused during the test."))
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _paused_since(self, pauses: int) -> bool:
        time.sleep(2 * _TICK_SECONDS)  # the thread may not have run since the pause
        return self._pauses > pauses

    def _watch(self) -> None:
        last = time.monotonic()
        while not self._ended.wait(_TICK_SECONDS):
            now = time.monotonic()
            self._pauses += now - last > self._pause
            last = now
