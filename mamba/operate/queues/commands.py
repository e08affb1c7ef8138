"""Definitions of `mamba queue` and its subcommands."""

from enum import Enum
from typing import Annotated

import typer

from mamba.cli_errors import use_color
from mamba.operate.command_options import Json, run_command


class GroupBy(Enum):
    OWNER = "owner"


class QueuePart(Enum):
    INTAKE = "intake"
    PROCESSING = "processing"


PausedPart = Annotated[
    QueuePart,
    typer.Argument(help="intake: accepting new runs; processing: starting the runs that wait."),
]
QueueName = Annotated[str | None, typer.Argument(help="Name of the queue. Default: all queues.")]

queue = typer.Typer(
    epilog="Examples: mamba queue --watch, mamba queue --by owner, "
    "mamba queue --json | jq '.queues'"
)


@queue.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    *,
    by: Annotated[
        GroupBy | None,
        typer.Option("--by", help="Show the owners with the most waiting runs instead."),
    ] = None,
    limit: Annotated[
        int,
        typer.Option("--limit", min=1, max=1000, help="Maximum number of runs or owners to show."),
    ] = 20,
    watch: Annotated[bool, typer.Option("--watch", help="Refresh every 2 seconds.")] = False,
    as_json: Json = False,
) -> None:
    """Show queues and their runs, or pause, resume, or drain queues."""
    if context.invoked_subcommand is not None:
        return
    from mamba.operate.queues import pages  # noqa: PLC0415

    read_page = pages.read_owners if by else pages.read_queues
    print_page = pages.watch if watch else pages.show
    options = pages.PageOptions(limit, as_json=as_json, color=use_color())
    try:
        run_command(lambda deployment: print_page(deployment, read_page, options))
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


@queue.command(
    "pause", epilog="Examples: mamba queue pause intake, mamba queue pause processing research"
)
def pause(what: PausedPart, queue: QueueName = None) -> None:
    """Pause the intake or the processing of queues.

    While the intake is paused, new runs are refused (503 intake_paused), and accepted
    runs continue. While the processing is paused, runs are accepted but wait: workers start no
    runs, and continue those that have started. A pause lasts until `mamba queue resume`.
    """
    from mamba.operate.queues import control  # noqa: PLC0415

    run_command(lambda deployment: control.pause(deployment, what.value, queue))


@queue.command("resume", epilog="Example: mamba queue resume intake")
def resume(what: PausedPart, queue: QueueName = None) -> None:
    """End a pause of one queue, or the pause of all queues."""
    from mamba.operate.queues import control  # noqa: PLC0415

    run_command(lambda deployment: control.resume(deployment, what.value, queue))


@queue.command("drain", epilog="Example: mamba queue drain research")
def drain(queue: QueueName = None) -> None:
    """Pause the intake of queues, and wait until no run is left.

    To end the wait, press Ctrl-C. The intake stays paused until `mamba queue resume intake`.
    """
    from mamba.operate.queues import control  # noqa: PLC0415

    try:
        run_command(lambda deployment: control.drain(deployment, queue))
    except KeyboardInterrupt:
        raise typer.Exit(1) from None
