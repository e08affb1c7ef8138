"""Converts the chunks that a server streams to OpenAI's format.

Answers must be readable: a text that is a list of numbers is an error. Everything else, such as
counts, reasons, and ids, is corrected or left out.
"""

from collections.abc import Mapping
from typing import Any, cast

from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import (
    Choice,
    ChoiceDelta,
    ChoiceDeltaToolCall,
    ChoiceDeltaToolCallFunction,
)
from openai.types.completion_usage import (
    CompletionTokensDetails,
    CompletionUsage,
    PromptTokensDetails,
)
from pydantic import ValidationError
from pydantic_core import to_json

from worker.models.chat.extras import OTHER_PARTS, SOURCES
from worker.models.chat.reasoning import CONTENT_PARTS, text_of
from worker.models.transport.unusable_response import unusable_chunk

_Object = Mapping[str, Any]

#: Finish reasons by the values that servers send, in lowercase.
_FINISH_REASONS: Mapping[str, str] = {
    **dict.fromkeys(("stop", "length", "tool_calls", "content_filter"), ""),
    **dict.fromkeys(
        ("eos", "eos_token", "end_turn", "stop_sequence", "complete", "completed", "end", "done"),
        "stop",
    ),
    **dict.fromkeys(("max_tokens", "max_length", "model_length", "max_output_tokens"), "length"),
    "model_context_window_exceeded": "length",
    **dict.fromkeys(("function_call", "tool_call", "tool_use", "tool-calls"), "tool_calls"),
    **dict.fromkeys(
        ("content-filter", "safety", "recitation", "blocked", "refusal", "sensitive"),
        "content_filter",
    ),
}
#: Finish reasons of answers that broke off: of gateways, DeepSeek, Z.ai, vLLM, SGLang, and Gemini.
_ERRORS = frozenset(
    {"error", "failed", "network_error", "insufficient_system_resource", "abort", "aborted"}
    | {"function_call_filter", "malformed_function_call", "unexpected_tool_call"}
)

#: Names of token counts: OpenAI's, and those of servers that use Anthropic's.
_USAGE_FIELDS = {
    "prompt_tokens": ("prompt_tokens", "input_tokens"),
    "completion_tokens": ("completion_tokens", "output_tokens"),
    "total_tokens": ("total_tokens",),
}
#: The fields of a tool call that are not extensions.
_CALL_FIELDS = ("index", "id", "type", "function", "name", "arguments")
#: Content parts with these types may be empty.
_TEXT_TYPES = ("text", "output_text", "refusal")
#: More tokens than any request can use.
_MAX_TOKENS = 10**12


def parse_chunk(value: object) -> ChatCompletionChunk:
    """Convert a parsed chunk. Chunks in OpenAI's format take the fast path.

    Raises:
        UnusableResponse: if the value is not a JSON object, or its finish reason is an error.
    """
    if not isinstance(value, dict):
        raise unusable_chunk("The server sent a chunk that is not an object.")
    chunk = cast("dict[str, Any]", value)
    try:
        parsed = ChatCompletionChunk.model_validate(chunk)
    except ValidationError:
        return _chunk(chunk)
    return _chunk(chunk) if _hides_fields(parsed) else parsed


def _hides_fields(chunk: ChatCompletionChunk) -> bool:
    """Return whether a valid chunk has fields that only `_chunk` reads or corrects."""
    if chunk.model_extra and "x_groq" in chunk.model_extra:
        return True
    if chunk.usage is not None and not _is_plausible(chunk.usage):
        return True
    return any(
        choice.delta.function_call is not None
        or "usage" in (choice.model_extra or ())
        or any("name" in (call.model_extra or ()) for call in choice.delta.tool_calls or ())
        for choice in chunk.choices
    )


def _is_plausible(usage: CompletionUsage) -> bool:
    details = (usage.prompt_tokens_details, usage.completion_tokens_details)
    counts = [value for part in (usage, *filter(None, details)) for _, value in part]
    return all(0 <= count <= _MAX_TOKENS for count in counts if isinstance(count, int))


def _chunk(chunk: _Object) -> ChatCompletionChunk:
    choices = _items(chunk, "choices")
    return ChatCompletionChunk.model_construct(
        None,
        id=_text(chunk.get("id")) or "",
        object="chat.completion.chunk",
        created=0,
        model=_text(chunk.get("model")) or "",
        choices=[_choice(choice) for choice in choices],
        usage=_usage(chunk, choices),
        service_tier=None,
        system_fingerprint=None,
        moderation=None,
        **{field: chunk[field] for field in SOURCES if field in chunk},
    )


def _choice(choice: _Object) -> Choice:
    return Choice.model_construct(
        None,
        index=_count(choice.get("index")) or 0,
        delta=_delta(choice),
        finish_reason=_finish_reason(choice.get("finish_reason")),
        logprobs=None,
    )


