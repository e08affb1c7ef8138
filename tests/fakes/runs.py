"""A run that nobody cares about but the test."""

from shared.runs import Run, new_run_id


def new_run(run_id: str | None = None) -> Run:
    return Run(
        id=run_id or new_run_id(),
        chat_id="chat-1",
        owner="owner-1",
        message_id="msg-1",
        agent="chat",
        model="gpt-4o",
        request_id="request-1",
    )
