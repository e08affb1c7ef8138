"""Console routes accept only operators and the console's page; the page itself is public."""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any, NamedTuple, cast

import httpx
import pytest
from fastapi.routing import APIRoute

from api.app import create_app
from api.auth.public_routes import is_public_path
from api.console import page
from api.console import routes as routes_module
from shared.api_key import hash_of, new_api_key
from shared.redis import keys
from shared.redis.client import Redis
from shared.runs.run import Run
from shared.runs.store import RunStore
from shared.settings import Settings
from tests.support.processes import Api, Valkey, running
from tests.support.wait import until
from web.page import CONSOLE, SHARED_DIR, Project

USER, OPERATOR = new_api_key(), new_api_key()
ENV = {
    "MAMBA_AUTH__MODE": "api_key",
    "MAMBA_AUTH__API_KEYS": json.dumps(
        [
            {"name": "app", "hash": hash_of(USER)},
            {"name": "ops", "hash": hash_of(OPERATOR), "scopes": ["operator"]},
        ]
    ),
}
MESSAGE = "text of a user's message"
PATH_PARAMETERS = {"run_id": "r1", "worker_id": "w1", "name": "no.js", "what": "intake"}


class ConsoleRoute(NamedTuple):
    method: str
    path: str


def routes() -> list[ConsoleRoute]:
    """Return all console routes, so that a new route without protection fails these tests."""
    return [
        ConsoleRoute(method, route.path)
        for route in (*page.router.routes, *routes_module.router.routes)
        if isinstance(route, APIRoute)
        for method in cast("set[str]", route.methods)
    ]


PROTECTED = [route for route in routes() if not is_public_path(route.path)]


def key(value: str) -> dict[str, str]:
    return {"authorization": f"Bearer {value}"}


@pytest.fixture(scope="module", autouse=True)
def built() -> None:
    CONSOLE.build()


@pytest.fixture(scope="module")
def api(valkey: Valkey) -> Generator[Api]:
    with running(Api(valkey.url, ENV)) as process:
        yield process
        output = process.output
        assert "Traceback" not in output
        assert MESSAGE not in output
        assert OPERATOR not in output


@pytest.fixture
async def client(api: Api, redis: Redis) -> AsyncGenerator[httpx.AsyncClient]:  # noqa: ARG001
    async with httpx.AsyncClient(base_url=api.url, timeout=20) as client:
        yield client


async def send(
    client: httpx.AsyncClient, route: ConsoleRoute, headers: dict[str, str]
) -> tuple[int, dict[str, Any]]:
    """Return the status and the JSON body. The body of a stream is not read."""
    path = route.path.format_map(PATH_PARAMETERS)
    async with client.stream(route.method, path, headers=headers) as response:
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            return response.status_code, {}
        content = await response.aread()
    return response.status_code, json.loads(content) if content else {}


async def start_run(client: httpx.AsyncClient, chat: str = "c") -> str:
    """Start a run without workers, and return its id."""
    body = {"id": chat, "messages": [{"role": "user", "content": MESSAGE}]}
    async with client.stream("POST", "/chat", json=body, headers=key(USER)) as response:
        return response.headers["x-run-id"]


def test_only_the_page_and_its_assets_are_public() -> None:
    assert {path for _, path in routes()} - {path for _, path in PROTECTED} == {
        "/ops",
        "/ops/",
        "/ops/assets/{name}",
    }
    assert len(PROTECTED) == 10


@pytest.mark.parametrize("route", PROTECTED, ids=" ".join)
async def test_missing_key_or_scope_is_rejected(
    client: httpx.AsyncClient, route: ConsoleRoute
) -> None:
    status, problem = await send(client, route, {})
    assert (status, problem["code"]) == (401, "unauthenticated")

    for url in (route, ConsoleRoute("GET", "/ops/overview")):
        status, problem = await send(client, url, key(USER))
        assert (status, problem["code"]) == (403, "forbidden")
        assert "'operator'" in problem["detail"]


@pytest.mark.parametrize("route", PROTECTED, ids=" ".join)
async def test_request_from_another_page_is_rejected(
    client: httpx.AsyncClient, route: ConsoleRoute
) -> None:
    for site in ("cross-site", "same-site"):
        headers = {**key(OPERATOR), "sec-fetch-site": site, "origin": "http://localhost:3000"}
        status, problem = await send(client, route, headers)
        assert (status, problem["code"]) == (403, "forbidden")
        assert "/ops" in problem["detail"]


