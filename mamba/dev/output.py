"""What `mamba dev` prints. A terminal that goes away does not stop it from ending its children."""

import os
import sys
from typing import TextIO


def say(text: str) -> None:
    _write(sys.stdout, text)


def complain(text: str) -> None:
    _write(sys.stderr, text)


def _write(stream: TextIO, text: str) -> None:
    try:
        print(text, file=stream, flush=True)
    except UnicodeEncodeError:
        _write(stream, text.encode("ascii", "replace").decode())
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
