"""The `mamba` command.

Exit codes: 0 ended as asked, 1 something failed, 2 wrong usage, settings or installation.
"""

import os
import signal
from enum import Enum
from typing import Annotated

import typer

from mamba.cli_errors import has_colors, readable
from mamba.operate import commands
from shared.version import installed_version


class Role(Enum):
    API = "api"
    WORKER = "worker"


app = typer.Typer(
    help="Mamba Server: queued, resumable, crash-proof answers for Vercel AI SDK clients.",
    epilog="Try it, with nothing else installed: mamba dev",
    add_completion=False,
    rich_markup_mode=None,  # plain text, whose examples can be copied
    pretty_exceptions_enable=False,  # its tracebacks print local variables, and those hold keys
)

workers = typer.Typer(
    epilog="Example: OPENAI_API_KEY=sk-… MAMBA_REDIS__URL=redis://redis mamba worker"
)
app.add_typer(workers, name="worker")
commands.install(app, workers)


def main() -> None:
    app(prog_name="mamba")


def _print_version(*, wanted: bool) -> None:
    if wanted:
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


@app.command(epilog="Example: OPENAI_API_KEY=sk-… MAMBA_SERVER__PORT=9000 mamba dev")
def dev() -> None:
    """Start all of it on this machine, for development.

    That is Valkey, the API and a worker, and Ctrl-C ends them all. Needs no key (a demo model
    answers) and no Redis (an embedded Valkey is started, unless MAMBA_REDIS__URL names a server).
    """
    try:
        with readable("dev"):
            from mamba.dev.launcher import run  # noqa: PLC0415

            code = run()
    except KeyboardInterrupt:  # so early that nothing has been started
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        code = 0
    raise typer.Exit(code)


@app.command(epilog="Example: MAMBA_SERVER__PORT=9000 MAMBA_REDIS__URL=redis://redis mamba api")
def api(*, listener: Annotated[int | None, typer.Option(hidden=True)] = None) -> None:
    """Serve the HTTP API until SIGTERM.

    With MAMBA_SERVER__WORKERS above 1 that many processes share the port. SIGHUP reads the settings
    anew, as does a change of their files.
    """
    _outlive_hangups()
    code = 0
    with readable("api"):
        from shared.settings import load_settings  # noqa: PLC0415
        from shared.telemetry.tracing.variables import check_propagators  # noqa: PLC0415

        check_propagators(os.environ)
        settings = load_settings()
        if listener is None and settings.server.workers > 1:
            from mamba.processes import api_replicas  # noqa: PLC0415

            code = api_replicas.serve(settings)
        else:
            from api.server import serve  # noqa: PLC0415

            serve(load_settings, listener=listener)
    raise typer.Exit(code)


@workers.callback(invoke_without_command=True)
def worker(context: typer.Context) -> None:
    """Answer the queued chats until SIGTERM.

    Running answers may finish first; what outlasts the drain is handed over to another worker.
    SIGHUP reads the settings anew, as does a change of their files.
    """
    if context.invoked_subcommand is not None:
        return
    _outlive_hangups()
    with readable("worker"):
        from shared.settings import load_settings  # noqa: PLC0415
        from shared.telemetry.tracing.variables import check_propagators  # noqa: PLC0415

        check_propagators(os.environ)
        from worker.process import serve  # noqa: PLC0415

        serve(load_settings())


@app.command(
    epilog="Examples: mamba config --changed, mamba config --json | jq '.settings[].source'"
)
def config(
    *,
    changed: Annotated[
        bool, typer.Option("--changed", help="Only those that some source sets.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Check the settings and show where each comes from.

    Secrets are not shown. Exit code 2 if a setting is wrong or unknown, and each of those is named.
    """
    with readable("config"):
        from mamba.config.config_report import config_rows, in_columns, in_json  # noqa: PLC0415
        from shared.settings import read_settings  # noqa: PLC0415

        rows = [row for row in config_rows(read_settings()) if row.source or not changed]
        typer.echo(in_json(rows) if as_json else in_columns(rows, color=has_colors()))


@app.command(epilog="Example: mamba key my-app")
def key(
    name: Annotated[
        str, typer.Argument(help="Names the key in logs; the owner of the chats it opens.")
    ],
) -> None:
    """Make an API key, and show it once with the settings that let it in.

    They hold only its hash: who reads them cannot ask with it.
    """
    from mamba.config.key import entry  # noqa: PLC0415
    from shared.api_key import new_api_key  # noqa: PLC0415

    made = new_api_key()
    typer.echo("# The key, shown this once:", err=True)
    typer.echo(made)
    typer.echo(f"\n# What lets it in, for config.local.yaml:\n{entry(name, made)}", err=True)


@app.command(epilog="Example: mamba probe worker")
def probe(role: Annotated[Role, typer.Argument(help="What this container runs.")]) -> None:
    """Exit 0 if the API or the worker of this container is well, 1 if it is not."""
    with readable(role.value):
        from mamba.operate.probe import api_is_well, worker_is_well  # noqa: PLC0415
        from shared.settings import load_settings  # noqa: PLC0415

        is_well = api_is_well if role is Role.API else worker_is_well
        if not is_well(load_settings()):
            raise typer.Exit(1)


def _outlive_hangups() -> None:
    """SIGHUP means: read the settings anew. Until that is heard they are read anyway."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
