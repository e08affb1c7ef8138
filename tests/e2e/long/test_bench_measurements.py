"""The measurements of `make bench` that compare nothing. They check the answers themselves."""

from collections.abc import Awaitable, Callable

import pytest

from bench.__main__ import SINGLE
from bench.table import Row


@pytest.mark.parametrize("measure", SINGLE)
async def test_measurement_of_the_benchmark_returns_rows(
    measure: Callable[[], Awaitable[list[Row]]],
) -> None:
    rows = await measure()

    assert rows
    assert all(row.mamba for row in rows)
