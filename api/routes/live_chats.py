"""`GET /chats`."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from api.auth.principal import Caller
from api.http import problems
from api.process import CurrentProcess
from shared.runs.run import Run
from shared.runs.run_list import LIVE_STATES, RunFilter
from shared.settings import Priority

router = APIRouter(tags=["chat"])

_MAX_CHATS = 1000
#: Runs that have just ended may still be in the index.
_MAX_SCANNED = 10 * _MAX_CHATS


class _Body(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, serialize_by_alias=True
    )


class LiveChat(_Body):
    """A chat whose answer is being written."""

    id: str = Field(examples=["trip"])
    run_id: str = Field(examples=["8vGQ2kZ1xkqkJwqfJ0yR"])
    message_id: str = Field(examples=["msg_8vGQ2kZ1xkqkJwqfJ0yR"])
    state: Literal["queued", "running"] = Field(description="The state of the run")
    agent: str = Field(examples=["chat"])
    priority: Priority = Field(description="The class of the run, as requested")
    created_at: datetime = Field(description="When the run was accepted")
    waiting: int = Field(description="How many runs wait for this run", examples=[0])


class LiveChats(_Body):
    chats: list[LiveChat] = Field(description="Newest run first")
    more: bool = Field(description=f"Whether there are more than these {_MAX_CHATS:,}")


@router.get("/chats", responses=problems.responses(422, 503))
async def list_chats(
    process: CurrentProcess,
    caller: Caller,
    state: Annotated[Literal["live"], Query(description="Which chats to list")],
) -> LiveChats:
    """List the caller's chats that have a live run."""
    del state  # its only value
    wanted = RunFilter(states=LIVE_STATES, owner=caller.owner)
    found = await process.runs.find((), wanted, limit=_MAX_CHATS, scan_limit=_MAX_SCANNED)
    by_chat: dict[str, list[Run]] = {}
    for run in sorted(found.runs, key=lambda run: run.admitted_at):
        by_chat.setdefault(run.chat_id, []).append(run)
    chats = [_chat(live, len(waiting)) for live, *waiting in by_chat.values()]
    newest_first = sorted(chats, key=lambda chat: chat.created_at, reverse=True)
    return LiveChats(chats=newest_first, more=found.more)


def _chat(run: Run, waiting: int) -> LiveChat:
    return LiveChat(
        id=run.chat_id,
        run_id=run.id,
        message_id=run.message_id,
        state="queued" if run.state == "queued" else "running",
        agent=run.agent,
        priority=run.priority,
        created_at=datetime.fromtimestamp(run.admitted_at / 1000, UTC),
        waiting=waiting,
    )
