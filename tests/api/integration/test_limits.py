"""Rate limits, live run limits, queue depth and idempotency keys of `POST /chat`."""

import asyncio
import json
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest

from shared.redis import keys
from shared.redis.client import Redis
from shared.runs.store import RunStore
from shared.settings import RedisSettings, Settings
from tests.support.api_client import client_of
from tests.support.processes import Api, Valkey, start_all, stop_all
from tests.support.wait import until


@asynccontextmanager
async def open_apis(
    valkey: Valkey, count: int = 1, **limits: int
) -> AsyncGenerator[list[httpx.AsyncClient]]:
    """Start `count` API processes with these limits, and yield a client of each."""
    env = {f"MAMBA_LIMITS__{name.upper()}": str(value) for name, value in limits.items()}
    apis = [Api(valkey.url, env) for _ in range(count)]
    pool = httpx.Limits(max_connections=None)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(stop_all, *apis)
        await start_all(*apis)
        clients = [httpx.AsyncClient(base_url=api.url, timeout=20, limits=pool) for api in apis]
        yield [await stack.enter_async_context(client) for client in clients]


@asynccontextmanager
async def running_api(valkey: Valkey, env: dict[str, str]) -> AsyncGenerator[httpx.AsyncClient]:
    async with AsyncExitStack() as stack:
        api = Api(valkey.url, env)
        stack.push_async_callback(stop_all, api)
        await start_all(api)
        yield await stack.enter_async_context(httpx.AsyncClient(base_url=api.url, timeout=20))


@pytest.fixture(scope="module")
def unlimited_apis(valkey: Valkey) -> Generator[list[Api]]:
    apis = [Api(valkey.url), Api(valkey.url)]
    asyncio.run(start_all(*apis))
    yield apis
    asyncio.run(stop_all(*apis))


@pytest.fixture
async def clients(unlimited_apis: list[Api]) -> AsyncGenerator[list[httpx.AsyncClient]]:
    """The clients of two APIs without limits."""
    async with AsyncExitStack() as stack:
        clients = [httpx.AsyncClient(base_url=api.url, timeout=20) for api in unlimited_apis]
        yield [await stack.enter_async_context(client) for client in clients]


def body(**fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "Hi"}], **fields}


async def post(client: httpx.AsyncClient, key: str | None = None, **fields: Any) -> httpx.Response:
    """Return the response. A stream is closed after its headers."""
    headers = {"idempotency-key": key} if key is not None else {}
    async with client.stream("POST", "/chat", json=body(**fields), headers=headers) as response:
        if response.status_code != 200:
            await response.aread()
        return response


