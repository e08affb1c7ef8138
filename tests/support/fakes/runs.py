"""Runs and jobs with arbitrary values."""

from shared.chat.messages import Message, TextPart
from shared.queue.job import RunChat
from shared.runs.run import Run, new_run_id


def new_run(run_id: str | None = None, *, owner: str = "owner-1", chat_id: str = "chat-1") -> Run:
    return Run(
        id=run_id or new_run_id(),
        chat_id=chat_id,
        owner=owner,
        message_id="msg-1",
        agent="chat",
        model="gpt-4o",
        request_id="request-1",
    )


def job_of(run: Run, *, text: str = "Hello") -> RunChat:
    return RunChat(
        run_id=run.id,
        chat_id=run.chat_id,
        message_id=run.message_id,
        request_id=run.request_id,
        agent=run.agent,
        model=run.model,
        messages=(Message(role="user", parts=(TextPart(text=text),)),),
    )
