"""Terminal output of `mamba dev`. A closed terminal must not keep it from ending its children."""

import os
import sys
from typing import TextIO


def print_out(text: str) -> None:
    _write(sys.stdout, text)


def print_error(text: str) -> None:
    _write(sys.stderr, text)


def _write(stream: TextIO, text: str) -> None:
    try:
        print(text, file=stream, flush=True)
    except UnicodeEncodeError:
        _write(stream, text.encode("ascii", "replace").decode())
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
