"""The error for responses of a model server that cannot be used."""

from dataclasses import replace

from shared.errors import MambaError
from worker.models.transport.error_texts import Reason
from worker.models.transport.upstream_error import UpstreamError, media_type


class UnusableResponse(MambaError):
    """The response of the model's server cannot be used.

    The message is constant and describes what was received. `upstream` has the details.
    """

    def __init__(self, message: str, upstream: UpstreamError) -> None:
        super().__init__(message)
        self.upstream = replace(upstream, received=message)


def unusable(
    message: str,
    content_type: str | None,
    *,
    reason: Reason | None = "not_a_completion",
    status: int | None = None,
) -> UnusableResponse:
    """Build the error for a response that holds neither an answer nor an error."""
    upstream = UpstreamError(status=status, reason=reason, content_type=media_type(content_type))
    return UnusableResponse(message, upstream)


def unusable_chunk(message: str) -> UnusableResponse:
    """Build the error for data in an answer that cannot be used. The next attempt may succeed."""
    return unusable(message, None, reason=None)
