"""The tables of docs/reference/errors.md."""

import re
from pathlib import Path
from typing import NamedTuple

ERRORS = (Path(__file__).parents[3] / "docs/reference/errors.md").read_text()


class FailureRow(NamedTuple):
    code: str
    #: Statuses and classes of errors.
    origin: str
    text: str
    retried: bool
    retryable: bool


FAILED = [
    FailureRow(code, origin, text, bool(retried), bool(retryable))
    for code, origin, text, retried, retryable in re.findall(
        r"^\| `(\w+)` \| (.+?) \| (.+?) \| (yes)? *\| (yes)? *\|$", ERRORS, re.MULTILINE
    )
]
