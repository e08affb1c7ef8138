"""Stream tokens: short-lived credentials in the URL of one chat's streams.

A browser's `EventSource` cannot send headers. With a stream token, a client can follow one chat
and do nothing else, so a URL in the log of a proxy gives little away. Redis stores its hash, so
that every API process accepts it in every authentication mode, and removes it when it expires.
"""

import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from starlette.datastructures import QueryParams
from starlette.types import Scope

from api.auth.auth_errors import AuthError
from api.auth.principal import Principal
from api.chat.ids import ALIAS
from shared.errors import Unavailable
from shared.redis import keys
from shared.redis.client import REDIS_UNAVAILABLE, Redis
from shared.redis.scripts import Key, redis_script
from shared.settings.live_settings import LiveSettings

_TOKEN_BYTES = 32
_STREAM_PATH = re.compile(rf"/chat/(?:{ALIAS}/)?(?P<chat_id>.+)/(?:stream|events)", re.DOTALL)


class IssuedToken(NamedTuple):
    token: str
    expires_at: datetime


@redis_script("redis.call('SET', token, owner, 'PX', ttl_ms)")
def _store(*, token: Key, owner: str, ttl_ms: int) -> None: ...


class StreamTokens:
    def __init__(self, redis: Redis, live: LiveSettings) -> None:
        self._redis = redis
        self._live = live

    async def issue(self, owner: str, chat_id: str) -> IssuedToken:
        """Create a token that follows this chat of this owner until it expires.

        Raises one of REDIS_UNAVAILABLE.
        """
        seconds = self._live.now.auth.stream_token_seconds
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        expires_at = datetime.now(UTC) + timedelta(seconds=seconds)
        key = keys.stream_token(token, chat_id)
        await _store(self._redis, token=key, owner=owner, ttl_ms=round(seconds * 1000))
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
    tokens = QueryParams(scope["query_string"]).getlist("token")
    if len(tokens) > 1:
        raise AuthError("malformed", "The query has several token parameters. Send only one.")
    return (tokens[0], match["chat_id"]) if tokens else None
