"""A question of a chat, and the only correct answer to it."""

import re
from dataclasses import dataclass, field
from typing import Any

from tests.chaos import counting_agent

Json = dict[str, Any]

#: Occurs in every prompt and tool argument, and must not occur in any log.
PROMPT_CANARY = "prompt-canary"
#: Matches every piece of an answer, which must not occur in any log either.
ANSWER_CANARY = re.compile(r"\bc\d+q\d+w\d+\b")


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
    def canonical(self) -> str:
        """The text of the whole answer."""
        return "".join("".join(pieces) for pieces in self._pieces())

    def script(self) -> list[list[Json]]:
        """The responses of the scripted upstream."""
        texts: list[list[Json]] = [[{"text": p, "delay": self.delay}] for p in self._pieces()]
        for number, response in enumerate(texts[:-1]):
            response.append({"tool": self._call(number)})
        return texts

    def messages(self) -> list[Json]:
        """The user's message."""
        parts = [{"type": "text", "text": self.prompt}]
        return [{"id": f"u{self.number}", "role": "user", "parts": parts}]

    def body(self, history: list[Json], *, supersede: bool) -> Json:
        """The body of the request that asks this question after `history`."""
        messages = [*history, *self.messages()]
        body: Json = {"id": self.chat, "messages": messages, "model": self.model}
        if self.calls_tool:
            body["agent"] = counting_agent.NAME
        return body | {"supersede": True} if supersede else body

    def _call(self, number: int) -> Json:
        return {
            "id": f"call-{self.model}-{number}",
            "name": counting_agent.TOOL,
            "arguments": f'{{"label": "{PROMPT_CANARY} in an argument"}}',
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
