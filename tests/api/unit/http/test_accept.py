"""Selection of the stream format by the `Accept` header."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.accept import MediaRange, media_ranges
from api.streaming.stream_format import BASIC, UI_MESSAGE, StreamFormat, format_for
from shared.errors import NotAcceptable

BASIC_TYPE = "text/event-stream; profile=basic"

CHOICES: list[tuple[StreamFormat, list[str]]] = [
    (UI_MESSAGE, []),
    (UI_MESSAGE, [""]),
    (UI_MESSAGE, ["*/*"]),
    (UI_MESSAGE, ["text/*"]),
    (UI_MESSAGE, ["text/event-stream"]),
    (UI_MESSAGE, ["text/event-stream; charset=utf-8"]),
    (UI_MESSAGE, ["text/event-stream; profile=ui-message"]),
    (UI_MESSAGE, ["text/html,application/xhtml+xml,*/*;q=0.8"]),
    (UI_MESSAGE, ["application/json, text/event-stream"]),
    (UI_MESSAGE, ["*/*;q=0.1", BASIC_TYPE + ";q=0"]),
    (UI_MESSAGE, [BASIC_TYPE + ";q=0.5, text/event-stream"]),
    (UI_MESSAGE, ["text/event-stream; profile=html5, */*"]),
    (BASIC, [BASIC_TYPE]),
    (BASIC, ["text/event-stream;profile=basic"]),
    (BASIC, ["TEXT/Event-Stream ; PROFILE = Basic ; q=1.000"]),
    (BASIC, ['text/event-stream;profile="basic"']),
    (BASIC, [r'text/event-stream;profile="b\asic"']),
    (BASIC, [BASIC_TYPE + ";charset=utf-8;q=0.1"]),
    (BASIC, [BASIC_TYPE, "*/*"]),
    (BASIC, ["*/*, " + BASIC_TYPE]),
    (BASIC, ["text/event-stream, " + BASIC_TYPE]),
    (BASIC, ["text/event-stream;q=0.9, " + BASIC_TYPE]),
    (BASIC, ["application/json", BASIC_TYPE]),
    (BASIC, ['text/plain;a="x, y;profile=no", ' + BASIC_TYPE]),
    (BASIC, ["text/event-stream;profile=ui-message;q=0, */*;q=0.1"]),
    (BASIC, [",, ;, nonsense, a/b;q=2, " + BASIC_TYPE]),
]


@pytest.mark.parametrize(("expected", "accept"), CHOICES, ids=str)
def test_client_gets_its_preferred_stream_format(expected: StreamFormat, accept: list[str]) -> None:
    assert format_for(accept) == expected


@pytest.mark.parametrize(
    "accept", ["application/json", "text/html", "*/*;q=0", "text/event-stream;q=x"]
)
def test_header_without_event_streams_is_ignored(accept: str) -> None:
    assert format_for([accept]) == UI_MESSAGE


@pytest.mark.parametrize(
    "accept",
    [
        "text/event-stream; profile=html5",
        "text/event-stream; profile=",
        'text/event-stream; profile="basic ui-message"',
        "text/event-stream; profile=html5, application/json",
        "text/event-stream; q=0",
        "text/event-stream; q=0, */*;q=0",
    ],
)
def test_unsupported_event_streams_are_rejected_with_a_list(
    accept: str,
) -> None:
    with pytest.raises(NotAcceptable) as caught:
        format_for([accept])

    assert "`text/event-stream; profile=ui-message`" in str(caught.value)
    assert "`text/event-stream; profile=basic`" in str(caught.value)


def test_media_range_has_parameters_and_quality() -> None:
    assert media_ranges(['A/B;C="d;\\"e,f";q=0.25;G=h', "x/*, y"]) == [
        MediaRange("a/b", {"c": 'd;"e,f', "g": "h"}, 0.25),
        MediaRange("x/*", {}, 1),
    ]


@given(st.lists(st.text('ate/*-,;="\\ q.01pr') | st.text(), max_size=3))
def test_arbitrary_header_is_parsed_or_rejected(accept: list[str]) -> None:
    try:
        format_for(accept)
    except NotAcceptable:
        assert any("text/event-stream" in header.lower() for header in accept)


def test_long_header_is_parsed_in_linear_time() -> None:
    for header in ('"' * 50_000, "\\" * 50_000, '"\\' * 50_000, ";" * 50_000, "a/b;" * 20_000):
        assert format_for([header]) == UI_MESSAGE
