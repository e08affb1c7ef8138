"""A public key in a PEM file, which may be replaced while the server runs."""

import time
from collections.abc import Sequence
from pathlib import Path

import structlog

from api.auth.signing_key import SigningKey, from_pem

log = structlog.stdlib.get_logger()

_LOOK_SECONDS = 2.0


class KeyFile:
    """Looks at the file again every few seconds. One that has become unreadable changes nothing.

    Raises:
        ValueError, OSError: if it cannot be read at first.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = _version(path)
        self._looked_at = time.monotonic()
        self.key = from_pem(path.read_text())

    async def keys(self, kid: str | None) -> Sequence[SigningKey]:  # noqa: ARG002  (there is one key)
        if time.monotonic() - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = time.monotonic()
            self._look()
        return [self.key]

    def _look(self) -> None:
        try:
            version = _version(self._path)
            if version == self._seen:
                return
            self._seen = version
            self.key = from_pem(self._path.read_text())
        except (OSError, ValueError) as error:
            log.error("auth.key_file_failed", path=str(self._path), error=type(error).__name__)  # noqa: TRY400  (one line says it all)
        else:
            log.info("auth.key_file_read", path=str(self._path))


def _version(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino
