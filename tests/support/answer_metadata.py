"""The events of a run without the metadata of its answer, for tests of the other events."""

from collections.abc import Iterable

from shared.streams.events import Finish, MessageMetadata, Start, StreamEvent


def without_metadata(events: Iterable[StreamEvent]) -> list[StreamEvent]:
    plain = (
        event.model_copy(update={"message_metadata": None})
        if isinstance(event, Start | Finish)
        else event
        for event in events
    )
    return [event for event in plain if not isinstance(event, MessageMetadata)]
