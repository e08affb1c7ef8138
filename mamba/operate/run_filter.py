"""The filter options of `mamba run list` and `mamba run stop`."""

import re
import time
from collections.abc import Iterable
from datetime import datetime

import typer

from shared.runs.run_list import ALL_STATES, LIVE_STATES, RunFilter
from shared.streams.run_state import RunState

_AGE = re.compile(r"(\d{1,9})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def run_filter(
    states: Iterable[str],
    *,
    owner: str | None,
    chat: str | None,
    agent: str | None,
    since: str | None,
    allowed: frozenset[RunState] = ALL_STATES,
) -> RunFilter:
    """Return the filter that the options describe.

    Raises:
        typer.BadParameter: if a state or a time is not valid.
    """
    wanted = frozenset(state for name in states for state in _states(name))
    if ended := wanted - allowed:
        raise typer.BadParameter(f"--state {min(ended)}: such runs have ended already.")
    return RunFilter(
        states=wanted or allowed,
        owner=owner,
        chat_id=chat,
        agent=agent,
        since=parse_since(since) if since else 0,
    )


def _states(name: str) -> frozenset[RunState]:
    if name == "live":
        return LIVE_STATES
    try:
        return frozenset({RunState(name)})
    except ValueError:
        known = ", ".join([*RunState, "live"])
        raise typer.BadParameter(f"--state {name!r} is unknown. Use one of: {known}.") from None


def parse_since(text: str) -> int:
    """Return the time in Unix milliseconds of an age such as `2h`, or of an ISO 8601 time.

    Raises:
        typer.BadParameter: if it is neither.
    """
    if match := _AGE.fullmatch(text):
        number, unit = match.groups()
        return max(0, int((time.time() - int(number) * _SECONDS[unit]) * 1000))
    try:
        return max(0, int(datetime.fromisoformat(text).timestamp() * 1000))
    except (ValueError, OverflowError, OSError):
        raise typer.BadParameter(
            f"--since {text!r} is not a time. Write 30m, 2h, 1d, or 2026-01-31T12:00."
        ) from None
