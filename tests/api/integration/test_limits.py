"""Too much is refused at the API's edge, with headers that say when to come again."""

import asyncio
import json
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest

from shared.redis import keys
from shared.redis.client import Redis
from tests.support.processes import Api, Valkey, start_all, stop_all
from tests.support.wait import until


@asynccontextmanager
async def open_apis(
    valkey: Valkey, count: int = 1, **limits: int
) -> AsyncGenerator[list[httpx.AsyncClient]]:
    """A client of each of so many APIs that have these limits."""
    env = {f"MAMBA_LIMITS__{name.upper()}": str(value) for name, value in limits.items()}
    apis = [Api(valkey.url, env) for _ in range(count)]
    pool = httpx.Limits(max_connections=None)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(stop_all, *apis)
        await start_all(*apis)
        clients = [httpx.AsyncClient(base_url=a.url, timeout=20, limits=pool) for a in apis]
        yield [await stack.enter_async_context(client) for client in clients]


@pytest.fixture(scope="module")
def unlimited(valkey: Valkey) -> Generator[list[Api]]:
    apis = [Api(valkey.url), Api(valkey.url)]
    asyncio.run(start_all(*apis))
    yield apis
    asyncio.run(stop_all(*apis))


@pytest.fixture
async def clients(unlimited: list[Api]) -> AsyncGenerator[list[httpx.AsyncClient]]:
    """A client of each of two APIs without limits."""
    async with AsyncExitStack() as stack:
        clients = [httpx.AsyncClient(base_url=api.url, timeout=20) for api in unlimited]
        yield [await stack.enter_async_context(client) for client in clients]


def body(**more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "Hi"}], **more}


async def post(client: httpx.AsyncClient, key: str | None = None, **more: Any) -> httpx.Response:
    """The response; of a stream its headers alone."""
    headers = {"idempotency-key": key} if key is not None else {}
    async with client.stream("POST", "/chat", json=body(**more), headers=headers) as response:
        if response.status_code != 200:
            await response.aread()
        return response


