"""The limit of an owner's open streams."""

from contextlib import ExitStack

import pytest

from api.streaming.stream_slots import StreamSlots
from shared.errors import TooManyStreams
from shared.settings import LimitSettings, Settings
from shared.settings.live_settings import LiveSettings


def slots(streams: int) -> StreamSlots:
    return StreamSlots(LiveSettings(Settings(limits=LimitSettings(streams=streams))))


def test_owner_with_too_many_streams_is_refused_until_one_ends() -> None:
    limited = slots(2)
    with ExitStack() as open_streams:
        open_streams.enter_context(limited.take("ann"))
        with limited.take("ann"), pytest.raises(TooManyStreams, match="at most 2 open streams"):
            open_streams.enter_context(limited.take("ann"))
        with limited.take("ann"), limited.take("bob"):
            pass

    with limited.take("ann"), limited.take("ann"):
        pass


def test_zero_means_no_limit() -> None:
    unlimited = slots(0)
    with ExitStack() as open_streams:
        for _ in range(2000):
            open_streams.enter_context(unlimited.take("ann"))
