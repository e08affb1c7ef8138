import asyncio

from starlette.types import Message, Receive, Scope, Send

from api.http.staggered_start import StaggeredStartMiddleware


class Iterations:
    """Counts the iterations of the event loop, and records in which one each request starts."""

    def __init__(self) -> None:
        self.now = 0
        self.starts: dict[str, int] = {}
        self._next()

    def _next(self) -> None:
        self.now += 1
        asyncio.get_running_loop().call_soon(self._next)

    async def app(self, scope: Scope, _: Receive, __: Send) -> None:
        self.starts[scope["path"]] = self.now


async def no_message() -> Message:
    raise AssertionError("nothing is received")


async def ignore(_: Message) -> None:
    pass


def send_requests(iterations: Iterations, count: int) -> list[asyncio.Task[None]]:
    """Run requests as a server does: each one in a task."""
    middleware = StaggeredStartMiddleware(iterations.app)

    async def send(number: int) -> None:
        await middleware({"type": "http", "path": f"/{number}"}, no_message, ignore)

    return [asyncio.create_task(send(number)) for number in range(count)]


async def test_request_alone_starts_at_once() -> None:
    iterations = Iterations()

    await asyncio.gather(*send_requests(iterations, 1))

    assert iterations.starts["/0"] == 2  # a task starts in the next iteration


async def test_one_request_starts_in_each_iteration_in_order() -> None:
    iterations = Iterations()

    await asyncio.gather(*send_requests(iterations, 20))

    assert list(iterations.starts) == [f"/{number}" for number in range(20)]
    assert len({*iterations.starts.values()}) == 20


async def test_cancelled_request_does_not_delay_the_next_ones() -> None:
    iterations = Iterations()
    requests = send_requests(iterations, 5)
    await asyncio.sleep(0)

    requests[2].cancel()
    await asyncio.gather(*requests, return_exceptions=True)

    assert list(iterations.starts) == ["/0", "/1", "/3", "/4"]
