"""Titles: asked of a worker, awaited for a while, else made of the first message."""

import asyncio
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress

import structlog

from api.monitoring.tracing import enqueue_span
from shared.chat.messages import Message, TextPart
from shared.chat.titles import UNTITLED, GeneratedTitle, TitleStore, clean_title
from shared.limits.rate_limit import take_title
from shared.limits.rate_limit_status import RateLimitStatus
from shared.providers.names import resolve_requested_model
from shared.queue.commands import StopJob
from shared.queue.job import GENERATE_TITLE, GenerateTitle
from shared.queue.job_queue import JobQueue
from shared.redis import keys
from shared.redis.client import REDIS_UNAVAILABLE, Redis
from shared.redis.subscriber import Subscriber
from shared.settings.live_settings import LiveSettings

log = structlog.stdlib.get_logger()

#: What a title needs to know of a conversation: messages, and characters of each.
_MESSAGES = 6
_CHARS = 600
#: Longest wait for Redis when a title is given up.
_REDIS_SECONDS = 1.0


class TitleService:
    def __init__(
        self,
        redis: Redis,
        queue: JobQueue,
        board: TitleStore,
        subscriber: Subscriber,
        live: LiveSettings,
    ) -> None:
        self._redis = redis
        self._queue = queue
        self._board = board
        self._subscriber = subscriber
        self._live = live

    async def allow(self, owner: str) -> RateLimitStatus | None:
        """Count a title against its owner's rate; without Redis no model is asked, nor this.

        Raises:
            RateLimited: if the owner has asked for too many.
        """
        try:
            async with asyncio.timeout(_REDIS_SECONDS):
                return await take_title(self._redis, owner, self._live.now.limits)
        except (*REDIS_UNAVAILABLE, TimeoutError):
            return None

    async def make(
        self, messages: Sequence[Message], model: str | None, request_id: str
    ) -> tuple[str, bool]:
        """A title, and whether a model made it.

        Raises:
            InvalidRequest: if the model may not be named.
        """
        settings = self._live.now
        named = resolve_requested_model(settings, model)
        job = GenerateTitle(
            title_id=f"title_{secrets.token_urlsafe(15)}",
            request_id=request_id,
            model=named if model else settings.title.model or named,
            max_length=settings.title.max_length,
            excerpt=_excerpt(messages),
        )
        made = None
        if job.excerpt and not settings.openai.demo:
            made = await self._ask(job, settings.title.timeout_seconds)
        fallback = clean_title(_first_words(messages), settings.title.max_length) or UNTITLED
        return made or fallback, made is not None

    async def _ask(self, job: GenerateTitle, seconds: float) -> str | None:
        waiting = _Waiting()
        channel = keys.title(job.title_id)
        self._subscriber.add(channel, waiting)
        answer: GeneratedTitle | None = None
        try:
            async with asyncio.timeout(seconds):
                with enqueue_span(GENERATE_TITLE, job.title_id, keys.MAIN_QUEUE) as trace:
                    traced = job.model_copy(update={"trace": trace})
                    await self._queue.enqueue_title(traced, seconds=seconds)
                answer = await self._wait(job.title_id, waiting)
        except (*REDIS_UNAVAILABLE, TimeoutError) as error:
            log.warning("title.not_in_time", error=type(error).__name__)
        finally:
            self._subscriber.remove(channel, waiting)
            await asyncio.shield(self._tidy_up(job.title_id, made=answer is not None))
        return answer.title if answer else None

    async def _wait(self, title_id: str, waiting: "_Waiting") -> GeneratedTitle:
        """Hear of it; and look whether it is there each time that one may have missed it."""
        while True:
            await waiting.rung.wait()
            waiting.rung.clear()
            if waiting.heard is not None:
                return GeneratedTitle.model_validate_json(waiting.heard)
            if (found := await self._board.read(title_id)) is not None:
                return found

    async def _tidy_up(self, title_id: str, *, made: bool) -> None:
        """Nothing of it stays: not the excerpt, not the title, not a worker that goes on."""
        with suppress(*REDIS_UNAVAILABLE, TimeoutError):
            async with asyncio.timeout(_REDIS_SECONDS):
                if not made:
                    await self._queue.remove(title_id)
                    if worker_id := await self._queue.leased_by(title_id):
                        await self._queue.send_command(worker_id, StopJob(title_id))
                await self._board.delete(title_id)


class _Waiting:
    """Listens for one title."""

    def __init__(self) -> None:
        self.rung = asyncio.Event()
        self.heard: bytes | None = None

    def on_message(self, message: bytes) -> None:
        self.heard = message
        self.rung.set()

    def on_gap(self) -> None:
        self.rung.set()


def _excerpt(messages: Sequence[Message]) -> str:
    said = ((message.role, _text(message)) for message in messages[:_MESSAGES])
    return "\n".join(f"{role}: {text[:_CHARS]}" for role, text in said if text)


def _first_words(messages: Iterable[Message]) -> str:
    texts = (_text(message) for message in messages if message.role == "user")
    return next((text[:_CHARS] for text in texts if text), "")


def _text(message: Message) -> str:
    return "\n".join(part.text for part in message.parts if isinstance(part, TextPart)).strip()
