"""Reads single key presses, and restores the terminal afterwards."""

import asyncio
import os
import sys
import termios
import tty
from collections.abc import Callable, Generator
from contextlib import contextmanager

_KEY_NAMES = {
    b"\x1b[A": "up",
    b"\x1b[B": "down",
    b"\x1bOA": "up",
    b"\x1bOB": "down",
    b"\x1b": "escape",
}


@contextmanager
def read_keys(on_key: Callable[[str], None]) -> Generator[None]:
    """Call `on_key` with each key pressed, without echo. Does nothing without a terminal."""
    if not sys.stdin.isatty():
        yield
        return
    fd, loop = sys.stdin.fileno(), asyncio.get_running_loop()
    before = termios.tcgetattr(fd)

    def read() -> None:
        pressed = os.read(fd, 64)
        if not pressed:  # the terminal was closed
            loop.remove_reader(fd)
            on_key("q")
            return
        for key in keys_in(pressed):
            on_key(key)

    tty.setcbreak(fd)
    loop.add_reader(fd, read)
    try:
        yield
    finally:
        loop.remove_reader(fd)
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def keys_in(pressed: bytes) -> list[str]:
    """Return the keys in the bytes read. Escape sequences other than arrow keys are dropped."""
    if pressed.startswith(b"\x1b"):
        name = _KEY_NAMES.get(pressed[:3]) or _KEY_NAMES.get(pressed)
        rest = pressed[3:] if pressed[:3] in _KEY_NAMES else b""
        return [*([name] if name else []), *(keys_in(rest) if rest else [])]
    first, escape, rest = pressed.partition(b"\x1b")
    return [*first.decode("ascii", "ignore"), *(keys_in(escape + rest) if escape else [])]
