"""Waiting for something to become true: no test sleeps and hopes."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

_T = TypeVar("_T")


async def until(probe: Callable[[], Awaitable[_T]], *, seconds: float = 10.0) -> _T:
    """The first truthy value of `probe`.

    Raises:
        TimeoutError: if there is none in time.
    """
    deadline = time.monotonic() + seconds
    while not (value := await probe()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing truthy from {probe} in {seconds} s")
        await asyncio.sleep(0.01)
    return value