def _delta(choice: _Object) -> ChoiceDelta:
    """Return the delta; servers that do not stream send a whole message or a `text` instead."""
    delta = _item(choice, "delta") or _item(choice, "message")
    content: object = delta.get("content") if delta else choice.get("text")
    fields: dict[str, Any] = {
        name: value
        for name, value in delta.items()
        if name not in ChoiceDelta.model_fields and isinstance(value, str | list | dict)
    }
    if isinstance(content, list):
        content, thinking, others = _split_content(cast("list[object]", content))
        fields |= {CONTENT_PARTS: thinking} if thinking else {}
        fields |= {OTHER_PARTS: others} if others else {}
    return ChoiceDelta.model_construct(
        None,
        content=_required_text(content, "content"),
        refusal=_text(delta.get("refusal")),
        role=None,
        function_call=None,
        audio=delta.get("audio"),
        tool_calls=_tool_calls(delta) or None,
        **fields,
    )


def _split_content(parts: list[object]) -> tuple[str | None, list[object], list[object]]:
    """Separate content parts into their text, the parts with reasoning, and types of others."""
    texts: list[str] = []
    thinking: list[object] = []
    others: list[object] = []
    for part in parts:
        if _fields(part).get("type") in ("thinking", "reasoning"):
            thinking.append(part)
        elif text := text_of(part):
            texts.append(text)
        elif (kind := _fields(part).get("type", "text")) not in _TEXT_TYPES:
            others.append(kind)
    return "".join(texts) or None, thinking, others


def _tool_calls(delta: _Object) -> list[ChoiceDeltaToolCall]:
    calls = _items(delta, "tool_calls")
    if not calls and (legacy := _item(delta, "function_call")):
        calls = [{"index": 0, "function": legacy}]
    return [_tool_call(call) for call in calls]


def _tool_call(call: _Object) -> ChoiceDeltaToolCall:
    function = _item(call, "function") or call
    extensions = {key: value for key, value in call.items() if key not in _CALL_FIELDS}
    return ChoiceDeltaToolCall.model_construct(
        None,
        index=_count(call.get("index")),
        id=_text(call.get("id")),
        type="function",
        function=ChoiceDeltaToolCallFunction.model_construct(
            None,
            name=_required_text(function.get("name"), "name"),
            arguments=_arguments(function.get("arguments")),
        ),
        **extensions,
    )


def _arguments(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return to_json(value, inf_nan_mode="null").decode()


def _finish_reason(value: object) -> Any:  # noqa: ANN401  (more values than the SDK's literal)
    """Return the reason in OpenAI's spelling. Unknown ones count as `stop`."""
    if not isinstance(value, str) or not value:
        return None
    # Gemini adds details, as in `content_filter: PROHIBITED_CONTENT`.
    name = value.lower().partition(":")[0]
    if name in _ERRORS:
        raise unusable_chunk(f"The server ended the answer with the finish reason `{name}`.")
    return _FINISH_REASONS.get(name, "stop") or name


def _usage(chunk: _Object, choices: list[_Object]) -> CompletionUsage | None:
    """Find the usage of a chunk. Groq and Moonshot AI report it in other fields."""
    for source in (chunk, _fields(chunk.get("x_groq")), *choices):
        if usage := _fields(source.get("usage")):
            return _completion_usage(usage)
    return None


def _completion_usage(usage: _Object) -> CompletionUsage:
    counts = {
        field: next((n for name in names if (n := _count(usage.get(name))) is not None), 0)
        for field, names in _USAGE_FIELDS.items()
    }
    prompt = _counts(usage.get("prompt_tokens_details"), PromptTokensDetails.model_fields)
    completion = _counts(
        usage.get("completion_tokens_details"), CompletionTokensDetails.model_fields
    )
    details = {
        "prompt_tokens_details": prompt or None,
        "completion_tokens_details": completion or None,
    }
    return CompletionUsage.model_validate({**counts, **details})


def _counts(details: object, names: Mapping[str, object]) -> dict[str, int]:
    fields = _fields(details)
    return {name: n for name in names if (n := _count(fields.get(name))) is not None}


def _fields(value: object) -> _Object:
    return cast("_Object", value) if isinstance(value, dict) else {}


def _count(value: object) -> int | None:
    """Return a number that may be text or a float; None if it is neither or not plausible."""
    try:
        number = int(float(value)) if isinstance(value, str | int | float) else None
    except (ValueError, OverflowError):
        return None
    return number if number is not None and 0 <= number <= _MAX_TOKENS else None


def _required_text(value: object, field: str) -> str | None:
    text = _text(value)
    if value is not None and text is None:
        raise unusable_chunk(f"The server sent a chunk in which `{field}` is not text.")
    return text


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number else None


def _item(source: _Object, field: str) -> _Object:
    value = source.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise unusable_chunk(f"The server sent a chunk in which `{field}` is not an object.")
    return cast("_Object", value)


def _items(source: _Object, field: str) -> list[_Object]:
    """Return the objects of a list. Some servers send null in place of an object."""
    value = source.get(field)
    if value is None:
        return []
    items = cast("list[object]", value) if isinstance(value, list) else [value]
    objects = [cast("_Object", item) for item in items if isinstance(item, dict)]
    if not isinstance(value, list) or len(objects) + items.count(None) < len(items):
        raise unusable_chunk(f"The server sent a chunk in which `{field}` is no list of objects.")
    return objects
