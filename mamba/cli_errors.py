"""What every command has in common: how it fails, and whether it may use colours."""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager

import typer

OURS = {"api", "mamba", "shared", "worker"}


class CommandFailed(Exception):
    """Something failed, in words for the command's user."""


@contextmanager
def readable(extra: str = "") -> Generator[None]:
    """Turn what the user can put right into a paragraph on stderr: exit code 2, or 1 if it failed.

    `extra` is what has to be installed for the command.
    """
    from shared.errors import Refusal, SettingsError  # noqa: PLC0415

    try:
        yield
    except SettingsError as error:
        raise _ended(str(error), 2) from None
    except (CommandFailed, Refusal) as error:
        raise _ended(str(error), 1) from None
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in OURS or not extra:
            raise
        raise _ended(
            f"mamba {extra} needs the package {missing!r}: install mamba-server[{extra}]", 2
        ) from None


def told(text: str) -> bool:
    """Print it at once. False where nobody reads any more, as below `head`.

    Raises:
        CommandFailed: if it cannot be written.
    """
    try:
        print(text, flush=True)
    except OSError as error:
        # The interpreter flushes once more at its end, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return False
        raise CommandFailed(f"The output cannot be written: {error.strerror}.") from None
    return True


def has_colors() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _ended(message: str, code: int) -> typer.Exit:
    typer.echo(message, err=True)
    return typer.Exit(code)
