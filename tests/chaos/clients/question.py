"""A question of a chat, and the only correct answer to it."""

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.chaos import counting_agent

Json = dict[str, Any]

#: How a client responds to a tool call. "none": the server's tool needs no response.
ResponseKind = Literal["none", "approve", "deny", "result"]

#: What the server does with a request if the chat has a live run.
WhenBusy = Literal["reject", "supersede", "queue"]

#: Occurs in every prompt and tool argument, and must not occur in any log.
PROMPT_CANARY = "prompt-canary"
#: Matches every piece of an answer, which must not occur in any log either.
ANSWER_CANARY = re.compile(r"\bc\d+q\d+w\d+\b")
_CLIENT_TOOL = "locate"
_TOOLS: dict[ResponseKind, str] = {
    "none": counting_agent.TOOL,
    "approve": counting_agent.GUARDED_TOOL,
    "deny": counting_agent.GUARDED_TOOL,
    "result": _CLIENT_TOOL,
}


@dataclass(frozen=True)
class Question:
    chat: str
    number: int
    #: Numbers of the words before and after the tool call, or of the whole answer only.
    words: tuple[int, ...]
    #: Seconds between two words.
    delay: float
    #: How the first model requests fail.
    failures: tuple[Json, ...] = field(default=())
    #: How the client responds to the tool call.
    response: ResponseKind = "none"

    @property
    def model(self) -> str:
        """The name of the model, which selects the script of the answer."""
        return f"{self.chat}-{self.number}"

    @property
    def prompt(self) -> str:
        return f"{PROMPT_CANARY} of question {self.number} in {self.chat}"

    @property
    def calls_tool(self) -> bool:
        return len(self.words) > 1

    @property
    def is_continued(self) -> bool:
        """Whether a second run continues the answer after the client's response to the call."""
        return self.response != "none"

    @property
    def call_id(self) -> str:
        return f"call-{self.model}-0"

    @property
    def label(self) -> str:
        """The argument of the tool call."""
        return f"{PROMPT_CANARY} in an argument"

    @property
    def result(self) -> str:
        """The result of the client's tool."""
        return f"{PROMPT_CANARY} in the result of {self.call_id}"

    @property
    def texts(self) -> list[str]:
        """The text of each run of the answer."""
        texts = ["".join(pieces) for pieces in self._pieces()]
        return texts if self.is_continued else ["".join(texts)]

    def script(self) -> list[list[Json]]:
        """The responses of the scripted upstream."""
        texts: list[list[Json]] = [[{"text": p, "delay": self.delay}] for p in self._pieces()]
        for response in texts[:-1]:
            response.append({"tool": self._call()})
        return texts

    def messages(self) -> list[Json]:
        """The user's message."""
        parts = [{"type": "text", "text": self.prompt}]
        return [{"id": f"u{self.number}", "role": "user", "parts": parts}]

    def body(self, messages: list[Json], when_busy: WhenBusy) -> Json:
        """The body of a request with these messages, which end with this question."""
        body: Json = {"id": self.chat, "messages": messages, "model": self.model, "sdkVersion": 6}
        if self.response == "result":
            body["clientTools"] = [{"name": _CLIENT_TOOL, "inputSchema": {"type": "object"}}]
        elif self.calls_tool:
            body["agent"] = counting_agent.NAME
        return body if when_busy == "reject" else {**body, "whenBusy": when_busy}

    def tool_part(self, state: str, *, output: Any = None) -> Json:
        """The part of the assistant's message for the tool call, in a state of the AI SDK."""
        part: Json = {
            "type": f"tool-{_TOOLS[self.response]}",
            "toolCallId": self.call_id,
            "state": state,
            "input": {"label": self.label},
        }
        if output is not None:
            part["output"] = output
        elif state != "input-available":
            is_answered = state != "approval-requested"
            decision = {"approved": self.response == "approve"} if is_answered else {}
            part["approval"] = {"id": f"approval-{self.call_id}", **decision}
        return part

    def response_part(self) -> Json:
        """The part with which the client responds to the tool call."""
        if self.response == "result":
            return self.tool_part("output-available", output=self.result)
        return self.tool_part("approval-responded")

    def pending_part(self) -> Json:
        """The part of the tool call while the client has not responded to it."""
        return self.tool_part(
            "input-available" if self.response == "result" else "approval-requested"
        )

    def _call(self) -> Json:
        return {
            "id": self.call_id,
            "name": _TOOLS[self.response],
            "arguments": f'{{"label": "{self.label}"}}',
            "pieces": 3,
        }

    def _pieces(self) -> list[list[str]]:
        chat, first = self.chat.removeprefix("chat-"), 0
        responses: list[list[str]] = []
        for count in self.words:
            numbers = range(first, first + count)
            responses.append([f"c{chat}q{self.number}w{n} " for n in numbers])
            first += count
        return responses
