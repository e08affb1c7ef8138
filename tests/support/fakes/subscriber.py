"""A subscriber that receives no messages, so every follower reads the stream."""

from shared.redis.subscriber import Listener, Subscriber


class SilentSubscriber(Subscriber):
    def __init__(self) -> None:
        super().__init__("redis://nowhere", name="test")

    def add(self, channel: str, listener: Listener) -> None:
        super().add(channel, listener)
        listener.on_gap()
