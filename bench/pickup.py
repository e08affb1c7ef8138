"""Measures the time from admission until a follower receives the first event of the run."""

import time

from bench.measurements import SHORT_WORDS, percentile
from bench.servers import open_mamba, open_upstream
from bench.table import Row, single
from bench.upstream import model_name
from shared.chat.messages import Message, TextPart
from shared.queue.job import RunChat
from shared.redis.client import connect
from shared.redis.subscriber import Subscriber
from shared.runs.admission import Admission
from shared.runs.run import Run, new_run_id
from shared.settings import LimitSettings
from shared.streams.event_stream import RedisEventStream
from shared.streams.follow import FollowerFactory

RUNS = 200
_TTL = 60.0


async def pickup() -> list[Row]:
    """The worker is idle before each run."""
    async with open_upstream() as upstream, open_mamba(upstream) as mamba:
        times = await _measure(mamba.valkey.url)
    return [
        single(
            f"first event of a run on an idle worker, {name}", percentile(times, share), unit="ms"
        )
        for name, share in (("p50", 0.5), ("p99", 0.99))
    ]


async def _measure(redis_url: str) -> list[float]:
    """Return the sorted times in milliseconds."""
    redis = connect(redis_url, name="bench", max_connections=4)
    stream = RedisEventStream(redis, live_ttl=_TTL, retention=_TTL)
    admission = Admission(redis, live_ttl=_TTL)
    async with Subscriber(redis_url, name="bench") as subscriber:
        followers = FollowerFactory(stream, subscriber, max_bytes=1_000_000)
        times = [await _once(admission, followers) * 1000 for _ in range(RUNS)]
    await redis.aclose()
    return sorted(times)


async def _once(admission: Admission, followers: FollowerFactory) -> float:
    run = Run(
        id=new_run_id(),
        chat_id=new_run_id(),
        owner="bench",
        message_id="m",
        agent="chat",
        model=model_name(SHORT_WORDS),
        request_id="bench",
    )
    job = RunChat(
        run_id=run.id,
        chat_id=run.chat_id,
        message_id=run.message_id,
        request_id=run.request_id,
        agent=run.agent,
        model=run.model,
        messages=(Message(role="user", parts=(TextPart(text="Go"),)),),
    )
    with followers.follow(run.id) as follower:
        start = time.perf_counter()
        await admission.admit(run, job, LimitSettings())
        while not (entries := await follower.read()):
            pass
        picked_up = time.perf_counter() - start
        while not entries or not entries[-1].is_last:
            entries = await follower.read()
    return picked_up
