"""Definitions of the commands that inspect and control a running deployment."""

import asyncio
from typing import Annotated, Literal

import typer

from mamba.cli_errors import report_errors, use_color
from mamba.operate.command_options import Json, run_command
from mamba.operate.queues.commands import queue

RunId = Annotated[
    str,
    typer.Argument(
        help="ID of the run, from the response header x-run-id or the log field run_id."
    ),
]

Owner = Annotated[str | None, typer.Option("--owner", help="Only runs of this owner.")]
Chat = Annotated[str | None, typer.Option("--chat", help="Only runs of this chat.")]
AgentOption = Annotated[str | None, typer.Option("--agent", help="Only runs of this agent.")]
Since = Annotated[
    str | None,
    typer.Option(
        "--since", help="Only runs accepted since then: 30m, 2h, 1d, or an ISO 8601 time."
    ),
]
States = Annotated[
    list[str] | None,
    typer.Option(
        "--state",
        help="queued, running, succeeded, failed, cancelled, or live. May be repeated.",
    ),
]
LiveStates = Annotated[
    list[str] | None,
    typer.Option("--state", help="queued, running, or live. May be repeated."),
]

run = typer.Typer(
    help="List, show, stop, requeue, or move runs.",
    epilog="Example: mamba run show 8vGQ2kZ1xkqkJwqfJ0yR",
    no_args_is_help=True,
)

chat = typer.Typer(
    help="Erase chats.",
    epilog="Example: mamba chat erase trip --owner jwt:acme:ann",
    no_args_is_help=True,
)

webhook = typer.Typer(
    help="Show undelivered webhooks, or send them again.",
    epilog="Example: mamba webhook list",
    no_args_is_help=True,
)

Destination = Annotated[
    str | None, typer.Option("--destination", help="Only this destination, by its name.")
]


def register(app: typer.Typer, worker: typer.Typer) -> None:
    app.add_typer(queue, name="queue")
    app.command(
        epilog="Examples: mamba top --interval 5, mamba top --once, mamba top --json | jq '.queues'"
    )(top)
    app.command(epilog="Examples: mamba usage --period month, mamba usage jwt:acme:ann")(usage)
    app.command(epilog="Example: mamba doctor || echo 'not healthy'")(doctor)
    app.add_typer(run, name="run")
    app.add_typer(chat, name="chat")
    app.add_typer(webhook, name="webhook")
    worker.command("list", epilog="Example: mamba worker list --json")(list_workers)
    worker.command("drain", epilog="Example: mamba worker drain host-4711-3fa2b1")(drain)


def top(
    *,
    interval: Annotated[
        float | None,
        typer.Option("--interval", min=1, max=60, help="Seconds between refreshes. Default: 2."),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Print one snapshot and exit.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON; with --interval, one line per refresh.")
    ] = False,
) -> None:
    """Watch queues, workers, runs, rates, and failures live.

    Keys: q quits, p pauses, the arrow keys select a run, x stops it. If the output is not a
    terminal, prints one snapshot.
    """
    from mamba.operate.top import watch  # noqa: PLC0415
    from shared.settings import load_settings  # noqa: PLC0415

    with report_errors():
        settings = load_settings()
        if as_json:
            watch.print_json(settings, interval)
        elif once or not watch.supports_live_screen():
            watch.print_once(settings)
        else:
            watch.live(settings, interval or watch.INTERVAL_SECONDS)


def usage(
    owner: Annotated[
        str | None, typer.Argument(help="Only this owner, as `mamba run list` shows it.")
    ] = None,
    *,
    period: Annotated[
        Literal["hour", "day", "month"],
        typer.Option("--period", help="Show the usage of this period."),
    ] = "day",
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=10_000, help="Maximum number of owners to show.")
    ] = 20,
    as_json: Json = False,
) -> None:
    """Show the tokens and the cost that owners have used.

    Also shows their budgets. The owners who have used the most tokens come first.
    """
    from mamba.operate import usage as usage_page  # noqa: PLC0415

    color = use_color()
    if owner is not None:
        run_command(lambda d: usage_page.show_owner(d, owner, as_json=as_json, color=color))
    else:
        run_command(
            lambda d: usage_page.show_owners(d, period, limit=limit, as_json=as_json, color=color)
        )


