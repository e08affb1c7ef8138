import re

from shared.runs.run import new_run_id
from shared.streams.run_state import RunState


def test_only_terminal_states_are_ended() -> None:
    ended = {state for state in RunState if state.ended}

    assert ended == {RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED}


def test_run_ids_are_unique_and_alphanumeric() -> None:
    ids = {new_run_id() for _ in range(1000)}

    assert len(ids) == 1000
    assert all(re.fullmatch(r"[0-9A-Za-z]{20}", run_id) for run_id in ids)
