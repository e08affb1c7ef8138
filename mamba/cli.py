"""The `mamba` command.

Exit codes: 0 success, 1 failure, 2 wrong usage, settings or installation.
"""

import os
import signal
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from mamba.cli_errors import report_errors, use_color
from mamba.operate import commands
from mamba.scaffold import commands as scaffold_commands
from shared.version import installed_version

if TYPE_CHECKING:
    from fastapi import FastAPI


class Role(Enum):
    API = "api"
    WORKER = "worker"


app = typer.Typer(
    help="A backend for AI chat whose answers survive disconnects and killed workers.",
    epilog="To try it with nothing else installed: mamba dev",
    add_completion=False,
    rich_markup_mode=None,  # plain text, so that examples can be copied
    pretty_exceptions_enable=False,  # its tracebacks print local variables, which may hold keys
)

workers = typer.Typer(
    epilog="Examples: OPENAI_API_KEY=sk-… MAMBA_REDIS__URL=redis://redis mamba worker, "
    "mamba worker --processes 4"
)


def main() -> None:
    app(prog_name="mamba")


def _print_version(*, requested: bool) -> None:
    if requested:
        typer.echo(f"mamba-server {installed_version()}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def mamba(
    context: typer.Context,
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        return
    with report_errors():
        from shared.telemetry.metrics_folder import prepare_metrics_folder  # noqa: PLC0415

        prepare_metrics_folder()  # before a command imports the metrics


@app.command(epilog="Example: OPENAI_API_KEY=sk-… MAMBA_SERVER__PORT=9000 mamba dev")
def dev() -> None:
    """Start Valkey, the API, and a worker on this machine.

    For development. Needs no API key (the built-in demo model answers) and no Redis (it starts an
    embedded Valkey unless MAMBA_REDIS__URL is set). Ctrl-C ends all processes.
    """
    try:
        with report_errors("dev"):
            from mamba.dev.launcher import run  # noqa: PLC0415

            code = run()
    except KeyboardInterrupt:  # pressed before the launcher installed its signal handlers
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        code = 0
    raise typer.Exit(code)


@app.command(epilog="Example: MAMBA_SERVER__PORT=9000 MAMBA_REDIS__URL=redis://redis mamba api")
def api(
    *,
    listener: Annotated[int | None, typer.Option(hidden=True)] = None,
    launcher: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Serve the HTTP API until SIGTERM.

    With MAMBA_SERVER__WORKERS above 1, that many processes share the port. Settings are reloaded on
    SIGHUP and when a settings file changes.
    """
    _ignore_hangups()
    code = 0
    with report_errors("api"):
        from shared.settings import load_settings  # noqa: PLC0415
        from shared.telemetry.tracing.variables import check_propagators  # noqa: PLC0415

        check_propagators(os.environ)
        settings = load_settings()
        if listener is None and settings.server.workers > 1:
            from mamba.supervisor import api_replicas  # noqa: PLC0415

            code = api_replicas.serve(settings)
        else:
            from api.server import serve  # noqa: PLC0415

            serve(load_settings, listener=listener, extend=_dev_routes(launcher))
    raise typer.Exit(code)


@workers.callback(invoke_without_command=True)
def worker(
    context: typer.Context,
    *,
    processes: Annotated[
        int | None,
        typer.Option("--processes", min=1, help="Number of processes. Default: worker.processes."),
    ] = None,
) -> None:
    """Run queued chats until SIGTERM.

    One process uses one core. With --processes or MAMBA_WORKER__PROCESSES above 1, a supervisor
    replaces each process that dies. On SIGTERM, running answers may finish within
    MAMBA_WORKER__DRAIN_SECONDS; the others are handed over to another worker. Settings are reloaded
    on SIGHUP and when a settings file changes.
    """
    if context.invoked_subcommand is not None:
        if processes is not None:
            raise typer.BadParameter("--processes applies only to `mamba worker` itself.")
        return
    _ignore_hangups()
    code = 0
    with report_errors("worker"):
        from shared.settings import load_settings  # noqa: PLC0415
        from shared.telemetry.tracing.variables import check_propagators  # noqa: PLC0415

        check_propagators(os.environ)
        settings = load_settings()
        count = settings.worker.processes if processes is None else processes
        if count > 1:
            from mamba.supervisor import worker_replicas  # noqa: PLC0415

            code = worker_replicas.serve(settings, count)
        else:
            from worker.process import serve  # noqa: PLC0415

            serve(settings)
    raise typer.Exit(code)


@app.command(
    epilog="Examples: mamba config --changed, mamba config --json | jq '.settings[].source'"
)
def config(
    *,
    changed: Annotated[
        bool, typer.Option("--changed", help="Show only settings that a source sets.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the settings and show the source of each.

    Secrets are masked. If settings are invalid or unknown, prints all problems and exits with code
    2.
    """
    with report_errors("config"):
        from mamba.config.config_report import config_rows, in_columns, in_json  # noqa: PLC0415
        from shared.settings import read_settings  # noqa: PLC0415

        rows = [row for row in config_rows(read_settings()) if row.source or not changed]
        typer.echo(in_json(rows) if as_json else in_columns(rows, color=use_color()))


@app.command(epilog="Example: mamba key my-app")
def key(
    name: Annotated[
        str,
        typer.Argument(help="Name of the key in logs. It is also the owner of the key's chats."),
    ],
) -> None:
    """Create an API key, and print it once.

    Also prints the settings that accept it. They contain only a hash of the key, which cannot
    authenticate requests.
    """
    from mamba.config.key import key_settings  # noqa: PLC0415
    from shared.api_key import new_api_key  # noqa: PLC0415

    api_key = new_api_key()
    typer.echo("# The key. It is not shown again:", err=True)
    typer.echo(api_key)
    typer.echo(
        f"\n# Settings that accept it, for config.local.yaml:\n{key_settings(name, api_key)}",
        err=True,
    )


@app.command(epilog="Example: mamba probe worker")
def probe(role: Annotated[Role, typer.Argument(help="Process to check.")]) -> None:
    """Check the health of the API or the worker in this container.

    Exits with code 0 if it is healthy, otherwise with 1. A process that hangs for 20
    seconds is not healthy, nor is a worker that has not reached Redis for 60 seconds.
    """
    with report_errors(role.value):
        from mamba.operate import probe  # noqa: PLC0415

        exit_code = probe.run(role.value)
        if exit_code is None:
            exit_code = int(not probe.is_api_healthy())
        raise typer.Exit(exit_code)


def _dev_routes(launcher: str | None) -> Callable[["FastAPI"], None]:
    """Return a function that adds the routes of `mamba dev`. `launcher` is its socket's path."""
    if launcher is None:
        return lambda _: None
    from mamba.dev import faults  # noqa: PLC0415

    return lambda app: faults.install(app, launcher)


def _ignore_hangups() -> None:
    """Keep SIGHUP from ending the process before its reload handler is installed."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


# Help lists them in this order, after the commands above.
app.add_typer(workers, name="worker")
commands.register(app, workers)
scaffold_commands.register(app)
