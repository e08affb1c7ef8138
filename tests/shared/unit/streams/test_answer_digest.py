"""The digest equals the one that the JavaScript of the documentation computes."""

import json
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.streams.answer_digest import AnswerDigest
from shared.streams.canonical_json import canonical_json
from shared.streams.events import (
    ReasoningDelta,
    Start,
    StreamEvent,
    TextDelta,
    ToolInputError,
    ToolOutputAvailable,
    ToolOutputDenied,
    ToolOutputError,
)
from web.node import find_node

_PAGE = Path(__file__).parents[4] / "docs/frontend/answer-metadata.md"
_BLOCK = re.compile(r"```js\n(.*?)```", re.DOTALL)
_READ = "let input = ''; for await (const data of process.stdin) input += data;\n"

#: Values whose canonical form is easy to get wrong.
ODD: list[Any] = [
    *(0.0, -0.0, 5.0, 1e20, 1e21, 123456789012345680000.0, 1e-6, 1e-7, 0.000001234, 1.5e300),
    *(5e-324, 1.7976931348623157e308, 2**53, 2**53 + 1, -(2**63), 10**400, float("nan")),
    {
        "b": 1,
        "a": [None, True, 'é\u2028\x7f\x01\\"/'],
        "😀": 1,
        "\uffff": 2,
        "": {},
        "10": [],
        "9": 0,
    },
]


def javascript(program: str, data: str) -> str:
    """Run a program with the functions of the page; `input` holds the data."""
    [functions] = _BLOCK.findall(_PAGE.read_text())
    command = [find_node().path, "--input-type=module", "-e", f"{functions}\n{_READ}{program}"]
    done = subprocess.run(command, input=data.encode(), capture_output=True, check=True, timeout=60)
    return done.stdout.decode()


def digest_of(*events: StreamEvent) -> str | None:
    digest = AnswerDigest()
    digest.add(event.encode() for event in events)
    return digest.value()


def in_javascript(events: Sequence[StreamEvent]) -> str:
    sent = [
        {"id": f"1-{offset}@r", "data": event.encode().decode()}
        for offset, event in enumerate(events, start=1)
    ]
    return javascript(
        "console.log(await answerDigest(JSON.parse(input)))", json.dumps(sent)
    ).strip()


def text(delta: str) -> TextDelta:
    return TextDelta(id="text-1", delta=delta)


def result(call_id: str, output: object) -> ToolOutputAvailable:
    return ToolOutputAvailable(tool_call_id=call_id, output=output)


def test_javascript_computes_the_same_digest() -> None:
    events = [
        Start(message_id="m"),
        text("Grüße "),
        result("b", ODD),
        result("é", {"x": [1, 2.5]}),
        result("a 😀", None),
        result("\uffff", "half an emoji: \ud83d"),
        ToolOutputError(tool_call_id="c", error_text='"no"\n'),
        text("🎉 \ud83d"),
        text("\ude00"),
    ]

    assert digest_of(*events) == in_javascript(events)


def test_events_of_earlier_runs_do_not_count() -> None:
    replayed = [
        {"id": "1-1@r/e", "data": e.encode().decode()} for e in (Start(message_id="m"), text("x"))
    ]
    newest = {"id": "1-2@r", "data": text("y").encode().decode()}
    transient = {"data": '{"type":"data-queue","data":{},"transient":true}'}
    sent = json.dumps([*replayed, transient, newest, {"id": "1-3@r", "data": "[DONE]"}])

    received = javascript("console.log(await answerDigest(JSON.parse(input)))", sent).strip()

    assert received == digest_of(text("y"))


def test_numbers_are_written_as_in_javascript() -> None:
    @settings(max_examples=1, database=None)
    @given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=300, max_size=400))
    def check(numbers: list[float]) -> None:
        received = javascript("console.log(canonicalJson(JSON.parse(input)))", json.dumps(numbers))
        assert received.strip() == canonical_json(numbers)

    check()


@pytest.mark.parametrize(
    ("value", "written"),
    [(2**53 + 1, "9007199254740992"), (10**400, "null"), (-0.0, "0"), (1e21, "1e+21"), (5.0, "5")],
)
def test_number_has_the_form_of_ecmascript(value: float, written: str) -> None:
    assert canonical_json(value) == written


def test_value_that_is_not_json_is_refused() -> None:
    with pytest.raises(TypeError, match="bytes is not a JSON type"):
        canonical_json([b""])


def test_merged_deltas_have_the_same_digest() -> None:
    assert digest_of(text("a"), text("b"), text("c")) == digest_of(text("abc"))


def test_order_of_results_does_not_matter() -> None:
    assert digest_of(result("a", 1), result("b", 2)) == digest_of(result("b", 2), result("a", 1))
    assert digest_of(result("a", 1)) != digest_of(result("a", 2))


def test_only_text_and_results_count() -> None:
    others = [
        ReasoningDelta(id="r", delta="x"),
        ToolInputError(tool_call_id="a", tool_name="t", input=1, error_text="x"),
        ToolOutputDenied(tool_call_id="a"),
    ]

    assert digest_of(*others) == digest_of()


def test_result_that_no_client_can_parse_has_no_digest() -> None:
    deep: list[Any] = []
    for _ in range(250):
        deep = [deep]

    assert digest_of(text("a"), result("a", deep)) is None
