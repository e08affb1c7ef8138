"""The limit of an owner's open streams."""

import pytest

from api.streaming.stream_slots import StreamSlots
from shared.errors import TooManyStreams
from shared.settings import LimitSettings, Settings
from shared.settings.live_settings import LiveSettings


def slots(streams: int) -> StreamSlots:
    return StreamSlots(LiveSettings(Settings(limits=LimitSettings(streams=streams))))


def test_owner_with_too_many_streams_is_refused_until_one_ends() -> None:
    limited = slots(2)
    for _ in range(2):
        limited.acquire("ann")
    with pytest.raises(TooManyStreams, match="at most 2 open streams"):
        limited.acquire("ann")
    limited.acquire("bob")

    limited.release("ann")
    limited.acquire("ann")
    with pytest.raises(TooManyStreams):
        limited.acquire("ann")


def test_zero_means_no_limit() -> None:
    unlimited = slots(0)
    for _ in range(2000):
        unlimited.acquire("ann")
