"""The commands that look into a running house, and take a hand in it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from mamba.cli_errors import has_colors, readable

if TYPE_CHECKING:
    from mamba.operate.deployment import Deployment

Json = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]
RunId = Annotated[str, typer.Argument(help="As in the header x-run-id, or the log's run_id.")]

run = typer.Typer(
    help="Show, stop or requeue one run.",
    epilog="Example: mamba run show 8vGQ2kZ1xkqkJwqfJ0yR",
    no_args_is_help=True,
)


def install(app: typer.Typer, worker: typer.Typer) -> None:
    app.command(epilog="Examples: mamba queue --watch, mamba queue --json | jq '.queues'")(queue)
    app.command(
        epilog="Examples: mamba top --interval 5, mamba top --once, mamba top --json | jq '.queues'"
    )(top)
    app.command(epilog="Example: mamba doctor || echo 'not well'")(doctor)
    app.add_typer(run, name="run")
    worker.command("list", epilog="Example: mamba worker list --json")(list_workers)
    worker.command("drain", epilog="Example: mamba worker drain host-4711-3fa2b1")(drain)


def queue(
    *,
    most: Annotated[int, typer.Option("--most", min=1, max=1000, help="Runs to show.")] = 20,
    watch: Annotated[bool, typer.Option("--watch", help="Again every 2 seconds.")] = False,
    as_json: Json = False,
) -> None:
    """Show what waits and what runs, in each queue."""
    from mamba.operate import queue as page  # noqa: PLC0415

    show = page.watch if watch else page.show
    try:
        _do(lambda house: show(house, most=most, as_json=as_json, color=has_colors()))
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def top(
    *,
    interval: Annotated[
        float | None,
        typer.Option("--interval", min=1, max=60, help="Seconds between two looks; 2 unless told."),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="One picture, and exit.")] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="As JSON, for programs; with --interval a line each time."),
    ] = False,
) -> None:
    """Watch the house live: queues, workers, runs, rates, failures.

    Keys: q quits, p pauses, the arrows select a run, x stops it. Where the output is no terminal
    one picture is printed.
    """
    from mamba.operate.top import watch  # noqa: PLC0415
    from shared.settings import load_settings  # noqa: PLC0415

    with readable():
        settings = load_settings()
        if as_json:
            watch.print_json(settings, interval)
        elif once or not watch.is_possible():
            watch.print_once(settings)
        else:
            watch.live(settings, interval or watch.INTERVAL_SECONDS)


def doctor(*, as_json: Json = False) -> None:
    """Say what is wrong with this house, and what to do about it.

    Checks the settings, Redis, the clocks, the workers, the queues and the model endpoints. Exit
    code 1 if something is wrong; a warning is not.
    """
    from mamba.operate.doctor import diagnose  # noqa: PLC0415

    with readable():
        if not asyncio.run(diagnose(as_json=as_json, color=has_colors())):
            raise typer.Exit(1)


@run.command("show", epilog="Example: mamba run show 8vGQ2kZ1xkqkJwqfJ0yR --json")
def show_run(run_id: RunId, *, as_json: Json = False) -> None:
    """Show what is known of a run, but not what was said."""
    from mamba.operate.run import show  # noqa: PLC0415

    _do(lambda house: show(house, run_id, as_json=as_json))


@run.command("stop", epilog="Example: mamba run stop 8vGQ2kZ1xkqkJwqfJ0yR")
def stop_run(run_id: RunId) -> None:
    """Stop a run for good; what was said stays."""
    from mamba.operate.run import stop  # noqa: PLC0415

    _do(lambda house: stop(house, run_id))


@run.command("requeue", epilog="Example: mamba run requeue 8vGQ2kZ1xkqkJwqfJ0yR")
def requeue_run(run_id: RunId) -> None:
    """Make a run due now that waits for another time, or has left its queue."""
    from mamba.operate.run import requeue  # noqa: PLC0415

    _do(lambda house: requeue(house, run_id))


def list_workers(*, as_json: Json = False) -> None:
    """Show the workers that are alive. Exit code 1 if there is none."""
    from mamba.operate.workers import show  # noqa: PLC0415

    _do(lambda house: show(house, as_json=as_json, color=has_colors()))


def drain(worker_id: Annotated[str, typer.Argument(help="As in `mamba worker list`.")]) -> None:
    """Have a worker take nothing new, and end: its answers finish or are handed over."""
    from mamba.operate.workers import drain  # noqa: PLC0415

    _do(lambda house: drain(house, worker_id))


def _do(work: "Callable[[Deployment], Awaitable[None]]") -> None:
    from mamba.operate.deployment import with_deployment  # noqa: PLC0415

    with readable():
        with_deployment(work)
