"""The API's document (OpenAPI 3.1): what FastAPI makes of the routes, and what it cannot know.

A new route follows by itself: its function's name is its operation's id, `problems.responses(…)`
documents its refusals, and here every operation gets what all of them have: `500`, `x-request-id`,
and, unless it is public, what the gate asks and answers.
"""

from collections.abc import Iterator

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from api.auth.public_routes import add_security
from api.http.problems import Problem, responses
from api.openapi.component_schemas import Schema
from api.openapi.request_schema import request_schemas
from api.openapi.stream_schema import event_schemas

_TAGS = [
    {"name": "chat", "description": "Ask, follow the answer, stop it."},
    {"name": "titles", "description": "Name a chat."},
    {"name": "models", "description": "What can be asked."},
    {"name": "agents", "description": "Who can be asked."},
    {"name": "tools", "description": "What is called, and what it shows, as JSON Schemas."},
    {"name": "health", "description": "For the platform that keeps the processes."},
]
_SERVERS = [{"url": "/", "description": "This server"}]
_HEADERS: Schema = {
    "x-request-id": {
        "description": "The request's id: as it was sent, or made here. It is in the logs too.",
        "schema": {"type": "string"},
        "example": "req_6Jt0vXh1Qq2",
    },
    "x-run-id": {
        "description": "The id of the answer that is followed.",
        "schema": {"type": "string"},
        "example": "8vGQ2kZ1xkqkJwqfJ0yR",
    },
    "x-chat-id": {
        "description": "The chat's id, as it stands in the paths of its URLs.",
        "schema": {"type": "string"},
        "example": "trip",
    },
}


def operation_id(route: APIRoute) -> str:
    return route.name


def install(app: FastAPI) -> None:
    """Make the application's document the one of this file."""

    def document() -> Schema:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document


def _document(app: FastAPI) -> Schema:
    made = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=_TAGS,
        servers=_SERVERS,
        license_info={"name": "MIT", "identifier": "MIT"},
    )
    parts: Schema = made.setdefault("components", {})
    parts["headers"] = _HEADERS
    problem = {"Problem": Problem.model_json_schema()}
    schemas = {**parts.get("schemas", {}), **problem, **request_schemas(), **event_schemas()}
    parts["schemas"] = dict(sorted(schemas.items()))
    add_security(made)
    for operation in _operations(made):
        _complete(operation)
    return made


def _operations(document: Schema) -> Iterator[Schema]:
    for path in document["paths"].values():
        yield from path.values()


def _complete(operation: Schema) -> None:
    answers: Schema = operation["responses"]
    answers.update({str(status): text for status, text in responses(500).items()})
    operation["responses"] = dict(sorted(answers.items()))
    for answer in answers.values():
        named: Schema = answer.setdefault("headers", {})
        named["x-request-id"] = {"$ref": "#/components/headers/x-request-id"}
