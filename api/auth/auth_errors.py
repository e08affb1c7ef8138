"""Authentication errors, their `WWW-Authenticate` challenge, and their log event."""

import re

import structlog

from api.auth.principal import MissingScope
from shared.errors import Forbidden, Refusal, Unauthenticated

log = structlog.stdlib.get_logger()

_REALM = 'Bearer realm="mamba"'
#: Characters that `error_description` must not contain (RFC 6750, 3).
_FORBIDDEN_CHARS = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")


class AuthError(Unauthenticated):
    """The credentials are invalid.

    `reason` is a code for the log, listed in `docs/operate/authentication.md`.
    """

    def __init__(self, reason: str, message: str, *, key: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        #: The name of the API key, if the key is known.
        self.key = key


class MissingCredentials(AuthError):
    """The request has no key or token."""

    def __init__(self, message: str) -> None:
        super().__init__("missing", message)


class UntrustedOrigin(Forbidden):
    """The request comes from an untrusted page or host name; `reason` is a code for the log."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def challenge(refusal: Refusal) -> str | None:
    """Return the `WWW-Authenticate` header for a refusal (RFC 6750, 3), if it needs one."""
    match refusal:
        case MissingScope():
            return f'{_REALM}, error="insufficient_scope", scope="{refusal.scope}"'
        case AuthError() if not isinstance(refusal, MissingCredentials):
            description = _FORBIDDEN_CHARS.sub("'", str(refusal))
            return f'{_REALM}, error="invalid_token", error_description="{description}"'
        case Unauthenticated():
            return _REALM
        case _:
            return None


def log_refusal(refusal: Refusal) -> None:
    """Log why authentication or authorization rejected a request, without the key or token."""
    match refusal:
        case AuthError() | UntrustedOrigin():
            reason = refusal.reason
        case MissingScope():
            reason = "scope"
        case _:
            reason = refusal.code
    key = {"key": refusal.key} if isinstance(refusal, AuthError) and refusal.key else {}
    log.info("auth.refused", message="Request rejected by authentication", reason=reason, **key)
