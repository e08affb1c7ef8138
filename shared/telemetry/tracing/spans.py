"""The span interface, whose default implementation records nothing."""

from collections.abc import Mapping
from typing import Literal

Kind = Literal["internal", "server", "client", "producer", "consumer"]
#: A serialized span context: W3C `traceparent`, and optionally `tracestate`.
Carrier = Mapping[str, str]
#: Attributes by name. Only those that `docs/operate/tracing.md` lists are exported.
Attributes = Mapping[str, str | int | float | bool | None]


class Span:
    """A no-op span. `RecordedSpan` in `shared/telemetry/tracing/tracer.py` is recorded."""

    @property
    def carrier(self) -> dict[str, str]:
        """The span context to propagate to another process."""
        return {}

    @property
    def recorded(self) -> bool:
        return False

    def set(self, attributes: Attributes) -> None:
        """Set attributes, except those that are None."""

    def link(self, carrier: Carrier) -> None:
        """Link a span of another trace. Ignores spans of the same trace."""

    def fail(self, kind: str) -> None:
        """Mark the span as failed. `kind` is an error class or code, never a message."""

    def end(self) -> None:
        """End the span unless it has ended."""