def problem(response: httpx.Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/problem+json"
    return response.json()


async def queue_length(redis: Redis) -> int:
    return await redis.execute_command("ZCARD", keys.QUEUE)


# Limits


async def test_responses_report_the_rate_limit(valkey: Valkey, redis: Redis) -> None:
    async with open_apis(valkey, requests_per_minute=2, burst=2) as [client]:
        first, second, third = [await post(client) for _ in range(3)]

    assert [r.status_code for r in (first, second, third)] == [200, 200, 429]
    assert {r.headers["ratelimit-policy"] for r in (first, second, third)} == {'"runs";q=2;w=60'}
    assert first.headers["ratelimit"] == '"runs";r=1;t=30'
    assert second.headers["ratelimit"].startswith('"runs";r=0;t=')
    wait = int(third.headers["retry-after"])
    assert 1 <= wait <= 30
    error = problem(third)
    assert error["code"] == "rate_limited"
    assert error["detail"] == (
        f"You can request at most 2 answers per minute. Try again in {wait} seconds."
    )
    assert await queue_length(redis) == 2


@pytest.mark.usefixtures("redis")
async def test_titles_have_a_separate_rate_limit(valkey: Valkey) -> None:
    """Titles do not count as runs, and runs do not count as titles."""

    async def request_title(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/title/generate", json={"message": "\n"})

    async with open_apis(valkey, count=2, requests_per_minute=2, burst=2) as [client, other]:
        first, second, third = [await request_title(each) for each in (client, other, client)]
        run = await post(client)

    assert [r.status_code for r in (first, second, third, run)] == [200, 200, 429, 200]
    assert first.headers["ratelimit-policy"] == '"titles";q=2;w=60'
    assert first.headers["ratelimit"] == '"titles";r=1;t=30'
    assert run.headers["ratelimit"] == '"runs";r=1;t=30'
    wait = int(third.headers["retry-after"])
    assert 1 <= wait <= 30
    assert third.headers["ratelimit"].startswith('"titles";r=0;t=')
    error = problem(third)
    assert (error["code"], error["detail"]) == (
        "rate_limited",
        f"You can request at most 2 titles per minute. Try again in {wait} seconds.",
    )


async def test_titles_are_unlimited_by_default(clients: list[httpx.AsyncClient]) -> None:
    responses = [
        await clients[0].post("/title/generate", json={"message": "\n"}) for _ in range(12)
    ]

    assert {response.status_code for response in responses} == {200}
    assert "ratelimit" not in responses[0].headers


async def test_request_is_accepted_after_waiting(valkey: Valkey, redis: Redis) -> None:
    async with open_apis(valkey, requests_per_minute=20, burst=1) as [client]:
        await post(client)
        rejected = await post(client)

        async def accepted() -> bool:
            return (await post(client)).status_code == 200

        await until(accepted)

    assert 1 <= int(rejected.headers["retry-after"]) <= 3
    assert await queue_length(redis) == 2


async def test_too_many_live_runs_are_rejected_until_one_ends(valkey: Valkey, redis: Redis) -> None:
    async with open_apis(valkey, live_runs=1) as [client]:
        first = await post(client, id="one")
        rejected = await post(client, id="two")
        await client.post("/chat/one/stop")
        repeated = await post(client, id="two")

    assert [r.status_code for r in (first, rejected, repeated)] == [200, 429, 200]
    assert problem(rejected)["code"] == "too_many_runs"
    assert rejected.headers["retry-after"] == "1"
    assert rejected.headers["ratelimit-policy"] == '"live-runs";q=1;qu="concurrent-requests"'
    assert rejected.headers["ratelimit"] == '"live-runs";r=0'
    assert "ratelimit" not in repeated.headers
    assert await queue_length(redis) == 1


async def test_full_queue_rejects_requests(valkey: Valkey, redis: Redis) -> None:
    async with open_apis(valkey, queue_depth=1) as [client]:
        await post(client)
        rejected = await post(client)

    assert rejected.status_code == 429
    assert problem(rejected)["code"] == "queue_full"
    assert rejected.headers["retry-after"] == "1"
    assert await queue_length(redis) == 1


async def test_open_streams_of_an_owner_are_limited(valkey: Valkey, redis: Redis) -> None:
    async with open_apis(valkey, streams=1) as [client]:
        async with client.stream("POST", "/chat", json=body(id="one")):
            rejected = [await client.get("/chat/one/stream"), await post(client, id="two")]

        async def accepted() -> bool:
            return (await post(client, id="two")).status_code == 200

        await until(accepted)

    assert [(r.status_code, problem(r)["code"]) for r in rejected] == [
        (429, "too_many_streams")
    ] * 2
    assert {r.headers["retry-after"] for r in rejected} == {"5"}
    assert await queue_length(redis) == 2


async def test_storage_of_an_owner_is_limited(valkey: Valkey, redis: Redis) -> None:
    entries = [{"name": name, "key": name * 40} for name in ("a", "b")]
    env = {
        "MAMBA_AUTH__MODE": "api_key",
        "MAMBA_AUTH__API_KEYS": json.dumps(entries),
        "MAMBA_LIMITS__OWNER_BYTES": "4000",
    }
    async with running_api(valkey, env) as client:
        statuses: dict[str, list[int]] = {}
        for name in ("a", "b"):
            client.headers["authorization"] = f"Bearer {name * 40}"
            responses = [await post(client, id=chat) for chat in ("one", "two")]
            statuses[name] = [response.status_code for response in responses]
            rejected = responses[1]

    assert statuses == {"a": [200, 429], "b": [200, 429]}
    assert problem(rejected)["code"] == "owner_storage_full"
    assert "at most 4,000 bytes are allowed. Delete chats" in problem(rejected)["detail"]
    assert rejected.headers["retry-after"] == "300"
    assert await queue_length(redis) == 2


async def test_storage_is_not_limited_without_owners(valkey: Valkey, redis: Redis) -> None:
    async with open_apis(valkey, owner_bytes=1) as [client]:
        assert [(await post(client)).status_code for _ in range(2)] == [200, 200]
    assert await queue_length(redis) == 2


async def test_run_in_progress_takes_precedence_over_limits(valkey: Valkey, redis: Redis) -> None:
    async with open_apis(valkey, requests_per_minute=1, burst=1, live_runs=1) as [client]:
        await post(client, id="one")
        rejected = await post(client, id="one")

    assert (rejected.status_code, problem(rejected)["code"]) == (409, "run_in_progress")
    assert await queue_length(redis) == 1


async def test_rejected_superseding_request_stops_nothing(valkey: Valkey, redis: Redis) -> None:
    async with open_apis(valkey, requests_per_minute=1, burst=1) as [client]:
        first = await post(client, id="one")
        rejected = await post(client, id="one", supersede=True)

    run = await redis.execute_command(
        "HMGET", keys.run(first.headers["x-run-id"]), "state", "stop_requests"
    )
    assert rejected.status_code == 429
    assert run == [b"queued", b"0"]


async def test_superseding_run_is_due_immediately(valkey: Valkey, redis: Redis) -> None:
    async with open_apis(valkey, live_runs=1) as [client]:
        first = await post(client, id="one")
        second = await post(client, id="one", supersede=True)

    assert await redis.execute_command("HGET", keys.run(first.headers["x-run-id"]), "state") == (
        b"cancelled"
    )
    name, score = await redis.execute_command("ZRANGE", keys.QUEUE, 0, -1, "WITHSCORES")
    seconds, _ = await redis.execute_command("TIME")
    assert name.decode() == second.headers["x-run-id"]
    assert float(score) < (int(seconds) + 1) * 1000


async def test_concurrent_superseding_requests_leave_one_live_run(
    clients: list[httpx.AsyncClient], redis: Redis
) -> None:
    posts = [post(client, id="one", supersede=True) for client in clients * 5]
    responses = await asyncio.gather(*posts)
    newest = await clients[0].post("/chat/one/stop")

    run_ids = {response.headers["x-run-id"] for response in responses}
    states = {await redis.execute_command("HGET", keys.run(run_id), "state") for run_id in run_ids}
    assert {response.status_code for response in responses} == {200}
    assert len(run_ids) == 10
    assert newest.json()["run_id"] in run_ids
    assert states == {b"cancelled"}
    assert await queue_length(redis) == 0


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"requests_per_minute": 1, "burst": 9}, "rate_limited"),
        ({"live_runs": 9}, "too_many_runs"),
        ({"queue_depth": 9}, "queue_full"),
    ],
    ids=["rate", "live runs", "queue depth"],
)
async def test_concurrent_requests_at_two_apis_respect_the_limit(
    valkey: Valkey, redis: Redis, limits: dict[str, int], code: str
) -> None:
    async with open_apis(valkey, 2, **limits) as clients:
        responses = await asyncio.gather(*(post(client) for client in clients * 25))

    rejected = [problem(response)["code"] for response in responses if response.status_code == 429]
    assert [response.status_code for response in responses].count(200) == 9
    assert rejected == [code] * 41
    assert await queue_length(redis) == 9
    assert len(await redis.execute_command("KEYS", keys.run("*"))) == 9


