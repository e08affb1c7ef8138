"""The API's document (OpenAPI 3.1): what FastAPI makes of the routes, and what it cannot know.

A new route follows by itself: its function's name is its operation's id, `problems.responses(…)`
documents its refusals, and here every operation gets what all of them have: `500`, `x-request-id`.
"""

from collections.abc import Iterator
from typing import Any, cast

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from api.chat_request import ChatRequest
from api.problems import Problem, responses
from shared.events import StreamEvent

Schema = dict[str, Any]

_REF = "#/components/schemas/"
_TAGS = [
    {"name": "chat", "description": "Ask, follow the answer, stop it."},
    {"name": "models", "description": "What can be asked."},
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
_SSE_EXAMPLE = (
    ": stream-open\n\n"
    'id: 1-1@8vGQ2kZ1xkqkJwqfJ0yR\ndata: {"type":"start","messageId":"msg_8vGQ2kZ1"}\n\n'
    'id: 1-2@8vGQ2kZ1xkqkJwqfJ0yR\ndata: {"type":"start-step"}\n\n'
    'id: 1-3@8vGQ2kZ1xkqkJwqfJ0yR\ndata: {"type":"text-start","id":"t1"}\n\n'
    'id: 1-4@8vGQ2kZ1xkqkJwqfJ0yR\ndata: {"type":"text-delta","id":"t1","delta":"Hello!"}\n\n'
    'id: 1-5@8vGQ2kZ1xkqkJwqfJ0yR\ndata: {"type":"text-end","id":"t1"}\n\n'
    'id: 1-6@8vGQ2kZ1xkqkJwqfJ0yR\ndata: {"type":"finish-step"}\n\n'
    'id: 1-7@8vGQ2kZ1xkqkJwqfJ0yR\ndata: {"type":"finish","finishReason":"stop"}\n\n'
    "id: 1-8@8vGQ2kZ1xkqkJwqfJ0yR\ndata: [DONE]\n\n"
)


def reference(name: str) -> Schema:
    """A pointer to one of the document's schemas."""
    return {"$ref": f"{_REF}{name}"}


#: One server-sent event. The key is of OpenAPI 3.2; readers of 3.1 leave it out.
_ITEM: Schema = {
    "type": "object",
    "required": ["data"],
    "properties": {
        "id": {"type": "string", "description": "The cursor", "examples": ["1-57@9f3kq0Zr7"]},
        "data": {
            "anyOf": [
                {"const": "[DONE]"},
                {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "contentSchema": reference("StreamEvent"),
                },
            ]
        },
    },
}

#: A `200` that streams an answer.
STREAM: dict[int | str, Schema] = {
    200: {
        "description": (
            "The answer, as the AI SDK's UI message stream: each event's `data` is a"
            " `StreamEvent`, and the last one is `[DONE]`; its `id` is the cursor to come back with"
            " in `Last-Event-ID`. Comments are heartbeats."
        ),
        "headers": {
            name: {"$ref": f"#/components/headers/{name}"} for name in ("x-run-id", "x-chat-id")
        },
        "content": {
            "text/event-stream": {
                "itemSchema": _ITEM,
                "example": _SSE_EXAMPLE,
            }
        },
    }
}

#: The `type` of each part of a message, which its model is chosen by and does not hold.
_PART_TYPES: Schema = {
    "_Text": {"const": "text"},
    "_Reasoning": {"const": "reasoning"},
    "_File": {"const": "file"},
    "_StepStart": {"const": "step-start"},
    "_Unknown": {"type": "string", "description": "Of a newer client: left out"},
}

#: The body that a route reads by itself, for its `openapi_extra`.
CHAT_BODY: Schema = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": reference("ChatRequest"),
                "examples": {
                    "plain": {
                        "summary": "Plain messages",
                        "value": {"messages": [{"role": "user", "content": "Hello"}]},
                    },
                    "ui": {
                        "summary": "What useChat sends",
                        "value": {
                            "id": "trip",
                            "trigger": "submit-message",
                            "messages": [
                                {
                                    "id": "m1",
                                    "role": "user",
                                    "parts": [{"type": "text", "text": "Hello"}],
                                }
                            ],
                        },
                    },
                    "tools": {
                        "summary": "With a display tool, of a model by name",
                        "value": {
                            "model": "openai/gpt-4o",
                            "tools": ["generateChart"],
                            "messages": [{"role": "user", "content": "Draw last year's rain"}],
                        },
                    },
                },
            }
        },
    }
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
    components: Schema = made.setdefault("components", {})
    components["headers"] = _HEADERS
    schemas: Schema = components.setdefault("schemas", {})
    for added in (_problem(), _request(), _events()):
        schemas.update(added)
    components["schemas"] = dict(sorted(schemas.items()))
    for operation in _operations(made):
        _complete(operation)
    return made


def _operations(document: Schema) -> Iterator[Schema]:
    for path in document["paths"].values():
        yield from path.values()


def _complete(operation: Schema) -> None:
    answers: Schema = operation["responses"]
    answers.update({str(status): text for status, text in responses(500).items()})
    for answer in answers.values():
        named: Schema = answer.setdefault("headers", {})
        named["x-request-id"] = {"$ref": "#/components/headers/x-request-id"}


def _problem() -> Schema:
    return {"Problem": Problem.model_json_schema()}


def _request() -> Schema:
    """The request's models, whose private names say nothing outside: `_Text` is `MessageText`."""
    schema = ChatRequest.model_json_schema(by_alias=True, ref_template=f"{_REF}{{model}}")
    parts: Schema = schema.pop("$defs", {})
    for name, kind in parts.items():
        if name in _PART_TYPES:
            kind["properties"] = {"type": _PART_TYPES[name], **kind["properties"]}
            kind["required"] = sorted({"type", *kind.get("required", ())})
    renamed = {name: f"Message{name.lstrip('_')}" for name in parts if name.startswith("_")}
    return {"ChatRequest": _rewritten(schema, renamed), **_named(parts, renamed)}


def _events() -> Schema:
    """The union of the events, each a schema of its own: `TextDelta` is `TextDeltaEvent`."""
    adapter: TypeAdapter[StreamEvent] = TypeAdapter(StreamEvent)
    union = adapter.json_schema(by_alias=True, ref_template=f"{_REF}{{model}}")
    kinds: Schema = union.pop("$defs")
    for kind in kinds.values():
        kind["required"] = sorted({"type", *kind.get("required", ())})
    kinds["Data"]["properties"]["type"]["pattern"] = "^data-"
    renamed = {name: f"{name}Event" for name in kinds}
    return {"StreamEvent": _rewritten(union, renamed), **_named(kinds, renamed)}


def _named(schemas: Schema, renamed: dict[str, str]) -> Schema:
    return {
        renamed.get(name, name): {**_rewritten(schema, renamed), "title": renamed.get(name, name)}
        for name, schema in schemas.items()
    }


def _rewritten(schema: object, renamed: dict[str, str]) -> Any:  # noqa: ANN401  (any JSON)
    """With the new names; and "any of" for "one of": some kinds of parts are open, so more fit."""
    if isinstance(schema, list):
        return [_rewritten(item, renamed) for item in cast("list[object]", schema)]
    if not isinstance(schema, dict):
        return schema
    fields = cast("Schema", schema)
    made: Schema = {}
    for key, value in fields.items():
        if key == "$ref":
            name = str(value).removeprefix(_REF)
            made[key] = f"{_REF}{renamed.get(name, name)}"
        elif key != "discriminator":
            made["anyOf" if key == "oneOf" else key] = _rewritten(value, renamed)
    return made
