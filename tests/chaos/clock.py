"""A clock that tests set forward and back while processes run, by the library `libfaketime`.

Only the wall clock of these processes changes, not their monotonic clock. The library is in the
Debian package `faketime`.
"""

from pathlib import Path

_FOLDERS = ("/usr/lib", "/usr/lib64", "/usr/local/lib")
_NAMES = ("faketime/libfaketimeMT.so.1", "*/faketime/libfaketimeMT.so.1")


def fake_time_library() -> Path | None:
    """Return the library, or None if it is not installed."""
    found = (file for folder in _FOLDERS for name in _NAMES for file in Path(folder).glob(name))
    return next(found, None)


class FakeClock:
    """The wall clock of the processes that are started with `env`.

    They notice a change within a second, as the library caches the file for that long.
    """

    def __init__(self, file: Path) -> None:
        library = fake_time_library()
        if library is None:
            raise FileNotFoundError("libfaketime is missing. On Debian: apt install faketime")
        self._file = file
        #: How many seconds the clock is ahead.
        self.offset = 0.0
        self.set(0.0)
        self.env = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DISABLE_SHM": "1",
        }

    def set(self, offset: float) -> None:
        self.offset = offset
        written = self._file.with_suffix(".new")
        written.write_text(f"{offset:+.0f}\n")
        written.replace(self._file)  # a process may read the file at any time
