"""Fixtures of all tests: one real Valkey server per session, empty at the start of each test."""

import asyncio
import signal
from collections.abc import AsyncGenerator, Generator

import pytest
from hypothesis import settings

from shared.redis.client import Redis
from tests.support.isolation import Isolation
from tests.support.isolation.key_expiry import check_that_keys_expire
from tests.support.isolation.paused_machine import PausedMachine
from tests.support.processes import Valkey, running
from tests.support.redis_cluster import RedisCluster, SharedCluster
from tests.support.upstream.client import Upstream

_isolation = Isolation()

settings.register_profile("suite", max_examples=60, deadline=None, derandomize=True)
settings.register_profile("long", max_examples=5000, deadline=None)
settings.load_profile("suite")


def pytest_configure(config: pytest.Config) -> None:
    """Isolate the session, and reset signals that a background job ignores and passes on."""
    # The controller of pytest-xdist starts the processes that run the tests.
    if config.getoption("dist", "no") == "no":
        _isolation.start()
        config.pluginmanager.register(PausedMachine())
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_unconfigure() -> None:
    _isolation.end()


@pytest.fixture(scope="session")
def valkey() -> Generator[Valkey]:
    with running(Valkey()) as server:
        yield server


@pytest.fixture(scope="module")
def upstream() -> Generator[Upstream]:
    """A scripted model server."""
    server = Upstream()
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def redis(valkey: Valkey) -> AsyncGenerator[Redis]:
    """A client of an empty server. After the test, each key must have a TTL."""
    client = valkey.client()
    await client.execute_command("FLUSHALL", "SYNC")  # else, memory is freed during the test
    yield client
    await check_that_keys_expire(client)
    await client.aclose()


@pytest.fixture(scope="session")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Generator[SharedCluster]:
    """The cluster of the session, started by the first test that uses it."""
    shared = SharedCluster(tmp_path_factory.mktemp("cluster"))
    yield shared
    asyncio.run(shared.stop())


@pytest.fixture
async def cluster(clusters: SharedCluster) -> AsyncGenerator[RedisCluster]:
    """An empty cluster. After the test, each key must have a TTL."""
    async with clusters.emptied() as cluster:
        yield cluster
