"""A small application with authentication."""

import httpx
from fastapi import FastAPI
from starlette.middleware import Middleware

from api.auth.authenticator import Authenticator
from api.auth.middleware import AuthMiddleware
from api.auth.principal import Caller, require_scope
from api.http import problems
from api.http.request_id import RequestIdMiddleware
from shared.settings import Settings
from shared.settings.live_settings import LiveSettings


def client_for(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


def small_app(settings: Settings) -> FastAPI:
    live = LiveSettings(settings)
    auth = Middleware(AuthMiddleware, authenticator=Authenticator(live), live=live)
    app = FastAPI(middleware=[Middleware(RequestIdMiddleware), auth])
    problems.install(app)

    @app.get("/me")
    async def me(caller: Caller) -> str:
        return caller.owner

    @app.get("/all", dependencies=[require_scope("operator")])
    async def operators_only() -> str:
        return "all"

    _ = me, operators_only
    return app
