"""One request and its response, observed as their ASGI messages pass through a middleware."""

from collections.abc import Iterable
from typing import cast

from starlette.types import Message, Receive, Scope, Send

#: The platform requests these every few seconds.
PROBE_ROUTES = ("/health", "/health/live", "/health/ready", "/metrics")

_Headers = Iterable[tuple[bytes, bytes]]


class Exchange:
    """Wraps `receive` and `send`, and records how the response ends."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self._receive = receive
        self._send = send
        self.sent_bytes = 0
        self._complete = False
        self._client_gone = False

    @property
    def route(self) -> str | None:
        """The path template of the route that matched; a path would reveal the chat's id."""
        route = cast("object", self.scope.get("route"))
        return getattr(route, "path_format", None) or getattr(route, "path", None)

    @property
    def outcome(self) -> str:
        """`complete`, `client_gone`, or `cut` if the server ended the response early."""
        if self._complete:
            return "complete"
        return "client_gone" if self._client_gone else "cut"

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._client_gone = self._client_gone or not self._complete
        else:
            self.on_body(message.get("body", b""), last=not message.get("more_body", False))
        return message

    async def send(self, message: Message) -> None:
        # Record first: a client that has the whole response finds it in the log and the trace.
        if message["type"] == "http.response.start":
            self.on_response_start(message["status"], message["headers"])
        else:
            self.sent_bytes += len(message.get("body", b""))
            if not message.get("more_body", False):
                self._complete = True
                self.on_response_end()
        await self._send(message)

    def on_body(self, chunk: bytes, *, last: bool) -> None:
        """Handle a chunk of the request's body."""

    def on_response_start(self, status: int, headers: _Headers) -> None:
        """Handle the start of the response, before it is sent."""

    def on_response_end(self) -> None:
        """Handle the end of the response, before its last chunk is sent."""


def is_event_stream(headers: _Headers) -> bool:
    return any(
        name.lower() == b"content-type" and value.startswith(b"text/event-stream")
        for name, value in headers
    )


async def wait_for_disconnect(receive: Receive) -> None:
    """Return when the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass
