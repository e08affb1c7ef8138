"""Authenticates requests before their body is read."""

from starlette.types import ASGIApp, Receive, Scope, Send

from api.auth.auth_errors import log_refusal
from api.auth.authenticator import Authenticator
from api.auth.public_routes import is_public_request
from api.http import problems
from shared.errors import Refusal
from shared.settings.live_settings import LiveSettings
from shared.telemetry.logs import bind, pseudonym


class AuthMiddleware:
    """Stores the request's principal in `scope["state"]["principal"]`, or rejects the request."""

    def __init__(self, app: ASGIApp, authenticator: Authenticator, live: LiveSettings) -> None:
        self._app = app
        self._authenticator = authenticator
        self._live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_public_request(scope, self._live.now):
            await self._app(scope, receive, send)
            return
        try:
            principal = await self._authenticator.identify(scope)
        except Refusal as refusal:
            log_refusal(refusal)
            await problems.refusal_response(scope, refusal)(scope, receive, send)
            return
        scope.setdefault("state", {})["principal"] = principal
        with bind(owner=pseudonym(principal.owner)):
            await self._app(scope, receive, send)
