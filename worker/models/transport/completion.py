"""Recognizes answers and errors among the JSON values that servers send."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from worker.models.transport.unusable_response import UnusableResponse, unusable
from worker.models.transport.upstream_error import parse_error

_NOT_JSON = object()
#: Fields with the text of an error in objects that have no `error`.
_ERROR_TEXTS = (
    *("detail", "message", "msg", "errors", "error_message", "error_msg"),
    *("errorMessage", "errorMsg", "Message"),
)


def parse_json(text: str | bytes) -> object:
    """Return the value of a JSON text, or a marker that `is_json` rejects."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _NOT_JSON


def is_json(value: object) -> bool:
    return value is not _NOT_JSON


def chunks_of_document(document: bytes, content_type: str | None) -> Iterator[str]:
    """Yield the chunks of a body that is one JSON document, or one per line.

    Raises:
        UnusableResponse: if it holds no answer.
    """
    text = document.decode(errors="replace").strip()
    whole = parse_json(text)
    # One line after the other, because the first that is no chunk ends the answer.
    lines = (parse_json(line) for line in text.splitlines() if line.strip())
    for value in (whole,) if is_json(whole) else lines:
        chunk = chunk_of(value)
        if chunk is None:
            raise unusable_document(value if is_json(value) else text, content_type)
        yield chunk


def chunk_of(value: object) -> str | None:
    """Return the JSON text of a chunk or a whole completion, or None for other values."""
    return json.dumps(value) if _is_completion(value) else None


def check_completion(value: object, content_type: str | None) -> None:
    """Check the JSON value of a response that is not streamed.

    Raises:
        UnusableResponse: if it is not an answer.
    """
    if not _is_completion(value):
        raise unusable_document(value, content_type)


def _is_completion(value: object) -> bool:
    """Return whether a value is a chunk or a whole completion."""
    if not isinstance(value, dict):
        return False
    fields = cast("dict[str, Any]", value)
    return isinstance(fields.get("choices"), list) and not is_error(fields)


def is_error(value: Mapping[str, Any]) -> bool:
    """Return whether a JSON object is an error of a server."""
    if _error_in(value) or value.get("object") == "error" or value.get("type") == "error":
        return True
    # Some gateways send `"choices": null` with an error.
    return not isinstance(value.get("choices"), list) and any(
        value.get(name) and isinstance(value[name], str | list) for name in _ERROR_TEXTS
    )


def _error_in(value: Mapping[str, Any]) -> object:
    """Return the error of a JSON object, or of its first choice, where OpenRouter puts it.

    MiniMax reports the status of each response, also of successful ones, in `base_resp`.
    """
    choices: object = value.get("choices")
    first = cast("list[object]", choices)[:1] if isinstance(choices, list) else []
    sources = [value, *(cast("dict[str, Any]", item) for item in first if isinstance(item, dict))]
    for source in sources:
        if error := source.get("error") or source.get("Error"):
            return error
    status: object = value.get("base_resp")
    fields = cast("dict[str, Any]", status) if isinstance(status, dict) else {}
    return fields if fields.get("status_code") else None


def error_event(value: object) -> str:
    """Return an error in the form that the SDK recognizes."""
    fields = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    error = _error_in(fields) or cast("object", value)
    return json.dumps({"error": error if isinstance(error, dict) else {"message": error}})


def unusable_document(body: object, content_type: str | None) -> UnusableResponse:
    """Return the error for a response with status 200 that is not an answer."""
    if isinstance(body, list) and body:
        body = cast("list[object]", body)[0]
    fields = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    if is_error(fields):
        upstream = parse_error(_error_in(fields) or fields, content_type=content_type)
        if upstream.reason is None and (upstream.status or 0) < 500:
            upstream = replace(upstream, reason="rejected")
        return UnusableResponse("The server sent an error with status 200.", upstream)
    return unusable("The server did not send a chat completion.", content_type)