def problem(response: httpx.Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/problem+json"
    return response.json()


async def queued(redis: Redis) -> int:
    return await redis.execute_command("ZCARD", keys.QUEUE)


# Refusals


async def test_the_rate_is_told_with_each_answer_and_with_the_refusal(
    valkey: Valkey, redis: Redis
) -> None:
    async with open_apis(valkey, requests_per_minute=2, burst=2) as [client]:
        first, second, third = [await post(client) for _ in range(3)]

    assert [r.status_code for r in (first, second, third)] == [200, 200, 429]
    assert {r.headers["ratelimit-policy"] for r in (first, second, third)} == {'"runs";q=2;w=60'}
    assert first.headers["ratelimit"] == '"runs";r=1;t=30'
    assert second.headers["ratelimit"].startswith('"runs";r=0;t=')
    wait = int(third.headers["retry-after"])
    assert 1 <= wait <= 30
    refusal = problem(third)
    assert refusal["code"] == "rate_limited"
    assert refusal["detail"] == (
        f"At most 2 answers a minute may be asked for. Try again in {wait} seconds."
    )
    assert await queued(redis) == 2


@pytest.mark.usefixtures("redis")
async def test_titles_have_a_rate_of_their_own(valkey: Valkey) -> None:
    """A chat that is named costs no answer, and an answer no title."""

    async def name(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/title/generate", json={"message": "\n"})

    async with open_apis(valkey, count=2, requests_per_minute=2, burst=2) as [client, other]:
        first, second, third = [await name(c) for c in (client, other, client)]
        run = await post(client)

    assert [r.status_code for r in (first, second, third, run)] == [200, 200, 429, 200]
    assert first.headers["ratelimit-policy"] == '"titles";q=2;w=60'
    assert first.headers["ratelimit"] == '"titles";r=1;t=30'
    assert run.headers["ratelimit"] == '"runs";r=1;t=30'
    wait = int(third.headers["retry-after"])
    assert 1 <= wait <= 30
    assert third.headers["ratelimit"].startswith('"titles";r=0;t=')
    refusal = problem(third)
    assert (refusal["code"], refusal["detail"]) == (
        "rate_limited",
        f"At most 2 titles a minute may be asked for. Try again in {wait} seconds.",
    )


async def test_without_a_rate_titles_are_not_counted(clients: list[httpx.AsyncClient]) -> None:
    named = [await clients[0].post("/title/generate", json={"message": "\n"}) for _ in range(12)]

    assert {response.status_code for response in named} == {200}
    assert "ratelimit" not in named[0].headers


async def test_a_refused_client_that_waits_as_told_is_let_in(valkey: Valkey, redis: Redis) -> None:
    async with open_apis(valkey, requests_per_minute=120, burst=1) as [client]:
        await post(client)
        refused = await post(client)

        async def let_in() -> bool:
            return (await post(client)).status_code == 200

        await until(let_in, seconds=5)

    assert refused.headers["retry-after"] == "1"
    assert await queued(redis) == 2


async def test_an_owner_with_too_many_live_runs_is_refused_until_one_ends(
    valkey: Valkey, redis: Redis
) -> None:
    async with open_apis(valkey, live_runs=1) as [client]:
        first = await post(client, id="one")
        refused = await post(client, id="two")
        await client.post("/chat/one/stop")
        again = await post(client, id="two")

    assert [r.status_code for r in (first, refused, again)] == [200, 429, 200]
    assert problem(refused)["code"] == "too_many_runs"
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["ratelimit-policy"] == '"live-runs";q=1;qu="concurrent-requests"'
    assert refused.headers["ratelimit"] == '"live-runs";r=0'
    assert "ratelimit" not in again.headers
    assert await queued(redis) == 1


async def test_a_full_queue_refuses_everybody(valkey: Valkey, redis: Redis) -> None:
    async with open_apis(valkey, queue_depth=1) as [client]:
        await post(client)
        refused = await post(client)

    assert refused.status_code == 429
    assert problem(refused)["code"] == "queue_full"
    assert refused.headers["retry-after"] == "1"
    assert await queued(redis) == 1


async def test_a_chat_that_is_being_answered_is_in_progress_before_it_is_too_much(
    valkey: Valkey, redis: Redis
) -> None:
    async with open_apis(valkey, requests_per_minute=1, burst=1, live_runs=1) as [client]:
        await post(client, id="one")
        refused = await post(client, id="one")

    assert (refused.status_code, problem(refused)["code"]) == (409, "run_in_progress")
    assert await queued(redis) == 1


async def test_a_superseding_question_that_is_refused_stops_nothing(
    valkey: Valkey, redis: Redis
) -> None:
    async with open_apis(valkey, requests_per_minute=1, burst=1) as [client]:
        first = await post(client, id="one")
        refused = await post(client, id="one", supersede=True)

    run = await redis.execute_command(
        "HMGET", keys.run(first.headers["x-run-id"]), "state", "cancel"
    )
    assert refused.status_code == 429
    assert run == [b"queued", b"0"]


async def test_a_superseding_question_is_due_once_the_other_has_ended(
    valkey: Valkey, redis: Redis
) -> None:
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


async def test_of_a_storm_of_superseding_questions_the_last_remains(
    clients: list[httpx.AsyncClient], redis: Redis
) -> None:
    posts = [post(client, id="one", supersede=True) for client in clients * 5]
    answers = await asyncio.gather(*posts)
    newest = await clients[0].post("/chat/one/stop")

    run_ids = {answer.headers["x-run-id"] for answer in answers}
    states = {await redis.execute_command("HGET", keys.run(run_id), "state") for run_id in run_ids}
    assert {answer.status_code for answer in answers} == {200}
    assert len(run_ids) == 10
    assert newest.json()["run_id"] in run_ids
    assert states == {b"cancelled"}
    assert await queued(redis) == 0


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"requests_per_minute": 1, "burst": 9}, "rate_limited"),
        ({"live_runs": 9}, "too_many_runs"),
        ({"queue_depth": 9}, "queue_full"),
    ],
    ids=["rate", "live runs", "depth"],
)
async def test_of_fifty_questions_at_two_apis_exactly_as_many_as_may_are_let_in(
    valkey: Valkey, redis: Redis, limits: dict[str, int], code: str
) -> None:
    async with open_apis(valkey, 2, **limits) as clients:
        answers = await asyncio.gather(*(post(client) for client in clients * 25))

    refused = [problem(answer)["code"] for answer in answers if answer.status_code == 429]
    assert [answer.status_code for answer in answers].count(200) == 9
    assert refused == [code] * 41
    assert await queued(redis) == 9
    assert len(await redis.execute_command("KEYS", keys.run("*"))) == 9


