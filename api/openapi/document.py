"""Completes the OpenAPI 3.1 document that FastAPI generates from the routes.

A route's function name is its operation id, and its `problems.responses(…)` document its errors.
This module adds to each operation: `500`, `x-request-id`, and authentication unless it is public.
"""

from collections.abc import Iterator

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from api.auth.public_routes import add_security
from api.http.problems import Problem, responses
from api.openapi.chat_events_schema import chat_event_schemas
from api.openapi.component_schemas import Schema
from api.openapi.request_schema import request_schemas
from api.openapi.stream_schema import event_schemas

_TAGS = [
    {"name": "chat", "description": "Send a message, follow the answer, stop it."},
    {"name": "titles", "description": "Generate a title for a chat."},
    {"name": "models", "description": "List the available models."},
    {"name": "agents", "description": "List the available agents."},
    {"name": "tools", "description": "List the tools with their JSON Schemas."},
    {"name": "usage", "description": "Read what you have used of your budgets."},
    {"name": "health", "description": "Health checks for the platform that runs the processes."},
]
#: Relative to the document's own URL, which may have a prefix that a proxy removes.
_SERVERS = [{"url": ".", "description": "This server"}]
_HEADERS: Schema = {
    "x-request-id": {
        "description": "The ID of the request, from the client or generated. Logs contain it.",
        "schema": {"type": "string"},
        "example": "req_6Jt0vXh1Qq2",
    },
    "x-run-id": {
        "description": "The ID of the run that the stream follows.",
        "schema": {"type": "string"},
        "example": "8vGQ2kZ1xkqkJwqfJ0yR",
    },
    "x-chat-id": {
        "description": "The ID of the chat, encoded as in its URLs.",
        "schema": {"type": "string"},
        "example": "trip",
    },
}


def operation_id(route: APIRoute) -> str:
    return route.name


def install(app: FastAPI) -> None:
    """Replace the application's OpenAPI document with the complete one."""

    def document() -> Schema:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document


def _document(app: FastAPI) -> Schema:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=_TAGS,
        servers=_SERVERS,
        license_info={"name": "MIT", "identifier": "MIT"},
    )
    parts: Schema = document.setdefault("components", {})
    parts["headers"] = _HEADERS
    problem = {"Problem": Problem.model_json_schema()}
    schemas = {**parts.get("schemas", {}), **problem, **request_schemas(), **event_schemas()}
    schemas |= chat_event_schemas()
    parts["schemas"] = dict(sorted(schemas.items()))
    add_security(document)
    for operation in _operations(document):
        _complete(operation)
    return document


def _operations(document: Schema) -> Iterator[Schema]:
    for path in document["paths"].values():
        yield from path.values()


def _complete(operation: Schema) -> None:
    by_status: Schema = operation["responses"]
    by_status.update({str(status): response for status, response in responses(500).items()})
    operation["responses"] = dict(sorted(by_status.items()))
    for response in by_status.values():
        headers: Schema = response.setdefault("headers", {})
        headers["x-request-id"] = {"$ref": "#/components/headers/x-request-id"}
