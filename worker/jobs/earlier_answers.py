"""Completes the history of a run that was sent while earlier runs of its chat were live.

Its client had only a part of their answers, or none. By the time the run starts, their streams hold
the whole answers. Answers that had ended long before the admission are taken from the request.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.chat.messages import Message, Part, ReasoningPart, StepStart, TextPart, ToolPart
from shared.queue.job import RunChat
from shared.runs.chat_index import ChatIndex
from shared.runs.run import Run
from shared.runs.store import RunStore
from shared.streams.event_stream import EventStream
from shared.streams.transcript import (
    Transcript,
    TranscriptPart,
    TranscriptReasoning,
    TranscriptText,
    TranscriptToolCall,
    read_transcript,
)

#: How long a request takes to arrive, with the repetitions of a client while the API or Redis is
#: unavailable: an answer that ended within this time before its admission may have been incomplete
#: when the client sent it.
_ARRIVAL_MS = 30_000
#: More runs than can have waited before this one, and have ended within `_ARRIVAL_MS`.
_MAX_EARLIER = 200


@dataclass(frozen=True, slots=True)
class CompletedHistory:
    messages: tuple[Message, ...]
    #: How long the run waited for those before it.
    seconds_behind_chat: float = 0.0


@dataclass(frozen=True, slots=True)
class EarlierAnswers:
    runs: RunStore
    chats: ChatIndex
    stream: EventStream

    async def complete(self, job: RunChat) -> CompletedHistory:
        """Return the messages of a job with the answers of the runs that were live before it."""
        run = await self.runs.get(job.run_id)
        if run is None:
            return CompletedHistory(job.messages)
        messages, start = job.messages, run.admitted_at
        for earlier in await self.live_before(run):
            if earlier.message_id == run.message_id:
                continue
            answer = await read_transcript(self.stream, earlier.id, continues=earlier.continues)
            messages = with_answer(messages, earlier, answer)
            start = max(start, earlier.ended_at or 0)
        return CompletedHistory(messages, (start - run.admitted_at) / 1000)

    async def live_before(self, run: Run) -> list[Run]:
        """Return the runs that were live when the request was sent, oldest first."""
        run_ids = await self.chats.runs(run.owner, run.chat_id)  # newest first
        before = run_ids[run_ids.index(run.id) + 1 :][:_MAX_EARLIER] if run.id in run_ids else []
        found = await self.runs.get_many([*reversed(before)])
        since = run.admitted_at - _ARRIVAL_MS
        return [r for r in found.values() if r.ended_at is None or r.ended_at >= since]


def with_answer(messages: tuple[Message, ...], run: Run, answer: Transcript) -> tuple[Message, ...]:
    """Return the messages with a run's whole answer after the user message that it answers.

    Without that message, the answer replaces the client's version of it, or is left out. It is also
    left out if the last message is the one that it answers: the client asks for another answer.
    """
    before = [index for index, message in enumerate(messages) if _is_answer(message, run)]
    # The client may have added results, which the stream has not; or the stream is not stored.
    if _has_responses([messages[index] for index in before], answer) or not answer.steps:
        return messages
    others = [message for message in messages if not _is_answer(message, run)]
    asked = [i for i, message in enumerate(others) if run.answers and message.id == run.answers]
    if (not asked and not before) or (asked and asked[-1] == len(others) - 1):
        return messages
    position = asked[-1] + 1 if asked else before[0]
    parts = _parts(answer)
    whole = [Message(id=run.message_id, role="assistant", parts=parts)] if parts else []
    return (*others[:position], *whole, *others[position:])


def _has_responses(versions: Sequence[Message], answer: Transcript) -> bool:
    """Return whether the client's versions of an answer have results of its pending calls."""
    pending = {call.id for call in answer.pending}
    parts = [part for version in versions for part in version.parts]
    return any(isinstance(part, ToolPart) and part.tool_call_id in pending for part in parts)


def _is_answer(message: Message, run: Run) -> bool:
    return message.role == "assistant" and message.id == run.message_id


def _parts(answer: Transcript) -> tuple[Part, ...]:
    """Return the parts that models accept; none if there is no text and no completed call."""
    parts: list[Part] = []
    for step in answer.steps:
        parts += [StepStart(), *_converted(step.parts)]
    is_empty = all(isinstance(part, StepStart | ReasoningPart) for part in parts)
    return () if is_empty else tuple(parts)


def _converted(parts: Sequence[TranscriptPart]) -> list[Part]:
    converted: list[Part] = []
    for part in parts:
        match part:
            case TranscriptText() if part.text:
                converted.append(TextPart(text=part.text, metadata=part.metadata))
            case TranscriptReasoning() if part.metadata:
                converted.append(ReasoningPart(text=part.text, metadata=part.metadata))
            case TranscriptToolCall() if part.completed:
                converted.append(_tool_part(part))
            case _:
                pass
    return converted


def _tool_part(call: TranscriptToolCall) -> ToolPart:
    return ToolPart(
        tool_call_id=call.id,
        tool_name=call.name,
        input=call.input,
        output=call.output,
        error_text=call.error,
        metadata=call.metadata,
    )
