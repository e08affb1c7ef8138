"""Provider metadata of message parts."""

from functools import reduce
from typing import Any, cast

import pytest

from api.chat.message import UIMessage

OWN = {"provider": "p", "field": "reasoning"}
DEEP = reduce(lambda value, _: {"a": value}, range(200), cast("Any", 1))


def metadata_of(part: dict[str, Any]) -> object:
    message = UIMessage.model_validate({"role": "assistant", "parts": [part]})
    [normalized] = message.normalized().parts
    return getattr(normalized, "metadata", None)


PARTS: list[tuple[dict[str, Any], str]] = [
    ({"type": "text", "text": "a"}, "providerMetadata"),
    ({"type": "reasoning", "text": "a"}, "providerMetadata"),
    (
        {
            "type": "tool-f",
            "toolCallId": "c",
            "state": "output-available",
            "input": {},
            "output": 1,
        },
        "callProviderMetadata",
    ),
]


@pytest.mark.parametrize(("part", "field"), PARTS)
def test_own_entry_reaches_the_worker(part: dict[str, Any], field: str) -> None:
    assert metadata_of({**part, field: {"mamba": OWN, "other": {"a": 1}}}) == OWN


@pytest.mark.parametrize(("part", "field"), PARTS)
@pytest.mark.parametrize(
    "value", [None, 5, "x", [], {}, {"other": {"a": 1}}, {"mamba": 5}, {"mamba": DEEP}]
)
def test_other_metadata_is_ignored(part: dict[str, Any], field: str, value: object) -> None:
    assert metadata_of({**part, field: value}) is None
