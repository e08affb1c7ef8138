"""The server's endpoints: OpenAI's two, and four by which a test directs it."""

from dataclasses import asdict
from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tests.support.upstream.answer import ScriptedResponse
from tests.support.upstream.connection import reset
from tests.support.upstream.conversation import place
from tests.support.upstream.script import ResponseScript, ScriptedFailure
from tests.support.upstream.stage import Play, Received, Stage
from tests.support.upstream.turn import DivergedError


def create_app() -> Starlette:
    stage = Stage()

    async def models(_: Request) -> Response:
        entries = [
            {"id": name, "object": "model", "created": 0, "owned_by": "tests"}
            for name in stage.plays
        ]
        return JSONResponse({"object": "list", "data": entries})

    async def complete(request: Request) -> Response:
        received = stage.receive(await request.json(), request.headers)
        model = received.body["model"]
        play = stage.plays.get(model)
        response = _answer(request, received, play) if play else _unknown(model)
        if response.status_code >= 400:
            received.outcome = "refused"
        return response

    async def put_script(request: Request) -> Response:
        try:
            script = ResponseScript.model_validate_json(await request.body())
        except ValidationError as error:
            return _error(422, str(error))
        stage.plays[request.path_params["name"]] = Play(script)
        return Response(status_code=204)

    async def clear(_: Request) -> Response:
        stage.clear()
        return Response(status_code=204)

    async def requests(request: Request) -> Response:
        received = stage.requests.get(request.path_params["name"], [])
        return JSONResponse([asdict(one) for one in received])

    async def release(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in stage.plays:
            return _unknown(name)
        stage.plays[name].release()
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


class Hangup(Response):
    """No answer at all: the connection is reset before the headers."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await reset(Request(scope, receive, send))


class Silence(Response):
    """No answer at all: the connection stays open until the client gives it up."""

    def __init__(self, received: Received) -> None:
        super().__init__()
        self._received = received

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        while (await receive())["type"] != "http.disconnect":
            pass
        self._received.outcome = "client-closed"


def _answer(request: Request, received: Received, play: Play) -> Response:
    failure = play.failure()
    if failure.cut_before_headers:
        received.outcome = "cut"
        return Hangup()
    if failure.silent_before_headers:
        return Silence(received)
    if failure.raw is not None:
        received.outcome = "finished"
        return Response(failure.raw, media_type="text/event-stream")
    if failure.status:
        return _refusal(failure, failure.status)
    at = place(received.body["messages"])
    try:
        turn = play.turn(at.turn).after(at.partial)
    except DivergedError as error:
        return _error(500, str(error))
    return ScriptedResponse(request, received, turn, failure, play.quirks).response()


def _refusal(failure: ScriptedFailure, status: int) -> Response:
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
