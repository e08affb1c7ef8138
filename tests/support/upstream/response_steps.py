"""The steps in which a scripted response is sent."""

import asyncio
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

from tests.support.upstream.script import (
    Action,
    ScriptedFinish,
    ScriptedReasoning,
    ScriptedSleep,
    ScriptedText,
    ScriptedTool,
    ScriptedToolCall,
    ScriptedWait,
    ScriptedWords,
)

Kind = Literal["text", "reasoning", "tool"]


@dataclass(frozen=True, slots=True)
class Piece:
    """One chunk: its encoded delta and the delay before it, in seconds."""

    kind: Kind
    text: str
    delta: bytes
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class Hold:
    released: asyncio.Event


Step = Piece | Pause | Hold


class DivergedError(Exception):
    """The partial answer to continue is not a prefix of the response's text."""


@dataclass(frozen=True)
class ResponseSteps:
    steps: tuple[Step, ...]
    finish: str
    tools: tuple[ScriptedToolCall, ...] = ()

    @classmethod
    def of(cls, actions: Sequence[Action]) -> "ResponseSteps":
        tools = tuple(action.tool for action in actions if isinstance(action, ScriptedTool))
        finishes = [action.finish for action in actions if isinstance(action, ScriptedFinish)]
        default = "tool_calls" if tools else "stop"
        return cls(tuple(_steps(actions)), finishes[-1] if finishes else default, tools)

    @property
    def pieces(self) -> list[Piece]:
        return [step for step in self.steps if isinstance(step, Piece)]

    @property
    def holds(self) -> list[Hold]:
        return [step for step in self.steps if isinstance(step, Hold)]

    @cached_property
    def text(self) -> str:
        return self.joined("text")

    def joined(self, kind: Kind) -> str:
        return "".join(piece.text for piece in self.pieces if piece.kind == kind)

    def after(self, partial: str) -> "ResponseSteps":
        """The rest of this response for a client that already has `partial` of its text.

        Raises:
            DivergedError: if the text does not start with `partial`.
        """
        if not partial:
            return self
        if not self.text.startswith(partial):
            raise DivergedError(f"{partial!r} is not a prefix of {self.text!r}")
        return replace(self, steps=tuple(_rest(self.steps, len(partial))))

    def until(self, texts: int) -> "ResponseSteps | None":
        """This response up to its text piece number `texts`; None if it has fewer."""
        ends = [n for n, step in enumerate(self.steps) if is_text(step)]
        if texts > len(ends):
            return None
        return replace(self, steps=self.steps[: ends[texts - 1] + 1 if texts else 0])


def is_text(step: Step) -> bool:
    return isinstance(step, Piece) and step.kind == "text"


def _steps(actions: Iterable[Action]) -> Iterator[Step]:
    index = 0
    for action in actions:
        match action:
            case ScriptedText():
                yield from _spaced(map(_text, action.text), action.delay)
            case ScriptedWords():
                words = (f" w{n}" if n else "w0" for n in range(action.words))
                yield from _spaced(map(_text, words), action.delay)
            case ScriptedReasoning():
                yield from _spaced(map(_reasoning, action.reasoning), action.delay)
            case ScriptedTool():
                yield from _tool(action.tool, index)
                index += 1
            case ScriptedSleep():
                yield Pause(action.sleep)
            case ScriptedWait():
                yield Hold(asyncio.Event())
            case ScriptedFinish():
                pass


def _spaced(pieces: Iterable[Piece], delay: float) -> Iterator[Piece]:
    for n, piece in enumerate(pieces):
        yield replace(piece, delay=delay) if n else piece


def _text(text: str) -> Piece:
    return Piece("text", text, encode({"content": text}))


def _reasoning(text: str) -> Piece:
    return Piece("reasoning", text, encode({"reasoning_content": text}))


def _tool(call: ScriptedToolCall, index: int) -> Iterator[Piece | Hold]:
    opening = {
        "index": index,
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": ""},
    }
    yield Piece("tool", "", encode({"tool_calls": [opening]}))
    marks = [len(call.arguments) * n // call.pieces for n in range(call.pieces + 1)]
    for number, (start, end) in enumerate(pairwise(marks)):
        if number == call.held_after:
            yield Hold(asyncio.Event())
        part = call.arguments[start:end]
        delta = {"index": index, "function": {"arguments": part}}
        yield Piece("tool", part, encode({"tool_calls": [delta]}))


def _rest(steps: Sequence[Step], seen: int) -> Iterator[Step]:
    """Drops everything before the last seen character, except tool calls."""
    for step in steps:
        if not isinstance(step, Piece):
            if not seen:
                yield step
        elif step.kind == "tool":
            yield step
        elif step.kind == "text" and seen < len(step.text):
            yield _text(step.text[seen:]) if seen else step
            seen = 0
        elif step.kind == "text":
            seen -= len(step.text)


def encode(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
