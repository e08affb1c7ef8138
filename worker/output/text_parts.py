"""The text and reasoning parts of a run, as stream events."""

from collections.abc import Callable

from shared.streams.events import (
    ProviderMetadata,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    StreamEvent,
    TextDelta,
    TextEnd,
    TextStart,
)
from shared.streams.transcript import Transcript, TranscriptReasoning, TranscriptText


class TextParts:
    """Emits text and reasoning events, continuing from a transcript.

    Part ids are numbered over the whole run, so every attempt gives a part the same id. An `index`
    is a part's position in the model's response.
    """

    def __init__(self, transcript: Transcript, emit: Callable[[StreamEvent], None]) -> None:
        texts = [part for part in transcript.parts if isinstance(part, TranscriptText)]
        reasonings = [part for part in transcript.parts if isinstance(part, TranscriptReasoning)]
        self._emit = emit
        self._text_count = len(texts)
        self._reasoning_count = len(reasonings)
        self._interrupted_text = next((text.id for text in texts if text.open), None)
        #: Ids of the open parts, by index.
        self._texts: dict[int, str] = {}
        self._reasonings: dict[int, str] = {}
        for reasoning in reasonings:
            if reasoning.open:  # models cannot continue an interrupted reasoning
                emit(ReasoningEnd(id=reasoning.id))

    def start_response(self) -> None:
        self._texts.clear()
        self._reasonings.clear()

    def end_response(self) -> None:
        """End the interrupted text of an earlier attempt if the response did not continue it."""
        if self._interrupted_text is not None:
            self._emit(TextEnd(id=self._interrupted_text))
            self._interrupted_text = None

    def start_text(self, index: int, text: str) -> None:
        """Start a text part, or continue the interrupted one."""
        if self._interrupted_text is not None:
            text_id, self._interrupted_text = self._interrupted_text, None
        else:
            self._text_count += 1
            text_id = f"text-{self._text_count}"
            self._emit(TextStart(id=text_id))
        self._texts[index] = text_id
        self.add_text(index, text)

    def start_reasoning(self, index: int, text: str) -> None:
        self._reasoning_count += 1
        self._reasonings[index] = reasoning_id = f"reasoning-{self._reasoning_count}"
        self._emit(ReasoningStart(id=reasoning_id))
        self.add_reasoning(index, text)

    def add_text(self, index: int, text: str) -> bool:
        """Add to an open text part. Returns False if there is none."""
        if (text_id := self._texts.get(index)) is None:
            return False
        if text:
            self._emit(TextDelta(id=text_id, delta=text))
        return True

    def add_reasoning(self, index: int, text: str | None) -> None:
        if text and (reasoning_id := self._reasonings.get(index)) is not None:
            self._emit(ReasoningDelta(id=reasoning_id, delta=text))

    def end(self, index: int, metadata: ProviderMetadata | None) -> None:
        """End the part with this index, if it is a text or a reasoning."""
        if (text_id := self._texts.pop(index, None)) is not None:
            self._emit(TextEnd(id=text_id, provider_metadata=metadata))
        if (reasoning_id := self._reasonings.pop(index, None)) is not None:
            self._emit(ReasoningEnd(id=reasoning_id, provider_metadata=metadata))
