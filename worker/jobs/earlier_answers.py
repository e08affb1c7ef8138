"""Completes the history of a run that was sent while earlier runs of its chat were live.

The client that sent the request had received only a part of their answers, or none. When the run
starts, their streams contain the complete answers. Admission stores the ids of the live runs, so no
clock affects the selection.

A run that ended before the admission may still have been live when the client sent the request, so
the request may lack a part of its answer too. Such answers are completed from the newest to the
oldest, up to the first one that the request contains completely.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

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

#: How many of the newest ended runs are searched for one whose answer the request contains.
_MAX_ENDED = 20


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
        found = await self.runs.get_with_fields(job.run_id)
        if found is None:
            return CompletedHistory(job.messages)
        run, fields = found
        # Runs that an older version admitted lack the field, and count as admitted to an idle chat.
        waits_for = fields.get("waits_for", "").split()
        live = (await self.runs.get_many(waits_for)).values()
        messages = await self._with_ended(job.messages, run, live)
        start = run.admitted_at
        for earlier in live:
            if earlier.message_id != run.message_id:
                messages = with_answer(messages, earlier, await self._answer(earlier))
            start = max(start, earlier.ended_at or 0)
        return CompletedHistory(messages, (start - run.admitted_at) / 1000)

    async def _with_ended(
        self, messages: tuple[Message, ...], run: Run, live: Collection[Run]
    ) -> tuple[Message, ...]:
        """Complete the newest answers that had ended, up to the first one that the client has."""
        run_ids = await self.chats.runs(run.owner, run.chat_id)  # newest first
        before = run_ids[run_ids.index(run.id) + 1 :] if run.id in run_ids else []
        newer = [run, *live]
        waits_for = {earlier.id for earlier in live}
        ended = [run_id for run_id in before if run_id not in waits_for][:_MAX_ENDED]
        for earlier in (await self.runs.get_many(ended)).values():
            if not earlier.attempts:  # it has no answer, but may have been sent to replace one
                newer.append(earlier)
                continue
            if not _is_expected(messages, earlier, newer):
                continue
            answer = await self._answer(earlier)
            versions = [message for message in messages if _is_answer(message, earlier)]
            if versions and not any(_is_beginning(version, answer) for version in versions):
                break
            messages = with_answer(messages, earlier, answer)
            newer.append(earlier)
        return messages

    async def _answer(self, run: Run) -> Transcript:
        return await read_transcript(self.stream, run.id, continues=run.continues)


def with_answer(messages: tuple[Message, ...], run: Run, answer: Transcript) -> tuple[Message, ...]:
    """Return the messages with a run's whole answer after the user message that it answers.

    Without that message, the answer replaces the client's version of it, or is left out. It is also
    left out if the last message is the one that it answers: the client requests another answer.
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


def _is_expected(messages: Sequence[Message], run: Run, newer: Sequence[Run]) -> bool:
    """Return whether the messages have the answer of a run that has ended, or lack it.

    A newer run may have continued the answer, or replaced it by another answer to the same message.
    The client may store an answer under its own id.
    """
    if any(run.message_id == other.message_id for other in newer):
        return False
    if any(_is_answer(message, run) for message in messages):
        return True
    if any(run.answers == other.answers for other in newer):
        return False
    return any(
        message.id == run.answers and following.role != "assistant"
        for message, following in pairwise(messages)
    )


def _has_responses(versions: Sequence[Message], answer: Transcript) -> bool:
    """Return whether the client's versions of an answer have results of its pending calls."""
    pending = {call.id for call in answer.pending}
    parts = [part for version in versions for part in version.parts]
    return any(isinstance(part, ToolPart) and part.tool_call_id in pending for part in parts)


def _is_beginning(version: Message, answer: Transcript) -> bool:
    """Return whether a version of an answer has only the beginning of its text."""
    sent = "".join(part.text for part in version.parts if isinstance(part, TextPart))
    parts = [part for step in answer.steps for part in step.parts]
    whole = "".join(part.text for part in parts if isinstance(part, TranscriptText))
    return len(sent) < len(whole) and whole.startswith(sent)


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
