"""The report of an experiment, as text and as the page `docs/chaos.md`."""

import os
import platform
import statistics
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.chaos.checks.recovery import Stall, longest_silence, recoveries, stalls
from tests.chaos.checks.violation import KINDS
from tests.chaos.clients.view import AnswerView
from tests.chaos.experiment import ChaosResult
from tests.chaos.faults import SILENCE_SECONDS, FaultKind

_SHOWN_STALLS = 30
_KEPT_HEADING = "\n## Failovers\n"

_PAGE = """# Chaos

The chaos suite (`tests/chaos`) runs real API processes, workers, and a Valkey with an append-only
file. It injects faults in an order that a seed determines. Meanwhile, clients send questions, drop
their connections, resume at another API process, reload, stop and supersede answers, send further
questions during an answer, approve and deny tool calls, return the results of client tools, and
repeat requests whose response was lost. The model is scripted, so the correct answer to each
question is known. A checker compares what each client has received with this answer, with the run's
stream, and with a replay at each API process. It also checks the effects of tools, Redis, the
processes, and the logs.

This page shows one run of the suite. This command repeats it:

```sh
{command}
```

The seed determines the faults and what each client does. Timing also depends on the machine.

## Result

{summary}

## Violations

| kind | meaning | found |
|---|---|---|
{violations}
{details}
## Recovery

An interruption is a pause of more than one second in an answer. It is attributed to the newest
fault that affected the answer when the pause began: a fault of a worker that executed it, of an API
process that its client used, of Valkey, or of the model. If faults coincide, the kill of its worker
counts as the cause, because the run waits for the worker's lease. The interruption is measured from
the end of the fault, without the time in which another such fault was in progress, so the pauses
that clients notice (see the longest pause above) are longer. The recovery time of a fault is the
longest interruption that is attributed to it.

| fault | injected | interrupted an answer | p50 | p99 | maximum |
|---|---|---|---|---|---|
{recovery}

A lease lasts 3 seconds, so the run of a killed worker continues after about 3 seconds if the
machine has spare capacity. On an overloaded machine (see the load average) it takes longer.
A silent stream of the model counts from the end of the worker's timeout for silence, here
{silence:g} seconds.
"""


