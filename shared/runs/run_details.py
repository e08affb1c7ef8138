"""Details of a run in its hash: its attempts, their workers and outcomes, and the token usage."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.redis.numbers import whole_number
from shared.runs.run import Run
from shared.streams.run_state import RunState

AttemptOutcome = Literal[
    "running", "failed", "handed_over", "broken", "crashed", "succeeded", "cancelled"
]
#: Outcomes that are recorded when an attempt ends.
_RECORDED: Mapping[str, AttemptOutcome] = {
    "failed": "failed",
    "handed_over": "handed_over",
    "broken": "broken",
}


class AttemptDetails(BaseModel):
    """One attempt. Times are Unix milliseconds."""

    model_config = ConfigDict(frozen=True)

    number: int
    worker: str | None = None
    started_at: int | None = None
    outcome: AttemptOutcome
    #: The failure code.
    code: str | None = None
    ended_at: int | None = None


class TokenUsage(BaseModel):
    """Tokens of all attempts, as reported by the models."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    input_tokens: int = 0
    cache_read_tokens: int = 0
    output_tokens: int = 0


def attempts_of(run: Run, fields: Mapping[str, str]) -> list[AttemptDetails]:
    """Return the attempts of workers, oldest first.

    An attempt without a record of its end crashed, unless it is the last one.
    """
    numbers = {
        number
        for name in fields
        for kind, _, suffix in [name.partition(":")]
        if kind in ("worker", "end") and (number := whole_number(suffix)) is not None
    }
    return [_attempt(run, number, fields) for number in sorted(numbers)]


def usage_of(fields: Mapping[str, str]) -> TokenUsage | None:
    """Return the tokens used so far, or None if nothing is recorded."""
    used: list[TokenUsage] = []
    for name, value in fields.items():
        if name.startswith("usage:"):
            try:
                used.append(TokenUsage.model_validate_json(value))
            except ValidationError:  # of a newer version
                continue
    if not used:
        return None
    return TokenUsage(
        input_tokens=sum(usage.input_tokens for usage in used),
        cache_read_tokens=sum(usage.cache_read_tokens for usage in used),
        output_tokens=sum(usage.output_tokens for usage in used),
    )


def _attempt(run: Run, number: int, fields: Mapping[str, str]) -> AttemptDetails:
    worker, _, started = fields.get(f"worker:{number}", "").rpartition(" ")
    outcome, code, ended_at = _end(run, number, fields.get(f"end:{number}", ""))
    return AttemptDetails(
        number=number,
        worker=worker or None,
        started_at=whole_number(started),
        outcome=outcome,
        code=code or None,
        ended_at=ended_at,
    )


def _end(run: Run, number: int, recorded: str) -> tuple[AttemptOutcome, str, int | None]:
    name, _, rest = recorded.partition(" ")
    code, _, ended = rest.partition(" ")
    if (outcome := _RECORDED.get(name)) is not None:
        return outcome, code, whole_number(ended)
    if number < run.attempts:
        return "crashed", "", None
    if not run.state.ended:
        return "running", "", None
    return _final_outcome(run), run.error or "", run.ended_at


def _final_outcome(run: Run) -> AttemptOutcome:
    match run.state:
        case RunState.SUCCEEDED:
            return "succeeded"
        case RunState.CANCELLED:
            return "cancelled"
        case _:
            return "failed"
