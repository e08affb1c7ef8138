"""Mode `api_key`: each client sends its API key."""

from collections.abc import Iterable
from datetime import UTC, datetime
from hmac import compare_digest

from starlette.types import Scope

from api.auth.auth_errors import AuthError
from api.auth.credentials import api_key
from api.auth.principal import Principal, owner_id
from shared.api_key import hash_of
from shared.settings import ApiKeySettings


class ApiKeyAuthenticator:
    def __init__(self, entries: Iterable[ApiKeySettings]) -> None:
        self._entries = [(entry.digest.encode(), entry) for entry in entries]

    async def identify(self, scope: Scope) -> Principal:
        """Return the principal of the request's API key.

        Raises:
            AuthError: if the key is missing, unknown, or expired.
        """
        entry = self._find(api_key(scope))
        if entry is None:
            raise AuthError("unknown_key", "The API key is unknown.")
        if entry.expires_at is not None and entry.expires_at <= datetime.now(UTC):
            raise AuthError("expired", "The API key has expired.", key=entry.name)
        owner = owner_id("api_key", entry.owner or entry.name, entry.tenant)
        return Principal(owner, frozenset(entry.scopes), entry.plan)

    def _find(self, key: str) -> ApiKeySettings | None:
        """Compare with every entry in constant time, so that timing reveals nothing about them."""
        digest = hash_of(key).encode()
        found = None
        for entry_digest, entry in self._entries:
            if compare_digest(entry_digest, digest):
                found = entry
        return found
