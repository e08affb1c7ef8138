"""The message that the API returns as JSON, compared with what the AI SDK builds from a replay."""

import httpx

from tests.support.ai_client.driver import AiClient, Json
from tests.support.wait import until


async def check_stored_message(ai: AiClient, api: str, chat: str) -> None:
    """Check that `GET /chat/{id}/message` returns what a reloaded page shows, once it has ended."""
    stored = await read_stored_message(f"{api}/{chat}/message")
    page = await ai.resume(ai="7", api=api, chat=chat)
    assert page.message is not None
    shown = comparable_message(page.message)
    assert stored == shown, (stored, shown)


async def read_stored_message(url: str) -> Json:
    async with httpx.AsyncClient(timeout=60) as http:

        async def read() -> Json | None:
            response = await http.get(url)
            assert response.status_code in (200, 409), response.text
            return response.json() if response.status_code == 200 else None

        stored = await until(read)
        assert stored
        return stored


def comparable_message(message: Json) -> Json:
    """Leave out steps without parts, and what only `ai` 7 adds: ids of reasoning, raw inputs."""
    parts = [_part(part) for part in message["parts"]]
    while parts and parts[-1]["type"] == "step-start":
        parts.pop()
    return {**message, "parts": parts}


def _part(part: Json) -> Json:
    added = {"id"} if part["type"] == "reasoning" else {"rawInput"}
    return {name: value for name, value in part.items() if name not in added}
