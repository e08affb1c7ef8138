"""Fixtures of the tests of `examples/` (`make examples`)."""

from collections.abc import AsyncGenerator, Generator

import pytest
import pytest_asyncio

from tests.support.browser.page import Browser, open_browser
from tests.support.examples.example_app import open_backend
from tests.support.system.running_system import System
from tests.support.upstream.client import Upstream

#: The model that the examples use, because they request none.
MODEL = "example-model"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def upstream() -> AsyncGenerator[Upstream]:
    async with Upstream() as upstream:
        yield upstream


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def system(upstream: Upstream) -> AsyncGenerator[System]:
    """An API without authentication and a worker, as `make dev` starts them."""
    async with open_backend(upstream, {"MAMBA_OPENAI__DEFAULT_MODEL": MODEL}) as system:
        yield system


@pytest.fixture(scope="session")
def browser() -> Generator[Browser]:
    with open_browser() as browser:
        yield browser
