"""Waits for a condition, in place of a fixed sleep."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

_T = TypeVar("_T")


async def until(probe: Callable[[], Awaitable[_T]], *, seconds: float = 30.0) -> _T:
    """Wait for the first truthy value of `probe` and return it.

    Raises:
        TimeoutError: if there is none within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not (value := await probe()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing truthy from {probe} in {seconds} s")
        await asyncio.sleep(0.01)
    return value
