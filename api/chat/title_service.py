"""Chat titles: requested from a worker, with the first message as the fallback."""

import asyncio
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress

import structlog

from api.auth.principal import Principal
from api.monitoring.tracing import enqueue_span
from shared.chat.messages import Message, TextPart
from shared.chat.title_text import title_of_question
from shared.chat.titles import UNTITLED, GeneratedTitle, TitleStore
from shared.limits.rate_limit import take_title
from shared.providers.names import resolve_requested_model
from shared.queue.commands import StopJob
from shared.queue.job import GENERATE_TITLE, GenerateTitle
from shared.queue.job_queue import JobQueue
from shared.rate_limit_status import RateLimitStatus
from shared.redis import keys
from shared.redis.client import REDIS_UNAVAILABLE, Redis
from shared.redis.subscriber import Subscriber
from shared.settings.live_settings import LiveSettings

log = structlog.stdlib.get_logger()

#: How many messages, and how many characters of each, the model receives.
_EXCERPT_MESSAGES = 6
_EXCERPT_CHARS = 600
#: Limits each use of Redis. Without Redis there are three, and then the fallback is sent.
_REDIS_SECONDS = 1.0


class TitleService:
    """Generates titles of chats. Use one per process."""

    def __init__(
        self,
        redis: Redis,
        queue: JobQueue,
        store: TitleStore,
        subscriber: Subscriber,
        live: LiveSettings,
    ) -> None:
        self._redis = redis
        self._queue = queue
        self._store = store
        self._subscriber = subscriber
        self._live = live

    async def check_rate_limit(self, owner: str) -> RateLimitStatus | None:
        """Count a title against its owner's rate limit.

        Returns None if there is no limit or Redis is unavailable.

        Raises:
            RateLimited: if the owner has reached the limit.
        """
        try:
            async with asyncio.timeout(_REDIS_SECONDS):
                return await take_title(self._redis, owner, self._live.now.limits)
        except (*REDIS_UNAVAILABLE, TimeoutError):
            return None

    async def generate(
        self, principal: Principal, messages: Sequence[Message], model: str | None, request_id: str
    ) -> tuple[str, bool]:
        """Return a title, and whether a model generated it.

        Raises:
            InvalidRequest: if the model is not allowed.
        """
        settings = self._live.now
        requested = resolve_requested_model(settings, model)
        job = GenerateTitle(
            title_id=f"title_{secrets.token_urlsafe(15)}",
            request_id=request_id,
            owner=principal.owner,
            plan=principal.plan,
            model=requested if model else settings.title.model or requested,
            max_length=settings.title.max_length,
            excerpt=_excerpt(messages),
        )
        title = None
        if job.excerpt and not settings.openai.demo:
            title = await self._request_title(job, settings.title.timeout_seconds)
        question = _first_user_text(messages)
        fallback = title_of_question(question, settings.title.max_length) or UNTITLED
        return title or fallback, title is not None

    async def _request_title(self, job: GenerateTitle, seconds: float) -> str | None:
        listener = _TitleListener()
        channel = keys.title(job.title_id)
        self._subscriber.add(channel, listener)
        generated: GeneratedTitle | None = None
        try:
            async with asyncio.timeout(seconds):
                with enqueue_span(GENERATE_TITLE, job.title_id, keys.MAIN_QUEUE) as trace:
                    traced = job.model_copy(update={"trace": trace})
                    async with asyncio.timeout(_REDIS_SECONDS):
                        await self._queue.enqueue_title(traced, job.owner, seconds=seconds)
                generated = await self._wait_for_title(job.title_id, listener)
        except (*REDIS_UNAVAILABLE, TimeoutError) as error:
            log.warning(
                "title.not_in_time",
                message="No title was generated in time; the first message is used instead",
                error=type(error).__name__,
            )
        finally:
            self._subscriber.remove(channel, listener)
            await asyncio.shield(self._clean_up(job.title_id, done=generated is not None))
        return generated.title if generated else None

    async def _wait_for_title(self, title_id: str, listener: "_TitleListener") -> GeneratedTitle:
        """Wait for the published title. After a gap in the subscription, read the stored one."""
        while True:
            await listener.wakeup.wait()
            listener.wakeup.clear()
            if listener.message is not None:
                return GeneratedTitle.model_validate_json(listener.message)
            if (stored := await self._store.read(title_id)) is not None:
                return stored

    async def _clean_up(self, title_id: str, *, done: bool) -> None:
        """Delete the title, and cancel its job if it is not done. Best effort."""
        with suppress(*REDIS_UNAVAILABLE, TimeoutError):
            async with asyncio.timeout(_REDIS_SECONDS):
                if not done:
                    await self._queue.remove(title_id)
                    if worker_id := await self._queue.leased_by(title_id):
                        await self._queue.send_command(worker_id, StopJob(title_id))
                await self._store.delete(title_id)


class _TitleListener:
    """Receives the title of one request."""

    def __init__(self) -> None:
        self.wakeup = asyncio.Event()
        self.message: bytes | None = None

    def on_message(self, message: bytes) -> None:
        self.message = message
        self.wakeup.set()

    def on_gap(self) -> None:
        self.wakeup.set()


def _excerpt(messages: Sequence[Message]) -> str:
    texts = ((message.role, _text(message)) for message in messages[:_EXCERPT_MESSAGES])
    return "\n".join(f"{role}: {text[:_EXCERPT_CHARS]}" for role, text in texts if text)


def _first_user_text(messages: Iterable[Message]) -> str:
    texts = (_text(message) for message in messages if message.role == "user")
    return next((text[:_EXCERPT_CHARS] for text in texts if text), "")


def _text(message: Message) -> str:
    return "\n".join(part.text for part in message.parts if isinstance(part, TextPart)).strip()
