"""The body of `PUT /scripts/{name}`: the responses of a model and their failures."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tests.support.upstream.quirks import Quirk
from tests.support.upstream.rules import Rule


class StrictModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ScriptedText(StrictModel):
    text: list[str]
    delay: float = 0.0


class ScriptedWords(StrictModel):
    """The text "w0 w1 w2 …", one chunk per word."""

    words: int
    delay: float = 0.0


class ScriptedReasoning(StrictModel):
    reasoning: list[str]
    delay: float = 0.0


class ScriptedToolCall(StrictModel):
    id: str
    name: str
    arguments: str
    pieces: int = Field(default=1, ge=1)
    #: Waits for a release, like `ScriptedWait`, after this many pieces.
    held_after: int | None = Field(default=None, ge=1)


class ScriptedTool(StrictModel):
    tool: ScriptedToolCall


class ScriptedSleep(StrictModel):
    sleep: float


class ScriptedWait(StrictModel):
    """Holds every request at this step until `POST /release/{name}`.

    The first release opens the script's first wait permanently, the second release the second
    wait, and so on. A release may come before, during or after the wait.
    """

    wait: Literal[True]


class ScriptedFinish(StrictModel):
    finish: str


class ScriptedFailure(StrictModel):
    """How one request fails."""

    ok: Literal[True] | None = None
    status: int | None = None
    headers: dict[str, str] = {}
    body: Any = None
    #: A response with status 200 and these bytes as its stream.
    raw: str | None = None
    cut_before_headers: bool = False
    silent_before_headers: bool = False
    cut_after: int | None = None
    silence_after: int | None = None
    #: Whether comments are sent during the silence.
    comments: bool = False


Action = (
    ScriptedText
    | ScriptedWords
    | ScriptedReasoning
    | ScriptedTool
    | ScriptedSleep
    | ScriptedWait
    | ScriptedFinish
)


class ResponseScript(StrictModel):
    #: One list of actions per model request of a run; the last one repeats.
    responses: list[list[Action]] = Field(min_length=1)
    failures: list[ScriptedFailure] = []
    quirks: list[Quirk] = []
    #: Requirements for requests; those that violate one receive status 400.
    rules: list[Rule] = []
