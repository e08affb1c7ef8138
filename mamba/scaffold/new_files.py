"""Writes new files."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from mamba.cli_errors import CommandFailed


def existing_files(folder: Path, names: Iterable[str]) -> str:
    """Return the paths of the files that exist, separated by commas.

    Files that cannot be examined, because of a missing permission or a name that is too long, do
    not count: writing them fails.
    """
    return ", ".join(str(folder / name) for name in names if os.path.lexists(folder / name))


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write files, given by their paths in the folder. Missing folders are created.

    Raises:
        CommandFailed: if a file cannot be written.
    """
    for name, text in files.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise CommandFailed(f"{path} cannot be written: {error.strerror}.") from None
