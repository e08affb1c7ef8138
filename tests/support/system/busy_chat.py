"""A chat on Redis whose messages wait for its live run, with the answers that its worker writes."""

from shared.chat.messages import Message, TextPart
from shared.redis.client import Redis
from shared.runs.stores import Stores
from shared.settings import LimitSettings
from shared.streams.event_stream import Append, Closure
from shared.streams.events import DONE, FinishStep, StartStep, TextDelta, TextEnd, TextStart
from shared.streams.run_state import RunState
from tests.support.fakes.runs import job_of, new_run
from worker.jobs.earlier_answers import EarlierAnswers

#: Long enough to survive a clock that jumps by an hour.
_TTL = 86_400


def question(number: int) -> Message:
    return Message(id=f"u{number}", role="user", parts=(TextPart(text=f"Question {number}"),))


def version(number: int, text: str) -> Message:
    """Return the client's version of an answer."""
    return Message(id=f"a{number}", role="assistant", parts=(TextPart(text=text),))


class BusyChat:
    """Run `n` answers the message `un` with the message `an`: `Hello world`."""

    def __init__(self, redis: Redis) -> None:
        self._stores = Stores(redis, redis, live_ttl=_TTL, retention=_TTL)
        self._attempts: dict[int, int] = {}

    async def send(self, number: int, *, answers: int | None = None) -> None:
        """Send the message with this number, or ask for another answer to an earlier one."""
        run = new_run(f"run-{number}").model_copy(
            update={"message_id": f"a{number}", "answers": f"u{answers or number}"}
        )
        await self._stores.admission.admit(
            run, job_of(run), LimitSettings(), when_busy="queue", max_waiting=5
        )

    async def begin(self, number: int) -> None:
        run_id = f"run-{number}"
        attempt = (await self._stores.stream.take_over(run_id)).attempt
        self._attempts[number] = attempt
        events = [StartStep(), TextStart(id="t"), TextDelta(id="t", delta="Hello")]
        written = [event.encode() for event in events]
        await self._stores.stream.append(Append(run_id, attempt, 1, written))

    async def end(self, number: int) -> None:
        run_id = f"run-{number}"
        events = [TextDelta(id="t", delta=" world"), TextEnd(id="t"), FinishStep()]
        written = [*(event.encode() for event in events), DONE]
        closure = Closure(RunState.SUCCEEDED)
        await self._stores.stream.append(
            Append(run_id, self._attempts[number], 4, written, closure)
        )

    async def history(self, number: int, *messages: Message) -> list[str]:
        """Return the texts of the history with which a worker starts a run that sent these."""
        run = await self._stores.runs.get(f"run-{number}")
        assert run
        earlier = EarlierAnswers(self._stores.runs, self._stores.chats, self._stores.stream)
        completed = await earlier.complete(job_of(run).model_copy(update={"messages": messages}))
        return [
            "".join(part.text for part in message.parts if isinstance(part, TextPart))
            for message in completed.messages
        ]
