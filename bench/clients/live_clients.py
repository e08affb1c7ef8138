"""Measures the delay of events to clients that one API process relays to.

Run it with `python -m bench.clients.live_clients`. Without a worker, a second process writes the
events, which contain their time.
"""

import asyncio
import multiprocessing
import re
import time
from contextlib import AsyncExitStack
from multiprocessing.connection import Connection
from typing import NamedTuple, cast

import uvloop

from bench.clients.idle_clients import UNLIMITED
from bench.measurements import cpu_seconds
from bench.table import Row, at_most, single
from shared.redis.client import connect
from shared.streams.event_stream import Append, RedisEventStream
from shared.streams.events import Start, TextDelta, TextStart
from tests.support.processes import Api, Valkey, start_all, stop_all
from tests.support.wait import until

RUNS = 100
CLIENTS_PER_RUN = 10
EVENTS_PER_SECOND = 20
SECONDS = 20.0
_TTL = 600.0
_RUN_ID = re.compile(rb"x-run-id: (\S+)")
_TIME = re.compile(rb'"delta":"(\d+)')


class LiveCost(NamedTuple):
    """Delays are in milliseconds, shares are of a core."""

    p50: float
    p99: float
    events_per_second: float
    api_share: float
    clients_share: float


class DelayRecorder(asyncio.Protocol):
    """Follows one run, and records the delay of each event."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._received = b""
        self.run_id: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.delays: list[int] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self.run_id.done() and (found := _RUN_ID.search(data)):
            self.run_id.set_result(found[1].decode())
        now = time.monotonic_ns()
        events, end, self._received = (self._received + data).rpartition(b"\n\n")
        self.delays += [now - int(sent) for sent in _TIME.findall(events + end)]


def write_events(redis_url: str, run_ids: list[str], ready: Connection) -> None:
    """Write to each run in turn for `SECONDS`. Report the start, and the events of each run."""
    uvloop.run(_write_events(redis_url, run_ids, ready))


async def _write_events(redis_url: str, run_ids: list[str], ready: Connection) -> None:
    redis = connect(redis_url, name="bench", max_connections=2)
    stream = RedisEventStream(redis, live_ttl=_TTL, retention=_TTL)
    head = [Start(message_id="m").encode(), TextStart(id="text-1").encode()]
    for run_id in run_ids:
        await stream.take_over(run_id)
        await stream.append(Append(run_id, 1, 1, head))
    ready.send(None)
    start, offset = time.monotonic(), 3
    part = max(1, len(run_ids) // 10)
    while time.monotonic() < start + SECONDS:
        for number in range(0, len(run_ids), part):
            due = start + ((offset - 3) + number / len(run_ids)) / EVENTS_PER_SECOND
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            text = f"{time.monotonic_ns()} "
            event = TextDelta(id="text-1", delta=text).encode()
            await stream.append(
                *(Append(run_id, 1, offset, [event]) for run_id in run_ids[number : number + part])
            )
        offset += 1
    ready.send(offset - 3)
    await redis.aclose()


async def live_clients(api: Api, valkey: Valkey) -> LiveCost:
    """Follow `RUNS` runs with several clients each while events are written."""
    loop = asyncio.get_running_loop()

    async def open_client(request: bytes) -> DelayRecorder:
        _, client = await loop.create_connection(
            lambda: DelayRecorder(request), "127.0.0.1", api.port
        )
        await client.run_id
        return client

    def post(chat: str) -> bytes:
        body = b'{"id":"%b","messages":[{"role":"user","content":"Hi"}]}' % chat.encode()
        return (
            f"POST /chat HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        ).encode() + body

    def get(chat: str) -> bytes:
        path = f"/chat/{chat}/stream?merged=false"
        return f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()

    chats = [f"live-{number}" for number in range(RUNS)]
    clients = [await open_client(post(chat)) for chat in chats]
    run_ids = [await client.run_id for client in clients]
    for _ in range(CLIENTS_PER_RUN - 1):
        clients += await asyncio.gather(*(open_client(get(chat)) for chat in chats))
    messages, sender = multiprocessing.get_context("spawn").Pipe()
    writer = multiprocessing.get_context("spawn").Process(
        target=write_events, args=(valkey.url, run_ids, sender)
    )
    writer.start()
    await asyncio.to_thread(messages.recv)
    before, used = cpu_seconds((api.child.pid,)), time.process_time()
    start = time.perf_counter()
    written: int = await asyncio.to_thread(messages.recv)

    async def all_are_received() -> bool:
        return sum(len(client.delays) for client in clients) == written * len(clients)

    await until(all_are_received, seconds=60)
    seconds = time.perf_counter() - start
    api_share = (cpu_seconds((api.child.pid,)) - before) / seconds
    writer.join()
    delays = sorted(delay for client in clients for delay in client.delays)
    return LiveCost(
        delays[len(delays) // 2] / 1e6,
        delays[int(len(delays) * 0.99)] / 1e6,
        len(delays) / seconds,
        api_share,
        (time.process_time() - used) / seconds,
    )


async def live() -> list[Row]:
    """Measure the delay of events to the clients of one API process."""
    cost = await _measure()
    title = f"delay of {EVENTS_PER_SECOND} events/s to each of {RUNS * CLIENTS_PER_RUN:,} clients"
    return [
        single(f"{title}, p50", cost.p50, unit="ms"),
        single(f"{title}, p99", cost.p99, at_most(100, "ms")),
    ]


async def main() -> None:
    cost = await _measure()
    print(
        f"{RUNS * CLIENTS_PER_RUN} clients, {cost.events_per_second:,.0f} events/s:"
        f" delay p50 {cost.p50:.1f} ms, p99 {cost.p99:.1f} ms;"
        f" CPU: API {cost.api_share:.0%}, clients {cost.clients_share:.0%}"
    )


async def _measure() -> LiveCost:
    async with AsyncExitStack() as stack:
        valkey = Valkey()
        stack.push_async_callback(stop_all, valkey)
        await start_all(valkey)
        api = Api(valkey.url, UNLIMITED)
        stack.push_async_callback(stop_all, api)
        await start_all(api)
        return await live_clients(api, valkey)


if __name__ == "__main__":
    uvloop.run(main())
