"""The completion that the chunks of an unrequested stream add up to."""

import asyncio
from typing import Any

from tests.support.upstream.client import sse_body
from worker.models.chat.joined_chunks import join_chunks


def stream(*deltas: dict[str, Any]) -> bytes:
    chunks = [{"id": "1", "model": "m", "choices": [{"delta": delta}]} for delta in deltas]
    return sse_body(*chunks).encode()


async def joined(*deltas: dict[str, Any]) -> dict[str, Any]:
    """Return the message of the completion."""
    completion = await join_chunks(stream(*deltas), "text/event-stream")
    return completion["choices"][0]["message"]


async def steps_of_other_tasks(body: bytes) -> int:
    """Return how often another task runs while the chunks of a body are joined."""
    joining = asyncio.create_task(join_chunks(body, "text/event-stream"))
    steps = 0
    while not joining.done():
        await asyncio.sleep(0)
        steps += 1
    assert (await joining)["choices"][0]["message"]["content"]
    return steps


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


async def test_arguments_of_a_call_are_concatenated() -> None:
    call = {"index": 0, "id": "1", "function": {"name": "add", "arguments": '{"a"'}}
    rest = {"index": 0, "function": {"arguments": ":1}"}}

    message = await joined({"tool_calls": [call]}, {"tool_calls": [rest]})

    assert message["tool_calls"] == [
        {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}
    ]


async def test_text_and_structured_reasoning_in_one_field() -> None:
    message = await joined({"thinking": [{"type": "text", "text": "a"}]}, {"thinking": "b"})

    assert message["thinking"] == "b"


async def test_other_tasks_run_while_a_large_body_is_joined() -> None:
    delta = {"content": "word " * 2_000}
    small, large = stream(*[delta] * 50), stream(*[delta] * 500)
    assert len(large) > 5_000_000

    few, many = await steps_of_other_tasks(small), await steps_of_other_tasks(large)

    assert few > 25
    assert 9 * few < many < 11 * few
