"""A subscriber that hears nothing: whoever listens reads the log."""

from shared.redis.subscriber import Listener, Subscriber


class DeafSubscriber(Subscriber):
    def __init__(self) -> None:
        super().__init__("redis://nowhere", name="test")

    def add(self, channel: str, listener: Listener) -> None:
        super().add(channel, listener)
        listener.on_gap()
