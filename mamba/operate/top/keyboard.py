"""Keys as they are pressed, one by one; the terminal is given back as it was."""

import asyncio
import os
import sys
import termios
import tty
from collections.abc import Callable, Generator
from contextlib import contextmanager

_NAMES = {b"\x1b[A": "up", b"\x1b[B": "down", b"\x1bOA": "up", b"\x1bOB": "down", b"\x1b": "escape"}


@contextmanager
def listening(on_key: Callable[[str], None]) -> Generator[None]:
    """Call back with each key; where there is no keyboard, never. Keys are not echoed."""
    if not sys.stdin.isatty():
        yield
        return
    fd, loop = sys.stdin.fileno(), asyncio.get_running_loop()
    before = termios.tcgetattr(fd)

    def read() -> None:
        pressed = os.read(fd, 64)
        if not pressed:  # the terminal has gone
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
    """The keys of what was read: an arrow is one, and what else begins with ESC is none."""
    if pressed.startswith(b"\x1b"):
        named = _NAMES.get(pressed[:3]) or _NAMES.get(pressed)
        rest = pressed[3:] if pressed[:3] in _NAMES else b""
        return [*([named] if named else []), *(keys_in(rest) if rest else [])]
    first, escape, rest = pressed.partition(b"\x1b")
    return [*first.decode("ascii", "ignore"), *(keys_in(escape + rest) if escape else [])]
