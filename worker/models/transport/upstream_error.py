"""The error response of a model server, reduced to what is safe to log.

Messages may contain prompts and keys. They are searched for known texts, but never kept.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from worker.models.transport.error_texts import Reason, reason_in_text, unsupported_parameter

#: A code, a type, or the path of a parameter, such as `messages[0].content`.
_TOKEN = re.compile(r"[A-Za-z][\w.\[\]-]{0,63}|\d{1,6}")
#: A part of a token that may belong to a key.
_KEY_LIKE = re.compile(r"(?<![A-Za-z])(sk|gsk|xai|pk|key)-|(?=[A-Za-z]*\d)\w{20,}", re.IGNORECASE)
#: The exception that LiteLLM names at the start of its messages.
_EXCEPTION = re.compile(r"(?:litellm\.)?([A-Z]\w{2,50}(?:Error|Exception))\b")
#: Fields that hold texts of the server. Other fields may repeat the request.
_TEXT_FIELDS = frozenset(
    {"message", "msg", "detail", "details", "error", "errors", "error_message", "reason", "raw"}
    | {"Message", "errorMessage", "errorMsg", "error_msg", "status_msg"}
    | {"metadata", "value", "status", "quotaId", "violations", "innererror", "description"}
)
_MAX_DEPTH = 10
#: Searching a longer text would take long and find nothing.
_MAX_CHARS = 16_384


@dataclass(frozen=True, slots=True)
class UpstreamError:
    """The meaning of a model server's error. It contains no text of the server."""

    status: int | None = None
    code: str | None = None
    type: str | None = None
    #: The request field that the error is about.
    param: str | None = None
    reason: Reason | None = None
    content_type: str | None = None
    #: A constant description of a response that is not even an error.
    received: str | None = None
    #: The origin of a redirect's target.
    location: str | None = None

    def fields(self) -> dict[str, str | int]:
        """Return the known fields, named as in the log."""
        values = {
            "upstream_status": self.status,
            "upstream_code": self.code,
            "upstream_type": self.type,
            "upstream_param": self.param,
            "upstream_reason": self.reason,
            "content_type": self.content_type,
            "received": self.received,
            "location": self.location,
        }
        return {name: value for name, value in values.items() if value is not None}

    def __str__(self) -> str:
        return " ".join(
            f"{name.removeprefix('upstream_')}={value}" for name, value in self.fields().items()
        )


def parse_error(
    body: object, *, status: int | None = None, content_type: str | None = None
) -> UpstreamError:
    """Parse an error response. `body` is JSON or text, with or without the field `error`."""
    body = _decoded(body)
    error = _error_object(body)
    text = " ".join(_texts(body))[:_MAX_CHARS]
    param = _param(error) or unsupported_parameter(text)
    code = _code(error)
    kind = _token(error.get("type") or error.get("error_type")) or _exception(text)
    if status is None and code is not None and code.isdigit() and 400 <= int(code) < 600:
        status = int(code)  # gateways send the HTTP status as the code
    return UpstreamError(
        status=status,
        code=code,
        type=kind,
        param=_token(param),
        reason=reason_in_text(status, code, kind, text),
        content_type=media_type(content_type),
    )


def media_type(content_type: str | None) -> str | None:
    """Return the media type of a header without its parameters, or None if it is not one."""
    kind = (content_type or "").partition(";")[0].strip().lower()
    return kind if re.fullmatch(r"[\w.+-]{1,60}/[\w.+-]{1,60}", kind, re.ASCII) else None


def _decoded(body: object) -> object:
    if isinstance(body, str) and body.lstrip()[:1] in ("{", "["):
        try:
            return cast("object", json.loads(body))
        except (ValueError, RecursionError):
            return body
    return body


def _error_object(body: object) -> Mapping[str, Any]:
    """Return the object that describes the error, however the server wraps it."""
    for _ in range(_MAX_DEPTH):
        if isinstance(body, list) and body:
            body = cast("list[object]", body)[0]
            continue
        if not isinstance(body, dict):
            break
        found = cast("dict[str, Any]", body)
        inner = next((found[k] for k in ("error", "errors", "detail") if found.get(k)), None)
        if not isinstance(inner, dict | list):
            return found
        body = cast("object", inner)
    return {}


def _texts(value: object, depth: int = 0) -> Iterator[str]:
    if isinstance(value, str):
        yield value[:_MAX_CHARS]
    elif depth < _MAX_DEPTH and isinstance(value, list):
        for item in cast("list[object]", value)[:20]:
            yield from _texts(item, depth + 1)
    elif depth < _MAX_DEPTH and isinstance(value, dict):
        for name, item in cast("dict[str, object]", value).items():
            if name in _TEXT_FIELDS:
                yield from _texts(item, depth + 1)


def _code(error: Mapping[str, Any]) -> str | None:
    inner = error.get("innererror")
    nested: object = cast("dict[str, Any]", inner).get("code") if isinstance(inner, dict) else None
    names = ("code", "error_code", "status", "Code", "status_code")
    codes = (*map(error.get, names), nested)
    tokens = [token for token in map(_token, codes) if token is not None]
    # A name is more specific than an HTTP status.
    return next((token for token in tokens if not token.isdigit()), next(iter(tokens), None))


def _param(error: Mapping[str, Any]) -> str | None:
    """Return the field that is wrong: `param`, or the path in an error of FastAPI."""
    location = error.get("loc")
    if isinstance(location, list):
        parts = [str(part) for part in cast("list[object]", location) if part != "body"]
        return ".".join(parts)
    param = error.get("param")
    return param if isinstance(param, str) else None


def _token(value: object) -> str | None:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _TOKEN.fullmatch(text) or not text.isascii():
        return None
    return None if _KEY_LIKE.search(text) else text


def _exception(text: str) -> str | None:
    found = _EXCEPTION.match(text)
    return found[1] if found else None
