"""What a caller is told who is turned away, and what the log is told."""

import re

from api.auth.principal import MissingScope
from shared.errors import Forbidden, Refusal, Unauthenticated

_REALM = 'Bearer realm="mamba"'
#: RFC 6750, 3: what a description may not hold.
_UNSAYABLE = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")


class AuthError(Unauthenticated):
    """Nobody that is known. `reason` is for the log: a word of docs/operate/authentication.md."""

    def __init__(self, reason: str, message: str, *, key: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        #: The name of the key that was sent, where it is known.
        self.key = key


class MissingCredentials(AuthError):
    """No key or token was sent."""

    def __init__(self, message: str) -> None:
        super().__init__("missing", message)


class UntrustedOrigin(Forbidden):
    """Mode none: a page that is none of ours has sent it."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def challenge(refusal: Refusal) -> str | None:
    """The `WWW-Authenticate` that goes with a refusal (RFC 6750, 3)."""
    match refusal:
        case MissingScope():
            return f'{_REALM}, error="insufficient_scope", scope="{refusal.scope}"'
        case AuthError() if not isinstance(refusal, MissingCredentials):
            description = _UNSAYABLE.sub("'", str(refusal))
            return f'{_REALM}, error="invalid_token", error_description="{description}"'
        case Unauthenticated():
            return _REALM
        case _:
            return None