def machine() -> str:
    """Describe the machine: processors, memory, system and Python."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} processors, {memory:.0f} GiB of memory, {platform.system()} "
        f"{platform.machine()}, Python {platform.python_version()}"
    )


def render_page(result: ChaosResult, command: str, version: str) -> str:
    return _PAGE.format(
        command=command,
        summary="\n".join(f"- {line}" for line in _summary(result, version)),
        violations="\n".join(_violation_rows(result)),
        details=_details(result),
        recovery="\n".join(_recovery_rows(result)),
        silence=SILENCE_SECONDS,
    )


def kept_section(page: Path) -> str:
    """Return the section of a page that is not generated, with the line before it."""
    _, heading, rest = page.read_text().partition(_KEPT_HEADING) if page.exists() else ("",) * 3
    return heading + rest


def render_text(result: ChaosResult) -> str:
    lines = [*_summary(result, "this work tree"), *_recovery_rows(result), "Longest stalls:"]
    longest = stalls(result.faults, result.views, result.workers)[:_SHOWN_STALLS]
    lines += [_stall_line(stall) for stall in longest]
    lines += [f"{violation.kind}: {violation.detail}" for violation in result.violations]
    return "\n".join(lines)


def _stall_line(stall: Stall) -> str:
    gap = stall.interruption
    faults = [
        f"{fault.kind} from {fault.started - gap.started:.1f} to {fault.ended - gap.started:.1f}"
        for fault in (stall.cause, *stall.others)
    ]
    name = f"{gap.view.question.model} ({gap.view.run_id})"
    return f"{stall.seconds:5.1f} s of {gap.seconds:4.1f} s in {name}: {'; '.join(faults)}"


def _summary(result: ChaosResult, version: str) -> list[str]:
    accepted = [view for view in result.views if view.run_id]
    calls = sum(view.question.calls_tool for view in accepted if view.continues is None)
    cancelled = sum(view.is_stopped or view.is_superseded for view in accepted)
    queued = sum(view.waits_for is not None for view in accepted)
    clients = sum(view.connections for view in accepted)
    silences = [longest_silence(view) for view in result.views]
    exits = Counter(f"{name.split()[0]}, code {code}" for name, code in result.unexpected_exits)
    ended = ", ".join(f"{end}: {count}" for end, count in exits.items()) or "none"
    answers = f"{len(accepted)} answers, {clients} client connections"
    silence = ", ".join(
        f"{name} {value:.1f} s"
        for name, value in (
            ("p50", _quantile(silences, 50)),
            ("p99", _quantile(silences, 99)),
            ("maximum", max(silences, default=0.0)),
        )
    )
    return [
        f"{datetime.now(UTC):%Y-%m-%d}, {version}, on {machine()}; {result.seconds:.0f} seconds",
        f"{len(result.faults)} faults, {result.chats} chats, {answers}",
        f"mean load average: {result.load:.1f}{_priority()}",
        f"{len(result.violations)} violations",
        f"{cancelled} answers stopped or superseded; {queued} asked during another answer",
        _responses(accepted),
        f"{calls} tool calls; {result.repeated_calls} repeated after a crash (same key)",
        f"longest pause in each answer: {silence}",
        f"memory at the end, compared with warm processes: {_growth(result)}",
        f"processes that exited without a request: {ended}",
    ]


def _priority() -> str:
    """Return a note if other programs could not slow the suite down."""
    is_first = os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR)
    return "; the suite ran before other programs, by real-time priority" if is_first else ""


def _growth(result: ChaosResult) -> str:
    names = {"api": "API", "worker": "worker"}
    grown = [f"{names[kind]} {size:+.0f} MiB" for kind, size in sorted(result.growth.items())]
    return ", ".join(grown) or "unknown"


def _responses(views: Sequence[AnswerView]) -> str:
    count = Counter(view.question.response for view in views if view.continues)
    reloads = sum(bool(view.replayed) for view in views)
    return (
        f"{count['approve']} approved calls, {count['deny']} denied calls,"
        f" {count['result']} results of client tools; {reloads} reloads of a continued answer"
    )


def _violation_rows(result: ChaosResult) -> list[str]:
    found = Counter(violation.kind for violation in result.violations)
    return [f"| {kind} | {text} | {found[kind]} |" for kind, text in KINDS.items()]


def _details(result: ChaosResult) -> str:
    if not result.violations:
        return ""
    lines = [f"{violation.kind}: {violation.detail[:300]}" for violation in result.violations]
    return "\n```\n" + "\n".join(lines) + "\n```\n"


def _recovery_rows(result: ChaosResult) -> list[str]:
    found = recoveries(result.faults, result.views, result.workers)
    injected = Counter(fault.kind for fault in result.faults)
    rows = [
        _recovery_row(kind, injected[kind], found.get(kind, []))
        for kind in FaultKind
        if injected[kind]
    ]
    others = [kind for kind in injected if kind is not FaultKind.WORKER_KILL]
    seconds = [value for kind in others for value in found.get(kind, [])]
    number = sum(injected[kind] for kind in others)
    return [*rows, _recovery_row(f"all except {FaultKind.WORKER_KILL}", number, seconds)]


def _recovery_row(name: str, injected: int, seconds: Sequence[float]) -> str:
    figures = [_quantile(seconds, 50), _quantile(seconds, 99), max(seconds, default=0.0)]
    shown = " | ".join(f"{value:.1f} s" if seconds else "" for value in figures)
    return f"| {name} | {injected} | {len(seconds)} | {shown} |"


def _quantile(values: Sequence[float], percent: int) -> float:
    if len(values) < 2:
        return max(values, default=0.0)
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
