"""Mode api_key: each client sends the key it was given."""

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
        """Raises Refused."""
        entry = self._find(api_key(scope))
        if entry is None:
            raise AuthError("unknown_key", "The API key is not known.")
        if entry.expires_at is not None and entry.expires_at <= datetime.now(UTC):
            raise AuthError("expired", "The API key has expired.", key=entry.name)
        owner = owner_id("api_key", entry.owner or entry.name, entry.tenant)
        return Principal(owner, frozenset(entry.scopes))

    def _find(self, key: str) -> ApiKeySettings | None:
        """Compares with all, each in constant time: how long it takes tells nothing of any."""
        digest = hash_of(key).encode()
        found = None
        for known, entry in self._entries:
            if compare_digest(known, digest):
                found = entry
        return found
