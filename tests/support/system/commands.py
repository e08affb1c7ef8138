"""The operator's commands, and an answer that waits for them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tests.support.forked_program import CliResult, run_mamba
from tests.support.sse_client import Json, SseClient, Stream
from tests.support.system.running_system import System

PAUSED: list[list[Json]] = [[{"text": ["Hel"]}, {"wait": True}, {"text": ["lo"]}]]


async def mamba(system: System, *arguments: str, **env: str) -> CliResult:
    """Run a command against this system."""
    settings = {
        "MAMBA_REDIS__URL": system.valkey.url,
        "MAMBA_OPENAI__BASE_URL": system.upstream.base_url,
    }
    return await run_mamba(arguments, {**settings, **env})


@asynccontextmanager
async def paused_answer(system: System, sse: SseClient, name: str) -> AsyncGenerator[Stream]:
    """Yield a stream whose answer is paused in the middle."""
    await system.upstream.script(name, PAUSED)
    async with sse.ask(system.chat, name, model=name) as stream:
        await stream.until("text-delta")
        yield stream
