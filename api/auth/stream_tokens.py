"""Stream tokens: short-lived credentials in the URL of one chat's streams.

A browser's `EventSource` cannot send headers. A stream token follows one chat and does nothing
else, so it reveals little if a proxy logs the URL. Redis stores its hash, so that every API process
accepts it in every authentication mode, and removes it when it expires.
"""

import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from urllib.parse import parse_qs

from starlette.types import Scope

from api.auth.auth_errors import AuthError
from api.auth.principal import Principal
from api.chat.ids import ALIAS
from shared.errors import Unavailable
from shared.redis import keys
from shared.redis.client import REDIS_UNAVAILABLE, Redis
from shared.settings.live_settings import LiveSettings

_TOKEN_BYTES = 32
_STREAM_PATH = re.compile(rf"/chat/(?:{ALIAS}/)?(?P<chat_id>.+)/(?:stream|events)", re.DOTALL)


class IssuedToken(NamedTuple):
    token: str
    expires_at: datetime


class StreamTokens:
    def __init__(self, redis: Redis, live: LiveSettings) -> None:
        self._redis = redis
        self._live = live

    async def issue(self, owner: str, chat_id: str) -> IssuedToken:
        """Create a token that follows this chat of this owner until it expires."""
        seconds = self._live.now.auth.stream_token_seconds
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        expires_at = datetime.now(UTC) + timedelta(seconds=seconds)
        key = keys.stream_token(token, chat_id)
        await self._redis.execute_command("SET", key, owner, "PX", round(seconds * 1000))
        return IssuedToken(token, expires_at)

    async def identify(self, token: str, chat_id: str) -> Principal:
        """Return the owner of the token, without scopes.

        Raises:
            AuthError: if the token has expired or belongs to another chat.
            Unavailable: if Redis is unreachable.
        """
        try:
            owner = await self._redis.execute_command("GET", keys.stream_token(token, chat_id))
        except REDIS_UNAVAILABLE:
            raise Unavailable from None
        if owner is None:
            raise AuthError(
                "stream_token",
                "The stream token has expired, or belongs to another chat. "
                "Request a new one with `POST /chat/{id}/stream-token`.",
            )
        return Principal(owner.decode())


def stream_token(scope: Scope) -> tuple[str, str] | None:
    """Return the token in the query and the id of the chat; None if the request has no token.

    Only the routes that follow a chat accept tokens.

    Raises:
        AuthError: if the query contains several tokens.
    """
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    match = _STREAM_PATH.fullmatch(path)
    if match is None or scope["method"] not in ("GET", "HEAD"):
        return None
    query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    tokens = query.get("token", [])
    if len(tokens) > 1:
        raise AuthError("malformed", "The query has several token parameters. Send only one.")
    return (tokens[0], match["chat_id"]) if tokens else None
