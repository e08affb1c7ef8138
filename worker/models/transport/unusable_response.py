"""The error for responses of a model server that cannot be used."""

from dataclasses import replace

from shared.errors import MambaError
from worker.models.transport.upstream_error import UpstreamError


class UnusableResponse(MambaError):
    """The response of the model's server cannot be used.

    The message is constant and describes what was received. `upstream` has the details.
    """

    def __init__(self, message: str, upstream: UpstreamError) -> None:
        super().__init__(message)
        self.upstream = replace(upstream, received=message)
