"""A public key in a PEM file, reloaded when the file changes."""

import time
from collections.abc import Sequence
from pathlib import Path

import structlog

from api.auth.signing_key import SigningKey, from_pem
from shared.file_stamp import file_stamp
from shared.text_decoding import decode_text

log = structlog.stdlib.get_logger()

_CHECK_INTERVAL_SECONDS = 2.0


class KeyFile:
    """A public key. The file is checked for changes every 2 seconds.

    If it becomes unreadable, the old key stays in use.

    Raises:
        ValueError, OSError: if the file cannot be read initially.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = file_stamp(path)
        self._checked_at = time.monotonic()
        self.key = _read(path)

    async def keys(self, kid: str | None) -> Sequence[SigningKey]:  # noqa: ARG002  (the file has one key)
        if time.monotonic() - self._checked_at >= _CHECK_INTERVAL_SECONDS:
            self._checked_at = time.monotonic()
            self._reload_if_changed()
        return [self.key]

    def _reload_if_changed(self) -> None:
        if (stamp := file_stamp(self._path)) == self._stamp:
            return
        self._stamp = stamp
        try:
            self.key = _read(self._path)
        except (OSError, ValueError) as error:
            log.error(  # noqa: TRY400  (the type is enough)
                "auth.key_file_failed",
                message="Public key file cannot be read; the previous key stays in use",
                path=str(self._path),
                error=type(error).__name__,
            )
        else:
            log.info("auth.key_file_read", message="Public key file reloaded", path=str(self._path))


def _read(path: Path) -> SigningKey:
    return from_pem(decode_text(path.read_bytes()))
