"""A request that answers the calls which a run ended with: the next run of the same message.

What was called, and with which arguments, is read from the logs of the chat's newest run and those
that it continues. Of the request only the answers count.
"""

from collections.abc import Sequence
from typing import NamedTuple

from api.chat.message import Claim
from api.chat.request import ChatRequest
from shared.errors import InvalidRequest, ToolCallNotPending, ToolCallsExpired
from shared.runs.chat_index import ChatIndex
from shared.runs.finalize import CLOSED_UNBEGUN
from shared.runs.run import Run, RunState
from shared.runs.store import RunStore
from shared.streams.event_stream import Entry, EventStream, read_all
from shared.streams.tool_responses import ToolResponse
from shared.streams.transcript import Transcript, TranscriptToolCall


class Continuation(NamedTuple):
    """The run to go on from, the calls' answers, and how many steps its message has by now."""

    run: Run
    answers: dict[str, ToolResponse]
    steps: int


class Continuations:
    def __init__(self, runs: RunStore, chats: ChatIndex, stream: EventStream) -> None:
        self._runs = runs
        self._chats = chats
        self._stream = stream

    async def of(self, owner: str, chat: ChatRequest) -> Continuation | None:
        """What a request goes on with; None if it answers no call.

        Raises:
            ToolCallsExpired: if nothing is known of the calls that it answers.
            ToolCallNotPending: if one of them does not wait for an answer.
            InvalidRequest: if a call that waits has no answer.
        """
        if chat.messages[-1].role != "assistant":
            return None
        claims = chat.claims()
        answers = _answers(chat, claims)
        run_id = await self._chats.newest_run(owner, chat.id) if chat.id else None
        run = await self._runs.get(run_id) if run_id else None
        if not answers and (run is None or run.message_id != chat.continued_message_id):
            return None
        logs = await self.logs(run) if run and _may_be_answered(run) else []
        if run is None or logs is None:
            return _nothing(answers, ToolCallsExpired)
        transcript = Transcript.of(logs)
        if not transcript.pending:
            return _nothing(answers, ToolCallNotPending)
        field = f"messages[{len(chat.messages) - 1}]"
        return Continuation(run, _checked(transcript, claims, field), len(transcript.steps))

    async def logs(self, run: Run, *, own: bool = True) -> list[Entry] | None:
        """What the runs of a message have said; None if the log of one is no longer kept."""
        entries: list[Entry] = []
        for run_id in (*run.continues, *([run.id] if own else [])):
            said = await read_all(self._stream, run_id)
            if not said:
                return None
            entries += said
        return entries


def _may_be_answered(run: Run) -> bool:
    """Whether the calls that wait in the run's log, or in those before it, are still to be made.

    Of a run that failed that is sure only if no worker ever began it: that an approved call was
    begun is not in the log. Whoever closed the run took it over, once.
    """
    unbegun = run.attempts == 1 and run.error in CLOSED_UNBEGUN
    return run.state is RunState.SUCCEEDED or unbegun


def _answers(chat: ChatRequest, claims: Sequence[Claim]) -> list[Claim]:
    """The claims that cannot be about what the server has done itself."""
    own = {tool.name for tool in chat.client_tools or ()}
    return [claim for claim in claims if claim.answer.approved is not None or claim.tool in own]


def _nothing(
    answers: Sequence[Claim], refusal: type[ToolCallNotPending | ToolCallsExpired]
) -> None:
    if answers:
        raise refusal(field=answers[0].place)


def _checked(
    transcript: Transcript, claims: Sequence[Claim], field: str
) -> dict[str, ToolResponse]:
    """The answers to all calls that wait. Results that the logs have already are passed over."""
    pending = {call.id: call for call in transcript.pending}
    known = {part.id for part in transcript.parts if isinstance(part, TranscriptToolCall)}
    for claim in claims:
        decides = claim.answer.approved is not None
        if claim.call_id not in pending and (decides or claim.call_id not in known):
            raise ToolCallNotPending(field=claim.place)
    given = {claim.call_id: claim.answer for claim in claims if claim.call_id in pending}
    for call in pending.values():
        if call.id not in given or not _fits(call, given[call.id]):
            raise InvalidRequest(_wanted(call, field), field=field)
    return given


def _fits(call: TranscriptToolCall, answer: ToolResponse) -> bool:
    return (call.approval_id is None) == (answer.approved is None)


def _wanted(call: TranscriptToolCall, field: str) -> str:
    what = "a result" if call.approval_id is None else "an approval"
    return f"{field}: The call {call.id!r} of {call.name!r} waits for {what}. Answer all calls."
