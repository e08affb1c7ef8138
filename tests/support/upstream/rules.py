"""Requirements of strict servers, which reject the requests that violate them."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Literal

Rule = Literal[
    "reasoning_content-with-calls",
    "reasoning-with-calls",
    "reasoning_details-with-calls",
    "think-tags-with-calls",
    "extensions-with-calls",
    "alternating-roles",
    "one-system-message",
    "no-system-message",
    "one-call-per-message",
    "no-stream-options",
    "no-tool-choice",
]

Message = dict[str, Any]
Check = Callable[[dict[str, Any], Sequence[Message]], bool]


def violated_rule(body: dict[str, Any], rules: Sequence[Rule]) -> str | None:
    """Return the first rule that a request violates."""
    messages: list[Message] = body["messages"]
    return next((rule for rule in rules if not _CHECKS[rule](body, messages)), None)


def _every_call(accepts: Callable[[Message], object]) -> Check:
    def check(_: dict[str, Any], messages: Sequence[Message]) -> bool:
        return all(accepts(message) for message in messages if message.get("tool_calls"))

    return check


def _alternates(_: dict[str, Any], messages: Sequence[Message]) -> bool:
    roles = [message["role"] for message in messages if message["role"] != "tool"]
    chat = [role for role in roles if role in ("user", "assistant")]
    between_tools = [
        (a["role"], b["role"])
        for a, b in pairwise(messages)
        if a["role"] == b["role"] and a["role"] in ("user", "assistant")
    ]
    return not between_tools and chat[:1] != ["assistant"]


def _one_system_message(_: dict[str, Any], messages: Sequence[Message]) -> bool:
    return "system" not in [message["role"] for message in messages[1:]]


_CHECKS: dict[Rule, Check] = {
    "reasoning_content-with-calls": _every_call(lambda m: m.get("reasoning_content")),
    "reasoning-with-calls": _every_call(lambda m: m.get("reasoning")),
    "reasoning_details-with-calls": _every_call(lambda m: m.get("reasoning_details")),
    "think-tags-with-calls": _every_call(lambda m: "<think>" in (m.get("content") or "")),
    "extensions-with-calls": _every_call(
        lambda m: all("extra_content" in call for call in m["tool_calls"])
    ),
    "alternating-roles": _alternates,
    "one-system-message": _one_system_message,
    "no-system-message": lambda _, messages: all(m["role"] != "system" for m in messages),
    "one-call-per-message": _every_call(lambda m: len(m["tool_calls"]) == 1),
    "no-stream-options": lambda body, _: "stream_options" not in body,
    "no-tool-choice": lambda body, _: "tool_choice" not in body,
}
