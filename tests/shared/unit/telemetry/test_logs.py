"""The log formats and levels, observed on stderr."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import sys, structlog
from shared.telemetry.logs import configure
configure(sys.argv[1], sys.argv[2])
log = structlog.stdlib.get_logger("mamba")
log.info("run.ended", message="Run ended", run_id="r1")
log.warning("run.taken_over", run_id="r1")
"""


def log_lines(level: str, style: str) -> list[str]:
    command = [sys.executable, "-c", PROGRAM, level, style]
    process = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return process.stderr.splitlines()


def test_events_below_the_level_are_not_logged() -> None:
    events = [json.loads(line)["event"] for line in log_lines("WARNING", "json")]

    assert events == ["run.taken_over"]


def test_json_line_has_event_message_and_fields() -> None:
    line = json.loads(log_lines("INFO", "json")[0])

    assert line.keys() == {"event", "message", "level", "logger", "timestamp", "run_id"}
    assert (line["event"], line["message"]) == ("run.ended", "Run ended")
    assert (line["level"], line["run_id"]) == ("info", "r1")


def test_json_line_without_message_has_no_message_key() -> None:
    line = json.loads(log_lines("INFO", "json")[1])

    assert line.keys() == {"event", "level", "logger", "timestamp", "run_id"}


def test_console_line_starts_with_event_and_message() -> None:
    with_message, without_message = log_lines("INFO", "console")

    assert "run.ended: Run ended" in with_message
    assert "message=" not in with_message
    assert with_message.index("run.ended: Run ended") < with_message.index("run_id=r1")
    assert "run.taken_over" in without_message
    assert not with_message.startswith("{")


LEAKS = """
import asyncio, gc, logging, sys, warnings
from shared.telemetry.logs import configure
configure("DEBUG", sys.argv[1])
CANARY = "can" + "ary"
warnings.warn(CANARY, UserWarning, stacklevel=1)

async def fail():
    raise ValueError(CANARY)

async def main():
    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    del task
    gc.collect()
    try:
        await fail()
    except ValueError:
        logging.getLogger("library").exception("Failed")

asyncio.run(main())
"""


@pytest.mark.parametrize("style", ["json", "console"])
def test_messages_of_exceptions_and_warnings_are_not_logged(style: str) -> None:
    command = [sys.executable, "-c", LEAKS, style]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    assert "canary" not in ended.stderr
    assert "library.warning" in ended.stderr
    assert ended.stderr.count("never retrieved") == 1
    assert ended.stderr.count("ValueError") == 2


RECONFIGURE_SCRIPT = """
import structlog
from structlog.testing import capture_logs
from shared.telemetry.logs import configure
log = structlog.stdlib.get_logger("mamba")
configure("INFO", "json")
log.info("before")
configure("INFO", "json")
with capture_logs() as captured:
    log.info("during")
log.info("after")
print([line["event"] for line in captured])
"""


def test_capture_logs_works_after_reconfiguration() -> None:
    command = [sys.executable, "-c", RECONFIGURE_SCRIPT]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    assert ended.stdout.strip() == "['during']"
    assert [json.loads(line)["event"] for line in ended.stderr.splitlines()] == ["before", "after"]