@pytest.mark.parametrize("route", PROTECTED, ids=" ".join)
async def test_operator_can_use_every_route(client: httpx.AsyncClient, route: ConsoleRoute) -> None:
    status, problem = await send(client, route, {**key(OPERATOR), "sec-fetch-site": "same-origin"})

    assert status in (200, 404)
    if status == 404:
        assert re.search("'r1'|'w1'", problem["detail"])


async def test_mode_none_rejects_other_pages_on_this_machine(
    valkey: Valkey,
    redis: Redis,  # noqa: ARG001
) -> None:
    api = Api(valkey.url).start()
    try:
        await api.ready()
        async with httpx.AsyncClient(base_url=api.url, timeout=30) as client:
            other_page = {"origin": "http://localhost:3000", "sec-fetch-site": "same-site"}
            other = await client.post("/ops/workers/w/drain", headers=other_page)
            rebound = await client.get("/ops/overview", headers={"host": "evil.example"})
            local = await client.get("/ops/overview")
    finally:
        await api.stop()

    assert (other.status_code, rebound.status_code, local.status_code) == (403, 403, 200)


async def test_page_and_assets_are_public_with_a_strict_policy(
    client: httpx.AsyncClient,
) -> None:
    shell = await client.get("/ops")
    files = re.findall(r'(?:src|href)="(ops/assets/[\w.-]+)"', shell.text)
    loaded = [await client.get(f"/{file}") for file in files]

    assert shell.headers["cache-control"] == "no-cache"
    assert "<script>" not in shell.text
    assert {file.rpartition(".")[2] for file in files} == {"js", "css", "svg"}
    for response in (shell, *loaded):
        assert response.status_code == 200
        assert response.headers["x-content-type-options"] == "nosniff"
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'self';")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        cached = {"if-none-match": response.headers["etag"]}
        assert (await client.get(response.url, headers=cached)).status_code == 304
    assert all("immutable" in response.headers["cache-control"] for response in loaded)


@pytest.mark.parametrize("name", ["no.js", "..%2findex.html", "../index.html", ".sources"])
async def test_other_files_are_not_served(client: httpx.AsyncClient, name: str) -> None:
    response = await client.get(f"/ops/assets/{name}")

    assert response.status_code in (401, 404)
    assert "<html" not in response.text


async def test_trailing_slash_redirects_below_a_path_prefix(client: httpx.AsyncClient) -> None:
    response = await client.get("/ops/")

    assert response.status_code == 308
    assert str(httpx.URL("http://h/prefix/ops/").join(response.headers["location"])) == (
        "http://h/prefix/ops"
    )