def doctor(
    *,
    provider: Annotated[
        str | None,
        typer.Option("--provider", help="Check only this provider, with requests to its server."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="Model for --provider. Default: the first one listed."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check this deployment, and suggest a fix for each problem.

    Checks the settings, Redis, the clocks, the workers, the queues, and the model endpoints. With
    --provider, requests a list of models, an answer, and a tool call from a provider, which costs a
    few tokens. Exits with code 1 if something is wrong. Warnings do not change the exit code.
    """
    from mamba.operate.doctor.report import diagnose  # noqa: PLC0415

    with report_errors():
        checks = diagnose(as_json=as_json, color=use_color(), provider=provider, model=model)
        if not asyncio.run(checks):
            raise typer.Exit(1)


@run.command("show", epilog="Example: mamba run show 8vGQ2kZ1xkqkJwqfJ0yR --json")
def show_run(run_id: RunId, *, as_json: Json = False) -> None:
    """Show the state and the attempts of a run, but no content."""
    from mamba.operate.run import show  # noqa: PLC0415

    run_command(lambda deployment: show(deployment, run_id, as_json=as_json))


@run.command(
    "list",
    epilog="Examples: mamba run list --state failed --since 2h, "
    "mamba run list --owner jwt:acme:ann",
)
def list_runs(
    *,
    state: States = None,
    owner: Owner = None,
    chat: Chat = None,
    agent: AgentOption = None,
    since: Since = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=10_000, help="Maximum number of runs to show.")
    ] = 50,
    scan_limit: Annotated[
        int, typer.Option("--scan-limit", min=1, help="Maximum number of runs to scan.")
    ] = 100_000,
    as_json: Json = False,
) -> None:
    """List stored runs.

    Live runs come first, then those that have ended, newest first.
    """
    from mamba.operate.run import list_runs as show_list  # noqa: PLC0415
    from mamba.operate.run_filter import run_filter  # noqa: PLC0415

    wanted = run_filter(state or (), owner=owner, chat=chat, agent=agent, since=since)
    run_command(
        lambda deployment: show_list(
            deployment, wanted, limit=limit, scan_limit=scan_limit, as_json=as_json
        )
    )


@run.command(
    "stop",
    epilog="Examples: mamba run stop 8vGQ2kZ1xkqkJwqfJ0yR, "
    "mamba run stop --owner jwt:acme:ann --dry-run",
)
def stop_run(
    run_ids: Annotated[list[str] | None, typer.Argument(help="IDs of the runs.")] = None,
    *,
    state: LiveStates = None,
    owner: Owner = None,
    chat: Chat = None,
    agent: AgentOption = None,
    since: Since = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be stopped, and stop nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Stop without a confirmation.")] = False,
) -> None:
    """Stop live runs, by their IDs or by a filter.

    A stopped run does not continue. Its text so far is kept.
    """
    from mamba.operate import stop_runs  # noqa: PLC0415
    from mamba.operate.run_filter import run_filter  # noqa: PLC0415
    from shared.runs.run_list import LIVE_STATES  # noqa: PLC0415

    filtered = any(value is not None for value in (state, owner, chat, agent, since))
    if bool(run_ids) == filtered:
        raise typer.BadParameter("Use either run IDs or filter options.")
    if not run_ids:
        wanted = run_filter(
            state or (), owner=owner, chat=chat, agent=agent, since=since, allowed=LIVE_STATES
        )
        run_command(lambda d: stop_runs.stop_matching(d, wanted, dry_run=dry_run, confirmed=yes))
    elif dry_run:
        typer.echo("\n".join([*run_ids, f"Would stop {stop_runs.format_count(len(run_ids))}."]))
    elif len(run_ids) == 1:
        run_command(lambda deployment: stop_runs.stop(deployment, run_ids[0]))
    else:
        run_command(lambda deployment: stop_runs.stop_all(deployment, run_ids))


@run.command("requeue", epilog="Example: mamba run requeue 8vGQ2kZ1xkqkJwqfJ0yR")
def requeue_run(run_id: RunId) -> None:
    """Make a run due now.

    Use it if the run's job is missing from its queue. Refused while a worker executes the run, or
    while it waits for an earlier run of its chat.
    """
    from mamba.operate.run import requeue  # noqa: PLC0415

    run_command(lambda deployment: requeue(deployment, run_id))


@run.command("move-to-front", epilog="Example: mamba run move-to-front 8vGQ2kZ1xkqkJwqfJ0yR")
def move_run_to_front(run_id: RunId) -> None:
    """Move a waiting run to the front of its queue.

    It then starts before the waiting runs of all owners. Runs that continue after a crash or a
    drain stay first. Refused while a worker executes the run, or while it is not due. `mamba run
    show` displays who moved it.
    """
    from mamba.operate.run import move_to_front  # noqa: PLC0415

    run_command(lambda deployment: move_to_front(deployment, run_id))


@chat.command("erase", epilog="Example: mamba chat erase trip --owner jwt:acme:ann --yes")
def erase_chat(
    chat_id: Annotated[str, typer.Argument(help="ID of the chat.")],
    *,
    owner: Annotated[
        str, typer.Option("--owner", help="Owner of the chat, as `mamba run list` shows it.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Erase without a confirmation.")] = False,
) -> None:
    """Erase a chat of any owner permanently.

    Stops its live run, and erases its stored requests and answers.
    """
    from mamba.operate.erase_chat import erase  # noqa: PLC0415

    run_command(lambda deployment: erase(deployment, owner, chat_id, confirmed=yes))


@webhook.command("list", epilog="Example: mamba webhook list --destination app --json")
def list_webhooks(
    *,
    destination: Destination = None,
    limit: Annotated[
        int,
        typer.Option("--limit", min=1, max=10_000, help="Maximum number for each destination."),
    ] = 50,
    as_json: Json = False,
) -> None:
    """Count and list the undelivered webhooks of each destination."""
    from mamba.operate import webhooks  # noqa: PLC0415

    run_command(
        lambda d: webhooks.list_webhooks(d, destination=destination, limit=limit, as_json=as_json)
    )


@webhook.command("show", epilog="Example: mamba webhook show 8vGQ2kZ1xkqkJwqfJ0yR")
def show_webhook(run_id: RunId, *, as_json: Json = False) -> None:
    """Show which destinations have not received a run's webhook."""
    from mamba.operate import webhooks  # noqa: PLC0415

    run_command(lambda deployment: webhooks.show(deployment, run_id, as_json=as_json))


@webhook.command(
    "resend",
    epilog="Examples: mamba webhook resend 8vGQ2kZ1xkqkJwqfJ0yR, mamba webhook resend --failed",
)
def resend_webhook(
    run_id: Annotated[str | None, typer.Argument(help="ID of the run.")] = None,
    *,
    failed: Annotated[
        bool, typer.Option("--failed", help="Send all webhooks that were given up.")
    ] = False,
    destination: Destination = None,
) -> None:
    """Send the webhook of a run now.

    If it fails, it is retried for a day. If all destinations have received it, it is sent to all of
    them again, as long as the run is stored.
    """
    from mamba.operate import webhooks  # noqa: PLC0415

    if (run_id is None) is not failed:
        raise typer.BadParameter("Use either a run ID or --failed.")
    if run_id is None:
        run_command(lambda deployment: webhooks.resend_failed(deployment, destination))
    else:
        run_command(lambda deployment: webhooks.resend(deployment, run_id, destination))


def list_workers(*, as_json: Json = False) -> None:
    """List the live workers. Exits with code 1 if there are none."""
    from mamba.operate.workers import show  # noqa: PLC0415

    run_command(lambda deployment: show(deployment, as_json=as_json, color=use_color()))


def drain(
    worker_id: Annotated[str, typer.Argument(help="ID of the worker, from `mamba worker list`.")],
) -> None:
    """Make a worker take no new runs, and exit.

    It finishes its runs, or hands them over to other workers.
    """
    from mamba.operate.workers import drain  # noqa: PLC0415

    run_command(lambda deployment: drain(deployment, worker_id))
