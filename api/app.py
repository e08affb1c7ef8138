"""The FastAPI application."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import structlog
from fastapi import FastAPI
from starlette.middleware import Middleware

from api.auth.authenticator import Authenticator
from api.auth.middleware import AuthMiddleware
from api.auth.security_warnings import warn_insecure_settings
from api.console import page as console_page
from api.console import routes as console_routes
from api.http import problems
from api.http.bodies.json_bodies import JsonBodiesMiddleware
from api.http.cors import CorsMiddleware
from api.http.detached import DetachedResponseMiddleware
from api.http.head_requests import HeadMiddleware
from api.http.paths import PathMiddleware
from api.http.request_id import RequestIdMiddleware
from api.http.request_log import RequestLogMiddleware
from api.http.staggered_start import StaggeredStartMiddleware
from api.openapi import docs_pages, document
from api.pages import start_page
from api.process import open_process
from api.routes import (
    agents,
    chat_events,
    chats,
    health,
    live_chats,
    metrics,
    models,
    stream_tokens,
    titles,
    tools,
    usage,
)
from shared.agents.agent_file import AgentFile
from shared.settings import Settings
from shared.settings.live_settings import LiveSettings
from shared.telemetry import logs, tracing
from shared.version import installed_version

log = structlog.stdlib.get_logger()


def create_app(settings: Settings, load: Callable[[], Settings] | None = None) -> FastAPI:
    """Create the app. With `load`, settings are reloaded when their sources change.

    Raises:
        SettingsError: if the agent file, or a key for the verification of tokens, cannot be read.
    """
    agent_file = AgentFile(settings.agents)
    agent_file.read()
    live = LiveSettings(settings)
    live.on_change(lambda new: logs.configure(new.logging.level, new.logging.format))
    authenticator = Authenticator(live)

    app = FastAPI(
        title="Mamba Server",
        description="A backend for AI chat whose answers survive disconnects and crashes.",
        version=installed_version(),
        lifespan=_lifespan(live, agent_file, load),
        # The spans of this option contain chat ids and queries.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # PathMiddleware removes them
        generate_unique_id_function=document.operation_id,
        # Middlewares that do nothing after the response are plain functions. The frame of a
        # coroutine would occupy memory for as long as the stream lasts.
        middleware=[
            Middleware(StaggeredStartMiddleware),
            Middleware(CorsMiddleware, live),
            Middleware(PathMiddleware, prefix=settings.server.root_path),
            Middleware(RequestIdMiddleware),
            *_tracing(),
            Middleware(RequestLogMiddleware, live),
            Middleware(problems.ProblemMiddleware),
            Middleware(AuthMiddleware, authenticator=authenticator, live=live),
            Middleware(JsonBodiesMiddleware, live),
            Middleware(HeadMiddleware),
            Middleware(DetachedResponseMiddleware),
        ],
    )
    for extension in (problems, document, docs_pages):
        extension.install(app)
    # `chats` has a route that matches every path below a chat's `/messages/`.
    chat_routes = (chat_events, stream_tokens, chats, live_chats)
    api_routes = (*chat_routes, titles, models, agents, tools, usage, health, metrics)
    for module in (*api_routes, start_page, console_page, console_routes):
        app.include_router(module.router)
    return app


def _lifespan(
    live: LiveSettings, agent_file: AgentFile, load: Callable[[], Settings] | None
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        settings = live.now
        logs.configure(settings.logging.level, settings.logging.format)
        for warn in (_warn_about_logged_bodies, warn_insecure_settings):
            warn(settings)
            live.on_change(warn)
        async with open_process(live, agent_file, load) as app.state.process:
            yield

    return lifespan


def _warn_about_logged_bodies(settings: Settings) -> None:
    if settings.logging.include_body:
        log.warning(
            "api.bodies_logged",
            message="Request bodies are logged, including prompts",
            hint="set logging.include_body to false",
        )


def _tracing() -> list[Middleware]:
    if (tracer := tracing.active()) is None:
        return []
    from api.monitoring.request_trace import TracingMiddleware  # noqa: PLC0415

    return [Middleware(TracingMiddleware, tracer)]
