"""Tool responses to pending calls: finds the run that a request continues, and checks them.

The calls and their arguments are read from the streams of the chat's newest run and of the runs
that it continues. The request contributes only the tool responses. Tool results of the history
that need no run are in `history_repair.py`.
"""

from collections.abc import Sequence
from typing import NamedTuple

from api.chat.message import SubmittedToolResponse
from api.chat.request import ChatRequest
from shared.errors import InvalidRequest, ToolCallNotPending, ToolCallsExpired
from shared.limits.rate_limit import RunRate
from shared.runs.chat_index import ChatIndex
from shared.runs.finalize import NEVER_STARTED_CODES
from shared.runs.run import Run
from shared.runs.store import RunStore
from shared.streams.event_stream import EventStream
from shared.streams.page_reader import read_pages
from shared.streams.run_state import RunState
from shared.streams.tool_responses import ToolResponse
from shared.streams.transcript import Transcript, TranscriptToolCall


class Continuation(NamedTuple):
    """The run to continue, a tool response for each pending call, and the message's step count."""

    run: Run
    tool_responses: dict[str, ToolResponse]
    steps: int


class ContinuationResolver:
    """Finds the run that a request continues.

    A refused request counts against the owner's rate limit: it costs reading the streams.
    """

    def __init__(
        self, runs: RunStore, chats: ChatIndex, stream: EventStream, rate: RunRate
    ) -> None:
        self._runs = runs
        self._chats = chats
        self._stream = stream
        self._rate = rate

    async def resolve(self, owner: str, chat: ChatRequest) -> Continuation | None:
        """Return what a request continues; None if it responds to no tool call.

        Raises:
            ToolCallsExpired: if the calls of its tool responses are no longer stored.
            ToolCallNotPending: if a tool response belongs to a call that does not wait for one.
            InvalidRequest: if a pending call has no tool response.
            RateLimited: if the owner may not start a run.
        """
        try:
            return await self._resolve(owner, chat)
        except (ToolCallNotPending, ToolCallsExpired, InvalidRequest):
            await self._rate.count(owner)
            raise

    async def _resolve(self, owner: str, chat: ChatRequest) -> Continuation | None:
        if chat.messages[-1].role != "assistant":
            return None
        submitted = chat.tool_responses()
        from_client = _from_client(chat, submitted)
        run_id = await self._chats.newest_run(owner, chat.id) if chat.id else None
        run = await self._runs.get(run_id) if run_id else None
        if not from_client and (run is None or run.message_id != chat.continued_message_id):
            return None
        transcript = Transcript()
        if run is not None and _may_continue(run):
            await self._rate.check(owner)
            transcript = await self._read_message(run)
        if run is None or transcript is None:
            return _raise_if_any(from_client, ToolCallsExpired)
        if not transcript.pending:
            return _raise_if_any(from_client, ToolCallNotPending)
        responses = _match_pending_calls(transcript, submitted, chat.messages[-1].path)
        return Continuation(run, responses, len(transcript.steps))

    async def _read_message(self, run: Run) -> Transcript | None:
        """Return the transcript of the run's message; None if a part is no longer stored."""
        transcript = Transcript()
        for run_id in (*run.continues, run.id):
            if not await read_pages(self._stream, run_id, transcript.extend):
                return None
        transcript.join_deltas()
        return transcript


def _may_continue(run: Run) -> bool:
    """Return whether the pending calls of the run and its predecessors can still be executed.

    After a failed run that is certain only if no worker started it, because the stream does not
    record the start of an approved call. Closing such a run takes it over, which counts as the
    first attempt.
    """
    never_started = run.attempts == 1 and run.error in NEVER_STARTED_CODES
    return run.state is RunState.SUCCEEDED or never_started


def _from_client(
    chat: ChatRequest, submitted: Sequence[SubmittedToolResponse]
) -> list[SubmittedToolResponse]:
    """Return the responses that only a client can give. Others may be results of the server."""
    client_tools = {tool.name for tool in chat.client_tools or ()}
    return [s for s in submitted if s.response.approved is not None or s.tool_name in client_tools]


def _raise_if_any(
    responses: Sequence[SubmittedToolResponse], error: type[ToolCallNotPending | ToolCallsExpired]
) -> None:
    if responses:
        raise error(field=responses[0].field_path)


def _match_pending_calls(
    transcript: Transcript, submitted: Sequence[SubmittedToolResponse], field: str
) -> dict[str, ToolResponse]:
    """Return the response for each pending call; ignore results that the streams already hold."""
    pending = {call.id: call for call in transcript.pending}
    known = {part.id for part in transcript.parts if isinstance(part, TranscriptToolCall)}
    for item in submitted:
        is_decision = item.response.approved is not None
        if item.call_id not in pending and (is_decision or item.call_id not in known):
            raise ToolCallNotPending(field=item.field_path)
    responses = {item.call_id: item.response for item in submitted if item.call_id in pending}
    for call in pending.values():
        if call.id not in responses or not _fits(call, responses[call.id]):
            raise InvalidRequest(_missing_response(call, field), field=field)
    return responses


def _fits(call: TranscriptToolCall, response: ToolResponse) -> bool:
    return (call.approval_id is None) == (response.approved is None)


def _missing_response(call: TranscriptToolCall, field: str) -> str:
    kind = "a result" if call.approval_id is None else "an approval"
    return (
        f"{field}: Tool call {call.id!r} ({call.name!r}) waits for {kind}."
        " Respond to all pending calls in one request."
    )
