"""The checks find what a deployment could do wrong, and the figures are right."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.checks.checker import check_view
from tests.chaos.checks.memory import MemoryWatch
from tests.chaos.checks.recovery import recoveries
from tests.chaos.clients.question import Question
from tests.chaos.clients.view import AnswerView
from tests.chaos.faults import SINGLE_KINDS, FaultKind, InjectedFault, plan_faults
from tests.chaos.report import kept_section
from tests.support.sse_client import DONE, SseEvent

Json = dict[str, Any]

QUESTION = Question("chat-1", 0, (3,), 0.0)
WORDS = ["c1q0w0 ", "c1q0w1 ", "c1q0w2 "]


def view_of(words: Sequence[str] = WORDS, ending: str = "finish", **fields: bool) -> AnswerView:
    view = AnswerView(QUESTION, run_id="run")
    for name, value in fields.items():
        setattr(view, name, value)
    chunks = [{"type": "start", "messageId": "m"}]
    chunks += [{"type": "text-delta", "id": "t", "delta": word} for word in words]
    lines = [json.dumps(chunk) for chunk in (*chunks, {"type": ending})]
    for offset, line in enumerate((*lines, DONE), start=1):
        view.add(SseEvent(f"1-{offset}@run", line))
    return view


def test_correct_answers_pass() -> None:
    assert not list(check_view(view_of()))
    assert not list(check_view(view_of(WORDS[:2], "abort", is_stopped=True)))
    assert not list(check_view(view_of([], "abort", is_superseded=True)))


@pytest.mark.parametrize(
    ("view", "kind"),
    [
        (view_of(WORDS[:2]), "lost"),
        (view_of([*WORDS, WORDS[2]]), "doubled"),
        (view_of([WORDS[1], WORDS[0], WORDS[2]]), "wrong"),
        (view_of(WORDS[:1], "abort"), "lost"),
        (view_of(ending="finish", is_stopped=True), "lost"),
        (view_of(ending="error"), "failed"),
        (view_of(ending="start-step"), "lost"),
    ],
)
def test_wrong_answers_are_found(view: AnswerView, kind: str) -> None:
    assert [violation.kind for violation in check_view(view)] == [kind]


def test_events_out_of_order_are_found() -> None:
    first, *_, last = view_of().events
    twice, missing = AnswerView(QUESTION), AnswerView(QUESTION)
    for event in (first, first):
        twice.add(event)
    for event in (first, last):
        missing.add(event)

    assert [kind for kind, _ in twice.defects] == ["doubled"]
    assert [kind for kind, _ in missing.defects] == ["lost"]


def test_reload_without_parts_of_the_message_is_found() -> None:
    question = Question("chat-1", 0, (1, 3), 0.0, response="approve")
    call: Json = {"type": "tool-input-start", "toolCallId": question.call_id}
    start, word = {"type": "start", "messageId": "m"}, {"type": "text-delta", "delta": "c1q0w0 "}
    earlier = AnswerView(question, run_id="one")
    for offset, chunk in enumerate((start, word, call), start=1):
        earlier.add(SseEvent(f"1-{offset}@one", json.dumps(chunk)))

    def reloaded(*replayed: Json) -> AnswerView:
        view = AnswerView(question, run_id="two", continues=earlier)
        view.restart()
        for chunk in (start, *replayed):
            source = "two" if chunk is start else "one"
            view.add(SseEvent(f"1-1@two/{source}", json.dumps(chunk)))
        ending = {"type": "text-delta", "delta": question.texts[1]}, {"type": "finish"}
        for offset, line in enumerate([*map(json.dumps, ending), DONE], start=2):
            view.add(SseEvent(f"1-{offset}@two", line))
        return view

    assert not list(check_view(reloaded(word, call)))
    for replayed in ([word], [call]):
        assert [found.kind for found in check_view(reloaded(*replayed))] == ["wrong"]


def test_schedule_is_determined_by_its_seed() -> None:
    planned = plan_faults(7, 60)

    assert planned == plan_faults(7, 60)
    assert planned != plan_faults(8, 60)
    assert {fault.kind for fault in planned} == set(SINGLE_KINDS)


def test_every_second_round_of_faults_has_a_storm() -> None:
    planned = plan_faults(7, 2 * len(SINGLE_KINDS))
    times = {fault.kind: fault.at for fault in planned[len(SINGLE_KINDS) :]}

    storm = [
        times[kind]
        for kind in (FaultKind.REDIS_KILL, FaultKind.WORKER_KILL, FaultKind.CLIENT_STORM)
    ]
    assert max(storm) - min(storm) < 1


@pytest.mark.parametrize(("final", "found"), [(110.0, []), (150.0, ["memory"])])
def test_memory_that_has_grown_is_found(final: float, found: list[str]) -> None:
    watch = MemoryWatch(warm={"api": [90.0, 100.0]}, final={"api": [80.0, final]})

    assert [violation.kind for violation in watch.violations()] == found


def test_section_that_is_not_generated_is_kept(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    assert kept_section(page) == ""

    page.write_text("# Chaos\n\n## Recovery\n\nOld.\n\n## Failovers\n\nKept.\n")

    assert kept_section(page) == "\n## Failovers\n\nKept.\n"


def test_recovery_counts_from_the_end_of_its_cause() -> None:
    kill = InjectedFault(FaultKind.WORKER_KILL, 10.0, 10.0, frozenset(["7"]))
    unrelated = InjectedFault(FaultKind.WORKER_KILL, 10.1, 10.1, frozenset(["8"]))
    pause = InjectedFault(FaultKind.REDIS_STOP, 11.0, 12.5)
    view = AnswerView(QUESTION, run_id="run", times=[9.0, 9.9, 13.0, 13.1])

    assert recoveries([kill, unrelated, pause], [view], {"run": frozenset(["7"])}) == {
        FaultKind.WORKER_KILL: [pytest.approx(1.5)]
    }


def test_interruption_after_the_kill_of_its_worker_belongs_to_it() -> None:
    view = AnswerView(QUESTION, run_id="run", times=[0.0, 1.0, 4.5])
    kill = InjectedFault(FaultKind.WORKER_KILL, 1.0, 1.0, frozenset(["7"]))
    storm = InjectedFault(FaultKind.CLIENT_STORM, 1.1, 1.5)

    assert recoveries([kill, storm], [view], {"run": frozenset(["7"])}) == {
        FaultKind.WORKER_KILL: [pytest.approx(3.1)]
    }
    assert recoveries([kill, storm], [view], {"run": frozenset(["8"])}) == {
        FaultKind.CLIENT_STORM: [pytest.approx(3.0)]
    }


def test_recovery_from_a_silent_model_counts_from_the_timeout() -> None:
    silence = InjectedFault(FaultKind.MODEL_SILENT_STREAM, 8.0, 8.0)
    view = AnswerView(QUESTION, run_id="run", model_fault=silence, times=[9.0, 9.9, 12.4])

    assert recoveries([silence], [view], {}) == {
        FaultKind.MODEL_SILENT_STREAM: [pytest.approx(0.5)]
    }
