"""What a test tells the server to answer, as it stands in `PUT /scripts/{name}`."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tests.support.upstream.quirks import Quirk


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ScriptedText(Strict):
    text: list[str]
    delay: float = 0.0


class Words(Strict):
    """The text "w0 w1 w2 …", one chunk a word."""

    words: int
    delay: float = 0.0


class ScriptedReasoning(Strict):
    reasoning: list[str]
    delay: float = 0.0


class ScriptedToolCall(Strict):
    id: str
    name: str
    arguments: str
    pieces: int = Field(default=1, ge=1)
    #: A wait, as `Wait` is one, after so many of them.
    held_after: int | None = Field(default=None, ge=1)


class ScriptedTool(Strict):
    tool: ScriptedToolCall


class Sleep(Strict):
    sleep: float


class Wait(Strict):
    """Holds every request that comes here until `POST /release/{name}`.

    The first release opens the script's first wait for good, the second its second, and so on:
    whether a release comes before, during or after the waiting does not matter.
    """

    wait: Literal[True]


class ScriptedFinish(Strict):
    finish: str


class ScriptedFailure(Strict):
    """What goes wrong with one request."""

    ok: Literal[True] | None = None
    status: int | None = None
    headers: dict[str, str] = {}
    body: Any = None
    #: An answer of status 200 with these bytes as its stream.
    raw: str | None = None
    cut_before_headers: bool = False
    silent_before_headers: bool = False
    cut_after: int | None = None
    silence_after: int | None = None
    #: What breaks the silence all the time, and says nothing.
    comments: bool = False


Action = ScriptedText | Words | ScriptedReasoning | ScriptedTool | Sleep | Wait | ScriptedFinish


class ResponseScript(Strict):
    turns: list[list[Action]] = Field(min_length=1)
    failures: list[ScriptedFailure] = []
    quirks: list[Quirk] = []
