"""An API in the process of the test, and its client."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx

from api.app import create_app
from shared.settings import Settings


@asynccontextmanager
async def client_of(settings: Settings) -> AsyncGenerator[httpx.AsyncClient]:
    """Start an API with these settings, and yield a client of it."""
    app = create_app(settings)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        yield client
