"""The interface that an attempt uses to report its progress to a trace."""

from shared.streams.event_stream import Closure, Takeover


class AttemptTrace:
    """Records nothing: the implementation for a worker without tracing."""

    async def begin(self, takeover: Takeover) -> None:
        """The attempt has taken the run over and has its number."""

    def fail(self, code: str) -> None:
        """The attempt failed, and the run will be retried."""

    def close(self, closure: Closure) -> None:
        """The attempt ended the run."""
