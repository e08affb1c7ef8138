"""The completion that the chunks of an unrequested stream add up to."""

import json
from typing import Any

from worker.models.chat.joined_chunks import join_chunks


async def joined(*deltas: dict[str, Any]) -> dict[str, Any]:
    """Return the message of the completion."""
    chunks = [{"id": "1", "model": "m", "choices": [{"delta": delta}]} for delta in deltas]
    events = [*(json.dumps(chunk) for chunk in chunks), "[DONE]"]
    body = "".join(f"data: {event}\n\n" for event in events).encode()
    completion = await join_chunks(body, "text/event-stream")
    return completion["choices"][0]["message"]


def details(**fields: str) -> dict[str, Any]:
    return {"reasoning_details": [{"type": "reasoning.text", **fields}]}


async def test_texts_are_concatenated() -> None:
    message = await joined({"reasoning": "I "}, {"reasoning": "think", "content": "Yes"})

    assert (message["reasoning"], message["content"]) == ("I think", "Yes")


async def test_pieces_of_structured_reasoning_become_one_item() -> None:
    message = await joined(details(text="I "), details(text="think"), details(signature="s"))

    assert (
        message["reasoning_details"] == details(text="I think", signature="s")["reasoning_details"]
    )


async def test_repeated_signature_is_kept_once() -> None:
    message = await joined({"reasoning_opaque": "s"}, {"reasoning_opaque": "s"})

    assert message["reasoning_opaque"] == "s"
