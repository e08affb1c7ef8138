"""Reads reasoning in tags such as `<think>…</think>`."""

from collections.abc import Iterator

from pydantic_ai.profiles import DEFAULT_THINKING_TAGS, ModelProfile

from worker.models.chat.text_reasoning.piece import TextPiece, partial_length

#: The names of the tags that models use.
TAGS = ("think", "thinking", "thought")


def default_tag(profile: ModelProfile) -> str:
    """Return the name of the tag in which a model's reasoning is sent back."""
    opening, _ = profile.get("thinking_tags", DEFAULT_THINKING_TAGS)
    return opening.strip("<>")


class TagReader:
    """Reads a text from behind the opening tag. After the closing tag, everything is plain text."""

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self._close = f"</{tag}>"
        self._buffer = ""
        self._started = self.finished = False

    def split(self, text: str) -> Iterator[TextPiece]:
        self._buffer += text
        if not self._started:
            self._buffer = self._buffer.lstrip("\n")
            self._started = bool(self._buffer)
        reasoning, close, after = self._buffer.partition(self._close)
        if close:
            self.finished, self._buffer = True, ""
        else:
            end = len(reasoning) - partial_length(reasoning, self._close)
            reasoning, self._buffer = reasoning[:end], reasoning[end:]
        if reasoning:
            yield TextPiece(reasoning, self._tag)
        if after := after.lstrip("\n"):
            yield TextPiece(after)

    def rest(self) -> Iterator[TextPiece]:
        if self._buffer:
            yield TextPiece(self._buffer, self._tag)
