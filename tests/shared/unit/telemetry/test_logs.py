"""What the settings of logging change, seen on stderr."""

import json
import subprocess
import sys

PROGRAM = """
import sys, structlog
from shared.telemetry.logs import configure
from shared.settings import LoggingSettings
configure(LoggingSettings(level=sys.argv[1], format=sys.argv[2]))
log = structlog.stdlib.get_logger("ours")
log.info("said", run_id="r1")
log.warning("warned", run_id="r1")
"""


def lines(level: str, style: str) -> list[str]:
    command = [sys.executable, "-c", PROGRAM, level, style]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return ended.stderr.splitlines()


def test_what_is_below_the_level_is_not_logged() -> None:
    events = [json.loads(line)["event"] for line in lines("WARNING", "json")]

    assert events == ["warned"]


def test_a_line_is_json_with_its_fields() -> None:
    said = json.loads(lines("INFO", "json")[0])

    assert said.keys() == {"event", "level", "logger", "timestamp", "run_id"}
    assert (said["event"], said["level"], said["run_id"]) == ("said", "info", "r1")


def test_a_line_may_be_text() -> None:
    said = lines("INFO", "console")[0]

    assert "said" in said
    assert "run_id=r1" in said
    assert not said.startswith("{")