async def test_no_request_is_limited_by_default(
    clients: list[httpx.AsyncClient], redis: Redis
) -> None:
    client = clients[0]
    responses = [await post(client) for _ in range(30)]

    assert {response.status_code for response in responses} == {200}
    assert not any("ratelimit" in response.headers for response in responses)
    assert await queue_length(redis) == 30


# Idempotency keys


async def test_repeated_idempotency_key_returns_the_same_run(
    clients: list[httpx.AsyncClient], redis: Redis
) -> None:
    client, other = clients
    first = await post(client, "key-1")
    repeated = await post(other, "key-1")
    with_chat = await post(client, "key-2", id="one")
    repeated_with_chat = await post(other, "key-2", id="one")

    assert [r.status_code for r in (repeated, repeated_with_chat)] == [200, 200]
    for name in ("x-run-id", "x-chat-id"):
        assert repeated.headers[name] == first.headers[name]
        assert repeated_with_chat.headers[name] == with_chat.headers[name]
    assert await queue_length(redis) == 2


async def test_idempotency_key_of_an_ended_run_replays_the_stream(
    clients: list[httpx.AsyncClient], redis: Redis
) -> None:
    client = clients[0]
    first = await post(client, "key-1", id="one")
    await client.post("/chat/one/stop")
    headers = {"idempotency-key": "key-1"}
    repeated = await client.post("/chat", json=body(id="one"), headers=headers)

    assert repeated.headers["x-run-id"] == first.headers["x-run-id"]
    data = [line.removeprefix("data: ") for line in repeated.text.split("\n") if "data: " in line]
    types = [json.loads(line)["type"] for line in data[:-1]]
    assert types == ["start", "message-metadata", "abort"]
    assert data[-1] == "[DONE]"
    assert await queue_length(redis) == 0


