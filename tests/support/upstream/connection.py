"""Access to the TCP connection of a request, to reset it."""

import asyncio
import socket
import struct

from starlette.requests import Request
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Protocol(HttpToolsProtocol):
    """Exposes the transport, which ASGI hides, in the request's state."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope.setdefault("state", {})["transport"] = self.transport


async def reset(request: Request) -> None:
    """Reset the connection, as a crashed peer does."""
    transport: asyncio.Transport = request.state.transport
    # A reset discards the kernel's send buffer, so let the sent bytes arrive first.
    await asyncio.sleep(0.02)
    if transport.is_closing():
        return
    transport.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE
    )
    transport.abort()
    await asyncio.sleep(0)
