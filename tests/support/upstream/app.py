"""The server's endpoints: two of OpenAI's API, and four that control the server."""

from dataclasses import asdict
from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tests.support.upstream.connection import reset
from tests.support.upstream.conversation import script_position
from tests.support.upstream.response_steps import DivergedError
from tests.support.upstream.rules import violated_rule
from tests.support.upstream.script import ResponseScript, ScriptedFailure
from tests.support.upstream.scripted_response import ScriptedResponse
from tests.support.upstream.server_state import ActiveScript, RequestRecord, ServerState


def create_app() -> Starlette:
    state = ServerState()

    async def models(_: Request) -> Response:
        entries = [
            {"id": name, "object": "model", "created": 0, "owned_by": "tests"}
            for name in state.scripts
        ]
        return JSONResponse({"object": "list", "data": entries})

    async def complete(request: Request) -> Response:
        return _complete(state, request, await request.json())

    async def put_script(request: Request) -> Response:
        try:
            script = ResponseScript.model_validate_json(await request.body())
        except ValidationError as error:
            return _error(422, str(error))
        state.scripts[request.path_params["name"]] = ActiveScript(script)
        return Response(status_code=204)

    async def clear(_: Request) -> Response:
        state.clear()
        return Response(status_code=204)

    async def requests(request: Request) -> Response:
        received = state.requests.get(request.path_params["name"], [])
        return JSONResponse([asdict(record) for record in received])

    async def release(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in state.scripts:
            return _unknown(name)
        state.scripts[name].release()
        return Response(status_code=204)

    return Starlette(
        routes=[
            Route("/v1/models", models),
            Route("/v1/chat/completions", complete, methods=["POST"]),
            Route("/scripts/{name:path}", put_script, methods=["PUT"]),
            Route("/scripts", clear, methods=["DELETE"]),
            Route("/requests/{name:path}", requests),
            Route("/release/{name:path}", release, methods=["POST"]),
        ]
    )


class ConnectionReset(Response):
    """Resets the connection before the headers."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await reset(Request(scope, receive, send))


class NoResponse(Response):
    """Keeps the connection open without headers until the client closes it."""

    def __init__(self, received: RequestRecord) -> None:
        super().__init__()
        self._received = received

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        while (await receive())["type"] != "http.disconnect":
            pass
        self._received.outcome = "client-closed"


def _complete(state: ServerState, request: Request, body: dict[str, Any]) -> Response:
    if "model" not in body:
        return _error(400, "you must provide a model parameter")
    received = state.receive(body, request.headers)
    script = state.scripts.get(body["model"])
    response = _checked_response(request, received, script) if script else _unknown(body["model"])
    if response.status_code >= 400:
        received.outcome = "refused"
    return response


def _checked_response(request: Request, received: RequestRecord, script: ActiveScript) -> Response:
    if (rule := violated_rule(received.body, script.rules)) is not None:
        return _error(400, f"The request violates the rule {rule}.")
    return _response(request, received, script)


def _response(request: Request, received: RequestRecord, script: ActiveScript) -> Response:
    failure = script.next_failure()
    if failure.cut_before_headers:
        received.outcome = "cut"
        return ConnectionReset()
    if failure.silent_before_headers:
        return NoResponse(received)
    if failure.raw is not None:
        received.outcome = "finished"
        return Response(failure.raw, media_type="text/event-stream")
    if failure.status:
        return _scripted_error(failure, failure.status)
    position = script_position(received.body["messages"])
    try:
        steps = script.response(position.index).after(position.partial)
    except DivergedError as error:
        return _error(500, str(error))
    return ScriptedResponse(request, received, steps, failure, script.quirks).response()


def _scripted_error(failure: ScriptedFailure, status: int) -> Response:
    if failure.body is None:
        return _error(status, f"scripted failure {status}", headers=failure.headers)
    if isinstance(failure.body, str):
        return Response(failure.body, status, failure.headers, media_type="text/html")
    return JSONResponse(failure.body, status, failure.headers)


def _unknown(model: str) -> Response:
    return _error(404, f"The model `{model}` does not exist", code="model_not_found")


def _error(
    status: int, message: str, code: str | None = None, headers: dict[str, str] | None = None
) -> Response:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    error: dict[str, Any] = {"message": message, "type": kind, "param": None, "code": code}
    return JSONResponse({"error": error}, status, headers)
