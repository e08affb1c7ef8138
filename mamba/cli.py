"""The `mamba` command.

Exit codes: 0 ended as asked, 1 something failed, 2 wrong usage, settings or installation.
"""

import signal
from collections.abc import Generator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Annotated

import typer

OURS = {"api", "mamba", "shared", "worker"}

app = typer.Typer(
    help="Mamba Server: queued, resumable, crash-proof answers for Vercel AI SDK clients.",
    epilog="Try it, with nothing else installed: mamba dev",
    add_completion=False,
    rich_markup_mode=None,  # plain text, whose examples can be copied
    pretty_exceptions_enable=False,  # its tracebacks print local variables, and those hold keys
)


def main() -> None:
    app(prog_name="mamba")


def _print_version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"mamba-server {version('mamba-server')}")
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
        with _readable("dev"):
            from mamba.dev import run  # noqa: PLC0415

            code = run()
    except KeyboardInterrupt:  # so early that nothing has been started
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        code = 0
    raise typer.Exit(code)


@app.command(epilog="Example: MAMBA_SERVER__PORT=9000 MAMBA_REDIS__URL=redis://redis mamba api")
def api() -> None:
    """Serve the HTTP API until SIGTERM."""
    with _readable("api"):
        from api.server import serve  # noqa: PLC0415
        from shared.settings import load_settings  # noqa: PLC0415

        serve(load_settings())


@app.command(epilog="Example: OPENAI_API_KEY=sk-… MAMBA_REDIS__URL=redis://redis mamba worker")
def worker() -> None:
    """Answer the queued chats until SIGTERM.

    Running answers may finish first; what outlasts the drain is handed over to another worker.
    """
    with _readable("worker"):
        from shared.settings import load_settings  # noqa: PLC0415
        from worker.process import serve  # noqa: PLC0415

        serve(load_settings())


@contextmanager
def _readable(extra: str) -> Generator[None]:
    """Turn what the user can put right into a paragraph on stderr and exit code 2."""
    from shared.errors import SettingsError  # noqa: PLC0415

    try:
        yield
    except SettingsError as error:
        raise _wrong(str(error)) from None
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in OURS:
            raise
        raise _wrong(
            f"mamba {extra} needs the package {missing!r}: install mamba-server[{extra}]"
        ) from None


def _wrong(message: str) -> typer.Exit:
    typer.echo(message, err=True)
    return typer.Exit(2)