async def test_missing_build_returns_instructions(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(page, "BUILD_DIR", tmp_path / "none")
    transport = httpx.ASGITransport(create_app(Settings()))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        shell = await client.get("/ops")
        asset = await client.get("/ops/assets/main.js")
        docs = await client.get("/docs")

    assert (shell.status_code, asset.status_code, docs.status_code) == (404, 404, 200)
    assert "make console" in shell.text
    assert "mamba queue" in shell.text


def test_page_is_rebuilt_only_when_its_sources_change(tmp_path: Path) -> None:
    source, shared = tmp_path / "ops", tmp_path / "shared"
    shutil.copytree(CONSOLE.source, source, symlinks=True)
    shutil.copytree(SHARED_DIR, shared)
    project = Project(source, tmp_path / "built", (shared,))

    first, again = project.build(), project.build()
    (shared / "base.css").write_text("body { color: red }")
    changed = project.build()

    assert (first, again, changed) == (True, False, True)
    [style] = (tmp_path / "built" / "assets").glob("*.css")
    assert "red" in style.read_text()
    assert "MIT" in (tmp_path / "built" / "LICENSES.txt").read_text()


async def test_overview_lists_waiting_runs_without_messages(
    client: httpx.AsyncClient,
) -> None:
    run_id = await start_run(client)

    async def overview() -> httpx.Response | None:
        """Return the overview once it contains the run: snapshots are cached for a second."""
        response = await client.get("/ops/overview", headers=key(OPERATOR))
        return response if run_id in response.text else None

    response = await until(overview)
    assert response is not None
    assert response.headers["cache-control"] == "no-store"
    live = [(run["id"], run["state"]) for run in response.json()["live"]]
    assert live == [(run_id, "waiting")]
    assert "counters" not in response.text
    assert MESSAGE not in response.text
    assert "api_key:" not in response.text


async def test_snapshot_stream_repeats_until_the_process_exits(
    valkey: Valkey,
    redis: Redis,  # noqa: ARG001
) -> None:
    api = Api(valkey.url).start()
    await api.ready()
    snapshots: list[dict[str, Any]] = []
    stopping: asyncio.Task[int] | None = None
    async with (
        httpx.AsyncClient(base_url=api.url, timeout=20) as client,
        client.stream("GET", "/ops/stream") as response,
    ):
        async for line in response.aiter_lines():
            if line.startswith("data: ") and '"redis":' in line:
                snapshots.append(json.loads(line.removeprefix("data: ")))
            if len(snapshots) == 2 and stopping is None:
                stopping = asyncio.create_task(api.stop())

    assert stopping is not None
    assert await stopping == 0
    assert snapshots[0]["at"] < snapshots[1]["at"]
    assert snapshots[0]["redis"]["up"]


async def test_run_commands_are_logged_with_the_operator(
    client: httpx.AsyncClient, api: Api
) -> None:
    run_id = await start_run(client)
    described = (await client.get(f"/ops/runs/{run_id}", headers=key(OPERATOR))).json()
    following = client.stream("GET", f"/ops/runs/{run_id}/events", headers=key(OPERATOR))
    async with following as response:
        stopped = await client.post(f"/ops/runs/{run_id}/stop", headers=key(OPERATOR))
        body = await response.aread()
    again = await client.post(f"/ops/runs/{run_id}/stop", headers=key(OPERATOR))

    assert (described["state"], described["worker"]) == ("queued", None)
    assert stopped.json() == {"detail": f"Run {run_id} is cancelled."}
    assert body.endswith(b"data: [DONE]\n\n")
    assert (again.status_code, again.json()["code"]) == (409, "run_ended")
    lines = [json.loads(line) for line in api.output.splitlines() if '"ops.' in line]
    audited = {line["event"]: line for line in lines if line["run_id"] == run_id}
    assert set(audited) == {"ops.run_followed", "ops.run_stopped"}
    assert {line["operator"] for line in audited.values()} == {"api_key::ops"}


async def test_requeue_fails_if_the_run_is_held_or_its_job_gone(
    client: httpx.AsyncClient, redis: Redis
) -> None:
    run_id = await start_run(client)
    await redis.execute_command("ZADD", keys.QUEUE, 9e15, run_id)

    async def requeue(run_id: str) -> tuple[int, dict[str, Any]]:
        response = await client.post(f"/ops/runs/{run_id}/requeue", headers=key(OPERATOR))
        return response.status_code, response.json()

    due = await requeue(run_id)
    score = float(await redis.execute_command("ZSCORE", keys.QUEUE, run_id))
    await redis.execute_command("SET", keys.lease(run_id), "w1", "PX", 60_000)
    held = await requeue(run_id)
    await redis.execute_command("DEL", keys.lease(run_id), keys.job(run_id))
    gone = await requeue(run_id)

    assert due == (200, {"detail": f"Run {run_id} is due now in queue main."})
    assert score < 9e15
    assert (held[0], held[1]["code"]) == (409, "run_leased")
    assert "mamba worker drain w1" in held[1]["detail"]
    assert (gone[0], gone[1]["code"]) == (409, "job_missing")


async def test_moved_run_is_first_and_shows_the_operator(
    client: httpx.AsyncClient, api: Api, redis: Redis
) -> None:
    first, second = await start_run(client), await start_run(client, "d")

    moved = await client.post(f"/ops/runs/{second}/move-to-front", headers=key(OPERATOR))
    described = (await client.get(f"/ops/runs/{second}", headers=key(OPERATOR))).json()
    await redis.execute_command("ZADD", keys.QUEUE, 9e15, first)
    deferred = await client.post(f"/ops/runs/{first}/move-to-front", headers=key(OPERATOR))

    assert moved.json() == {"detail": f"Run {second} is now the first one in queue main."}
    assert described["moved_by"] == "api_key::ops"
    assert f'"run_id": "{second}"' in api.output
    assert '"ops.run_moved_to_front"' in api.output
    assert (deferred.status_code, deferred.json()["code"]) == (409, "run_deferred")


async def test_follow_with_an_invalid_cursor_returns_422(
    client: httpx.AsyncClient, redis: Redis
) -> None:
    names = ("chat_id", "owner", "message_id", "agent", "model", "request_id")
    run = Run(id="r2", **dict.fromkeys(names, "x"))
    await RunStore(redis, live_ttl=60).create(run)
    headers = {**key(OPERATOR), "last-event-id": "nonsense"}

    response = await client.get("/ops/runs/r2/events", headers=headers)

    assert (response.status_code, response.json()["field"]) == (422, "Last-Event-ID")
