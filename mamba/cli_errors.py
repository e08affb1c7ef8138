"""Error reporting and output shared by all commands."""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager

import typer

_FIRST_PARTY = {"api", "mamba", "shared", "worker"}


class CommandFailed(Exception):
    """A command failed. The message is shown to the user."""


@contextmanager
def report_errors(extra: str = "") -> Generator[None]:
    """Print expected errors on stderr and exit with 2 (settings, installation) or 1 (all others).

    `extra` names the optional dependencies that the command needs.
    """
    from shared.errors import BackgroundTaskFailed, Refusal, SettingsError  # noqa: PLC0415

    try:
        yield
    except SettingsError as error:
        raise _exit(str(error), 2) from None
    except (CommandFailed, Refusal, BackgroundTaskFailed) as error:
        raise _exit(str(error), 1) from None
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in _FIRST_PARTY or not extra:
            raise
        raise _exit(
            f"mamba {extra} needs the package {missing!r}: install mamba-server[{extra}]", 2
        ) from None


def confirm(question: str, refusal: str) -> None:
    """Ask the user to confirm.

    Raises:
        CommandFailed: with `refusal`, if there is no terminal to ask.
        typer.Abort: if the user declines.
    """
    if not sys.stdin.isatty():
        raise CommandFailed(f"{refusal}, confirm with --yes.")
    typer.confirm(question, abort=True)


def print_now(text: str) -> bool:
    """Print and flush. Returns False if the reader has closed the pipe, as `head` does.

    Raises:
        CommandFailed: if the output cannot be written.
    """
    try:
        print(text, flush=True)
    except OSError as error:
        # The interpreter flushes stdout again at exit, which would raise a second error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return False
        raise CommandFailed(f"Cannot write the output: {error.strerror}.") from None
    return True


def cannot_listen(host: str, port: int, error: OSError) -> str:
    return f"cannot listen on {host}:{port}: {error.strerror}"


def use_color() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _exit(message: str, code: int) -> typer.Exit:
    typer.echo(message, err=True)
    return typer.Exit(code)
