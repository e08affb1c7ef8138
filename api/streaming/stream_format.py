"""The wires that an answer can be had on, and which of them a client asks for.

One log, several spellings: the AI SDK's, which is how the log is kept, and the basic one, a view
made on the way out. A client asks by a parameter of the media type in `Accept`, which is there on
every request, also on the `GET` that resumes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from api.http.accept import MediaRange, media_ranges
from api.streaming.basic_format import BasicView
from shared.errors import NotAcceptable
from shared.streams.event_stream import Entry

EVENT_STREAM = "text/event-stream"

View = Callable[[Iterable[Entry]], list[Entry]]


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """`view` makes one client's view of a log; without it the log's bytes go out as they are."""

    profile: str
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    view: Callable[[], View] | None = None


UI_MESSAGE = StreamFormat(
    "ui-message", f"{EVENT_STREAM}; charset=utf-8", {"x-vercel-ai-ui-message-stream": "v1"}
)
BASIC = StreamFormat("basic", f"{EVENT_STREAM}; profile=basic; charset=utf-8", view=BasicView)

#: The first is for those who do not say.
STREAM_FORMATS = (UI_MESSAGE, BASIC)


def format_for(accept: Sequence[str]) -> StreamFormat:
    """The wire that these `Accept` headers like best.

    A header that says nothing of event streams is disregarded, as RFC 9110 allows: there is nothing
    else to be had here, and many clients send one that they did not choose.

    Raises:
        NotAcceptable: if it names event streams, but none that there is.
    """
    ranges = media_ranges(accept)
    wishes = [(wish, wire) for wire in STREAM_FORMATS if (wish := _wish(wire, ranges))[0] > 0]
    if wishes:
        return max(wishes, key=lambda wished: wished[0])[1]
    if any(asked.type == EVENT_STREAM for asked in ranges):
        known = ", ".join(f"`{EVENT_STREAM}; profile={wire.profile}`" for wire in STREAM_FORMATS)
        raise NotAcceptable(f"Accept: There is no such event stream. There are: {known}.")
    return UI_MESSAGE


def _wish(wire: StreamFormat, ranges: Iterable[MediaRange]) -> tuple[float, int]:
    """How much a wire is wanted, and how exactly: by the range that comes nearest to it."""
    fitting = [
        (_exactness(asked), asked.quality)
        for asked in ranges
        if asked.covers(EVENT_STREAM)
        and asked.parameters.get("profile", wire.profile).lower() == wire.profile
    ]
    exactness, quality = max(fitting, default=(0, 0.0))
    return quality, exactness


def _exactness(asked: MediaRange) -> int:
    return 1 + 2 * (2 - asked.wildcards) + ("profile" in asked.parameters)


def _wire_of(request: Request) -> StreamFormat:
    return format_for(request.headers.getlist("accept"))


RequestedFormat = Annotated[StreamFormat, Depends(_wire_of)]