async def test_without_limits_nothing_is_refused_nor_told(
    clients: list[httpx.AsyncClient], redis: Redis
) -> None:
    client = clients[0]
    answers = [await post(client) for _ in range(30)]

    assert {answer.status_code for answer in answers} == {200}
    assert not any("ratelimit" in answer.headers for answer in answers)
    assert await queued(redis) == 30


# The same request again


async def test_a_request_that_is_sent_again_gets_the_same_answer(
    clients: list[httpx.AsyncClient], redis: Redis
) -> None:
    client, other = clients
    first = await post(client, "key-1")
    again = await post(other, "key-1")
    named = await post(client, "key-2", id="one")
    named_again = await post(other, "key-2", id="one")

    assert [r.status_code for r in (again, named_again)] == [200, 200]
    for name in ("x-run-id", "x-chat-id"):
        assert again.headers[name] == first.headers[name]
        assert named_again.headers[name] == named.headers[name]
    assert await queued(redis) == 2


async def test_a_request_that_is_sent_again_after_its_end_gets_the_whole_answer(
    clients: list[httpx.AsyncClient], redis: Redis
) -> None:
    client = clients[0]
    first = await post(client, "key-1", id="one")
    await client.post("/chat/one/stop")
    headers = {"idempotency-key": "key-1"}
    again = await client.post("/chat", json=body(id="one"), headers=headers)

    assert again.headers["x-run-id"] == first.headers["x-run-id"]
    data = [line.removeprefix("data: ") for line in again.text.split("\n") if "data: " in line]
    assert [json.loads(line)["type"] for line in data[:-1]] == ["start", "abort"]
    assert data[-1] == "[DONE]"
    assert await queued(redis) == 0


async def test_another_request_with_the_same_key_is_refused(
    clients: list[httpx.AsyncClient], redis: Redis
) -> None:
    client = clients[0]
    await post(client, "key-1")
    refused = await post(client, "key-1", model="another")

    assert refused.status_code == 422
    assert problem(refused)["code"] == "idempotency_mismatch"
    assert problem(refused)["field"] == "Idempotency-Key"
    assert "new key" in problem(refused)["detail"]
    assert await queued(redis) == 1


async def test_of_twenty_requests_with_one_key_at_two_apis_one_is_queued(
    clients: list[httpx.AsyncClient], redis: Redis
) -> None:
    answers = await asyncio.gather(*(post(client, "key") for client in clients * 10))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.headers["x-run-id"] for answer in answers}) == 1
    assert await queued(redis) == 1


@pytest.mark.parametrize("key", [b"", b"a" * 256, b"a\tb", b"\xc3\xa9"])
async def test_a_key_that_is_none_is_refused(
    clients: list[httpx.AsyncClient], redis: Redis, key: bytes
) -> None:
    client = clients[0]
    refused = await client.post("/chat", json=body(), headers={b"idempotency-key": key})

    assert refused.status_code == 422
    assert problem(refused)["code"] == "invalid_request"
    assert problem(refused)["field"] == "Idempotency-Key"
    assert await queued(redis) == 0
