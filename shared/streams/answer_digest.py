"""The digest of an answer: a hash that a client can compute from the events that it received.

It covers the text and the results of tools. `docs/frontend/answer-metadata.md` defines it for the
authors of clients, with an implementation in JavaScript.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

from pydantic_core import from_json

from shared.streams.canonical_json import canonical_json, utf16_order

_TEXT = b'{"type":"text-delta"'
_RESULTS = (b'{"type":"tool-output-available"', b'{"type":"tool-output-error"')


class AnswerDigest:
    """Hashes the stored events of one run, in order."""

    def __init__(self) -> None:
        self._text = hashlib.sha256()
        #: The tool call id and the hash of each result, in the order of the stream.
        self._results: list[tuple[str, str]] = []
        #: Whether an output is too deep, or has a number with too many digits, to be parsed.
        self._unreadable = False

    def add(self, events: Iterable[bytes]) -> None:
        for data in events:
            if data.startswith(_TEXT):
                self._text.update(from_json(data)["delta"].encode())
            elif data.startswith(_RESULTS):
                self._add_result(data)

    def value(self) -> str | None:
        """Return the digest of the events so far; None if an output cannot be hashed."""
        if self._unreadable:
            return None
        whole = self._text.copy()
        for call_id, result in sorted(self._results, key=lambda item: utf16_order(item[0])):
            whole.update(f"\n{call_id} {result}".encode())
        return f"sha256:{whole.hexdigest()}"

    def _add_result(self, data: bytes) -> None:
        try:
            event: dict[str, Any] = from_json(data)
        except ValueError:
            self._unreadable = True
            return
        if event.get("preliminary"):
            return
        result = event["output"] if "output" in event else event["errorText"]
        hashed = hashlib.sha256(canonical_json(result).encode()).hexdigest()
        self._results.append((event["toolCallId"], hashed))
