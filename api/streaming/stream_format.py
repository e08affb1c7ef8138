"""The stream formats, and the choice of one by the `Accept` header.

Streams are stored in the `ui-message` format of the AI SDK. The `basic` format is converted from it
while sending. A client selects a format with the media type's `profile` parameter, because every
request has an `Accept` header, including the `GET` that resumes a stream.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from api.http.accept import MediaRange, media_ranges
from api.streaming.basic_format import BasicConverter
from shared.errors import NotAcceptable
from shared.streams.event_stream import Entry

EVENT_STREAM = "text/event-stream"

EntryConverter = Callable[[Iterable[Entry]], list[Entry]]


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """A stream format. Without a `converter`, stored bytes are sent unchanged.

    A converter keeps the state of one client, which needs the stream from its start.
    """

    profile: str
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    converter: Callable[[], EntryConverter] | None = None


UI_MESSAGE = StreamFormat(
    "ui-message", f"{EVENT_STREAM}; charset=utf-8", {"x-vercel-ai-ui-message-stream": "v1"}
)
BASIC = StreamFormat(
    "basic", f"{EVENT_STREAM}; profile=basic; charset=utf-8", converter=BasicConverter
)

#: The first one is the default.
STREAM_FORMATS = (UI_MESSAGE, BASIC)


def format_for(accept: Sequence[str]) -> StreamFormat:
    """Return the stream format that these `Accept` headers prefer.

    Headers that name no event stream are ignored, as RFC 9110 allows: no other representation
    exists, and many clients send a header that they did not choose.

    Raises:
        NotAcceptable: if they name event streams, but no available format.
    """
    ranges = media_ranges(accept)
    preferences = [(_preference(known, ranges), known) for known in STREAM_FORMATS]
    accepted = [(preference, known) for preference, known in preferences if preference[0] > 0]
    if accepted:
        return max(accepted, key=lambda candidate: candidate[0])[1]
    if any(requested.type == EVENT_STREAM for requested in ranges):
        names = ", ".join(f"`{EVENT_STREAM}; profile={known.profile}`" for known in STREAM_FORMATS)
        raise NotAcceptable(f"Accept: Unknown stream format. Available formats: {names}.")
    return UI_MESSAGE


def _preference(known: StreamFormat, ranges: Iterable[MediaRange]) -> tuple[float, int]:
    """Return quality and specificity of the most specific range that covers a format."""
    covering = [
        (_specificity(requested), requested.quality)
        for requested in ranges
        if requested.covers(EVENT_STREAM)
        and requested.parameters.get("profile", known.profile).lower() == known.profile
    ]
    specificity, quality = max(covering, default=(0, 0.0))
    return quality, specificity


def _specificity(requested: MediaRange) -> int:
    return 1 + 2 * (2 - requested.wildcards) + ("profile" in requested.parameters)


def requested_format(request: Request) -> StreamFormat:
    """Return the stream format of the response. Raises NotAcceptable, as `format_for` does."""
    return format_for(request.headers.getlist("accept"))


async def _requested_format(request: Request) -> StreamFormat:
    return requested_format(request)


RequestedFormat = Annotated[StreamFormat, Depends(_requested_format)]
