"""Assigns the pieces of streamed tool calls to calls, whatever ids and indexes the server sends."""

from dataclasses import dataclass, field

from openai.types.chat.chat_completion_chunk import ChoiceDeltaToolCall
from pydantic_core import to_json

from shared.surrogates import replace_lone_surrogates
from worker.models.transport.growing_text import GrowingText, JsonChecker
from worker.models.transport.unusable_response import unusable_chunk


class ToolCallIndexer:
    """Gives each tool call a unique index, and removes repetitions of its name.

    Servers may repeat the id and the name in each piece, send several calls with one index or none,
    and send further pieces of a call after the next one has started.
    """

    def __init__(self) -> None:
        #: The newest call at each index that the server sent.
        self._newest: dict[int | None, _RepairedCall] = {}
        #: The newest call with each id.
        self._by_id: dict[str, _RepairedCall] = {}
        self._count = 0
        self._json = JsonChecker()

    def reindex(self, delta: ChoiceDeltaToolCall) -> ChoiceDeltaToolCall | None:
        """Return the piece with its call's index; None if the call has it already."""
        _clean(delta)
        name = delta.function.name if delta.function else None
        arguments = (delta.function.arguments if delta.function else None) or ""
        call = self._find(delta, name, arguments)
        if call is None:
            call = _RepairedCall(self._count, delta.id, self._json)
            self._count += 1
        elif delta.id and arguments and call.arguments.equals(arguments) and call.is_complete:
            return None
        self._newest[delta.index] = call
        if call.id is None:
            call.id = delta.id
        if call.id:
            self._by_id[call.id] = call
        delta.index = call.index
        if delta.function is not None:
            delta.function.name = call.add_name(name)
        if arguments:
            call.arguments.add(arguments)
        return delta

    def check_names(self) -> None:
        """Raises UnusableResponse if a call with arguments has no name, which would be lost."""
        calls = {call.index: call for call in (*self._newest.values(), *self._by_id.values())}
        if any(call.arguments and not call.name for call in calls.values()):
            raise unusable_chunk("The server sent a tool call without a name.")

    def _find(
        self, delta: ChoiceDeltaToolCall, name: str | None, arguments: str
    ) -> "_RepairedCall | None":
        """Return the call that the piece continues; None if it starts a call."""
        newest = self._newest.get(delta.index)
        if newest is not None and not newest.is_followed_by(delta.id, name, arguments):
            return newest
        known = self._by_id.get(delta.id or "")
        if known is None or (newest is None and name):
            return None
        return None if known.is_followed_by(delta.id, name, arguments) else known


@dataclass(slots=True)
class _RepairedCall:
    index: int
    id: str | None
    json: JsonChecker
    name: GrowingText = field(default_factory=GrowingText)
    arguments: GrowingText = field(default_factory=GrowingText)

    @property
    def is_complete(self) -> bool:
        return self.json.is_object(self.arguments)

    def is_followed_by(self, call_id: str | None, name: str | None, arguments: str) -> bool:
        """Return whether the piece starts another call at the same index."""
        if call_id and self.id and call_id != self.id:
            return True
        if not name or not self.name:
            return False
        repeated = self.name.is_start_of(name)
        if not call_id and not repeated:
            return True
        if call_id and self.id and self.arguments.equals(arguments):
            return False
        return (not call_id or arguments.lstrip().startswith("{")) and self.is_complete

    def add_name(self, name: str | None) -> str | None:
        """Return what is new of the name: servers send the whole name again, or a piece."""
        if not name:
            return None
        new = name[self.name.size :] if self.name.is_start_of(name) else name
        if new:
            self.name.add(new)
        return new or None


def _clean(delta: ChoiceDeltaToolCall) -> None:
    """Convert arguments to text, and replace what no server accepts in a request."""
    delta.id = replace_lone_surrogates(delta.id) or None
    if delta.function:
        arguments: object = delta.function.arguments
        if isinstance(arguments, dict | list):
            delta.function.arguments = to_json(arguments).decode()
        elif isinstance(arguments, str):
            delta.function.arguments = replace_lone_surrogates(arguments)
        delta.function.name = replace_lone_surrogates(delta.function.name)
