"""Finds and reads the notes in a folder. A file that cannot be read does not affect others."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from shared.chat.media_types import WrongMediaType, detect_media_type, is_text
from shared.text_decoding import decode_text

SUFFIXES = (".md", ".markdown", ".txt", ".html", ".htm")
#: Larger files are data, not notes.
MAX_FILE_BYTES = 2 * 1024 * 1024

#: The encoding that an HTML page declares (WHATWG HTML, "prescan a byte stream").
_CHARSET = re.compile(
    rb"""<(?:meta|\?xml)\b[^>]{0,200}?(?:charset|encoding)\s*=\s*["']?([\w.:-]+)""", re.IGNORECASE
)
_CHARSET_BYTES = 1024


class NoteSkipped(Exception):
    """A file that cannot be a note, and the reason."""


class NoteFile(NamedTuple):
    #: Relative to the folder, with `/`; undecodable bytes are replaced.
    path: str
    file: Path
    #: Changes when the file changes.
    version: tuple[int, int]
    #: Why the file is no note; None if it is one.
    skipped: str | None = None


def find_notes(folder: Path) -> Iterator[NoteFile]:
    """Yield the files with the suffix of a note, in order. Names with a leading dot are ignored."""
    unreadable: list[OSError] = []
    for parent, folders, names in os.walk(folder, onerror=unreadable.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted({*names, *folders}):
            file = Path(parent, name)
            if not name.startswith(".") and file.suffix.lower() in SUFFIXES:
                yield _note_file(folder, file)
            elif name in folders and file.is_symlink():
                yield NoteFile(_shown(folder, file), file, (0, 0), skipped="a link to a folder")
    for error in unreadable:
        path = Path(os.fsdecode(error.filename or folder))
        yield NoteFile(_shown(folder, path), path, (0, 0), skipped=_reason(error))


def read_note(note: NoteFile) -> str:
    """Read and decode a note.

    Raises:
        NoteSkipped: if it is not a readable text.
    """
    try:
        content = _read(note.file)
    except OSError as error:
        raise NoteSkipped(_reason(error)) from error
    try:
        media_type = detect_media_type("text/plain", content)
    except WrongMediaType:
        raise NoteSkipped("not a text") from None
    if not is_text(media_type):
        raise NoteSkipped(f"{media_type}, not a text")
    charset = None
    if note.file.suffix.lower() in (".html", ".htm") and (
        declared := _CHARSET.search(content[:_CHARSET_BYTES])
    ):
        charset = declared[1].decode("ascii", "replace")
    return decode_text(content, charset)


def _note_file(folder: Path, file: Path) -> NoteFile:
    path = _shown(folder, file)
    try:
        skipped, found = _check(folder, file)
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
        return NoteFile(path, file, (0, 0), skipped=_reason(error))
    return NoteFile(path, file, (found.st_mtime_ns, found.st_size), skipped)


def _check(folder: Path, file: Path) -> tuple[str | None, os.stat_result]:
    found = file.stat()
    if not file.resolve().is_relative_to(folder):
        return "a link that leads out of the folder", found
    if not stat.S_ISREG(found.st_mode):
        return "not a file", found
    if found.st_size > MAX_FILE_BYTES:
        return f"larger than {MAX_FILE_BYTES:,} bytes", found
    return None, found


def _read(file: Path) -> bytes:
    # Without O_NONBLOCK, a file that has become a FIFO since the check would block forever.
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NoteSkipped("not a file")
        content = opened.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise NoteSkipped(f"larger than {MAX_FILE_BYTES:,} bytes")
    return content


def _shown(folder: Path, file: Path) -> str:
    relative = file.relative_to(folder) if file.is_relative_to(folder) else file
    return os.fsencode(relative.as_posix()).decode(errors="replace")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
