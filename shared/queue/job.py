"""The jobs that the API puts on the queue for the workers.

API and worker share only these models. Jobs use arq's format, with JSON instead of pickle, so arq's
tools can read them.
"""

import time
from typing import Literal

from arq.jobs import serialize_job
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import from_json, to_json

from shared.agents.tools import ClientToolDefinition
from shared.chat.call_settings import CallSettings
from shared.chat.messages import Message
from shared.streams.tool_responses import ToolResponse

#: The kinds of job, stored with each job. They never change.
RUN_CHAT = "run_chat"
GENERATE_TITLE = "generate_title"


class RunChat(BaseModel):
    """The argument of `run_chat`. A new field needs a default; a changed field, a new version."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    run_id: str
    chat_id: str
    message_id: str
    request_id: str
    #: The owner of the run and the owner's plan, which select a budget.
    owner: str = ""
    plan: str | None = None
    agent: str
    model: str
    tools: tuple[str, ...] = ()
    #: The conversation. For a continued message, up to that message.
    messages: tuple[Message, ...]
    client_tools: tuple[ClientToolDefinition, ...] = ()
    #: Whether the run belongs to the class `background`, which may wait for hours.
    background: bool = False
    #: Whether answers of earlier runs may be missing in `messages`, or incomplete.
    completes_history: bool = False
    #: Whether the client can ask its user to approve a tool call.
    approvals: bool = False
    settings: CallSettings = CallSettings()
    #: The runs that produced the message so far, oldest first.
    continues: tuple[str, ...] = ()
    #: The client's tool responses to the last of these runs, by tool call id.
    tool_responses: dict[str, ToolResponse] = Field(default_factory=dict[str, ToolResponse])
    #: The W3C trace context headers of the request, if it is traced.
    trace: dict[str, str] = Field(default_factory=dict[str, str])


class GenerateTitle(BaseModel):
    """The argument of `generate_title`. The job expires when the API stops waiting for it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    title_id: str
    request_id: str
    #: As in `RunChat`.
    owner: str = ""
    plan: str | None = None
    model: str
    max_length: int
    #: The beginning of the conversation.
    excerpt: str
    trace: dict[str, str] = Field(default_factory=dict[str, str])


dump_job = to_json
load_job = from_json


def encode_job(job: RunChat | GenerateTitle) -> bytes:
    """Return the job as arq stores it."""
    now_ms = time.time_ns() // 1_000_000
    kind = RUN_CHAT if isinstance(job, RunChat) else GENERATE_TITLE
    args = (job.model_dump(mode="json"),)
    return serialize_job(kind, args, {}, None, now_ms, serializer=dump_job)
