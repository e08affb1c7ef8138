"""Authenticates requests before their body is read."""

from starlette.types import ASGIApp, Receive, Scope, Send

from api.auth.auth_errors import log_refusal
from api.auth.authenticator import Authenticator
from api.auth.principal import Principal
from api.auth.public_routes import is_public_request
from api.auth.stream_tokens import StreamTokens, stream_token
from api.http import problems
from shared.errors import MalformedRequest, Refusal
from shared.settings.live_settings import LiveSettings
from shared.telemetry.logs import bind_from_here, pseudonym


class AuthMiddleware:
    """Stores the request's principal in `scope["state"]["principal"]`, or rejects the request.

    Public routes have no principal.
    """

    def __init__(self, app: ASGIApp, authenticator: Authenticator, live: LiveSettings) -> None:
        self._app = app
        self._authenticator = authenticator
        self._live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            principal = await self._identify(scope)
        except Refusal as refusal:
            log_refusal(refusal)
            await problems.refusal_response(scope, refusal)(scope, receive, send)
            return
        if principal is None:
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})["principal"] = principal
        bind_from_here(owner=pseudonym(principal.owner))
        await self._app(scope, receive, send)

    async def _identify(self, scope: Scope) -> Principal | None:
        """Return the principal; None for a public route."""
        _check_single_host(scope)
        if is_public_request(scope, self._live.now):
            return None
        if found := stream_token(scope):
            tokens: StreamTokens = scope["app"].state.process.stream_tokens
            return await tokens.identify(*found)
        return await self._authenticator.identify(scope)


def _check_single_host(scope: Scope) -> None:
    """Reject several Host headers: a proxy may have checked another one than the API reads."""
    if sum(name == b"host" for name, _ in scope["headers"]) > 1:
        raise MalformedRequest("The request has several Host headers. Send only one.")