async def test_repeated_request_whose_run_expires_returns_410(
    valkey: Valkey, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run expires after the admission has found it."""

    async def is_queued() -> bool:
        return await queue_length(redis) == 1

    async def get_nothing(*_: object) -> None:
        return None

    async with client_of(Settings(redis=RedisSettings(url=valkey.url))) as client:
        first = asyncio.create_task(post(client, "key-1"))
        await until(is_queued)
        first.cancel()
        monkeypatch.setattr(RunStore, "get", get_nothing)
        rejected = await post(client, "key-1")

    assert rejected.status_code == 410
    error = problem(rejected)
    assert (error["code"], error["field"]) == ("cursor_expired", "Idempotency-Key")
    assert error["detail"] == (
        "Idempotency-Key: The run of the first request is no longer stored. Send a new key."
    )


@pytest.mark.parametrize(
    ("fields", "others"),
    [({}, {"model": "another"}), ({"top_p": 0.1}, {"top_p": 0.9}), ({"topP": 0.1}, {"topP": 0.9})],
)
async def test_idempotency_key_with_another_body_is_rejected(
    clients: list[httpx.AsyncClient],
    redis: Redis,
    fields: dict[str, Any],
    others: dict[str, Any],
) -> None:
    client = clients[0]
    await post(client, "key-1", **fields)
    rejected = await post(client, "key-1", **others)

    assert rejected.status_code == 422
    assert problem(rejected)["code"] == "idempotency_mismatch"
    assert problem(rejected)["field"] == "Idempotency-Key"
    assert "new key" in problem(rejected)["detail"]
    assert await queue_length(redis) == 1


async def test_concurrent_requests_with_one_key_start_one_run(
    clients: list[httpx.AsyncClient], redis: Redis
) -> None:
    responses = await asyncio.gather(*(post(client, "key") for client in clients * 10))

    assert {response.status_code for response in responses} == {200}
    assert len({response.headers["x-run-id"] for response in responses}) == 1
    assert await queue_length(redis) == 1


@pytest.mark.parametrize("key", [b"", b"a" * 256, b"a\tb", b"\xc3\xa9"])
async def test_invalid_idempotency_key_is_rejected(
    clients: list[httpx.AsyncClient], redis: Redis, key: bytes
) -> None:
    client = clients[0]
    rejected = await client.post("/chat", json=body(), headers={b"idempotency-key": key})

    assert rejected.status_code == 422
    assert problem(rejected)["code"] == "invalid_request"
    assert problem(rejected)["field"] == "Idempotency-Key"
    assert await queue_length(redis) == 0
