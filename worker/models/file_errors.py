"""Describes why a file at a URL could not be fetched, without the URL or its content."""

import socket
import ssl

import httpx2
from pydantic_ai._ssrf import DownloadTooLargeError

from shared.errors import causes_of
from worker.models.transport.upstream_error import UpstreamError

#: The first matching class applies, so subclasses precede their base classes.
_REASONS: dict[type[BaseException], str] = {
    DownloadTooLargeError: "The file is too large.",
    httpx2.HTTPStatusError: "The file's server answered with an error status.",
    socket.gaierror: "The host of the file cannot be resolved.",
    ssl.SSLError: "The TLS connection to the file's server failed.",
    ConnectionRefusedError: "The file's server refused the connection.",
    TimeoutError: "The file's server did not answer in time.",
    httpx2.TimeoutException: "The file's server did not answer in time.",
    httpx2.DecodingError: "The file's server sent data that cannot be decompressed.",
    httpx2.RequestError: "The connection to the file's server failed.",
}
#: The starts of pydantic-ai's messages that have no class.
_TEXTS = {
    "Access to": "The address of the file is private.",
    "Too many redirects": "The file's server redirects too often.",
    "Redirect response": "The file's server redirects without a target.",
    "Unsupported content-encoding": "The file's server sent an unsupported compression.",
    "DNS resolution failed": "The host of the file cannot be resolved.",
}
_OTHER = "The URL of the file cannot be used."


def describe_file_error(error: BaseException) -> UpstreamError:
    """Return what is safe to log about the error."""
    found = list(causes_of(error, contexts=True))
    statuses = [e.response.status_code for e in found if isinstance(e, httpx2.HTTPStatusError)]
    return UpstreamError(status=statuses[0] if statuses else None, received=_reason(found))


def _reason(errors: list[BaseException]) -> str:
    for kind, reason in _REASONS.items():
        if any(isinstance(error, kind) for error in errors):
            return reason
    texts = [str(error) for error in errors]
    known = (reason for start, reason in _TEXTS.items() if any(t.startswith(start) for t in texts))
    return next(known, _OTHER)
