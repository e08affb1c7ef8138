"""Parts that cannot be used.

In a new message they are refused. In an older message they are left out, with a note for the model:
the client sends the whole history each time, so a refusal would end the chat.
"""

from collections.abc import Callable
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, ValidationError, WrapValidator

from shared.chat import messages as chat_messages
from shared.errors import InvalidRequest, TooLarge, UnsupportedContent
from shared.field_path import format_field_path

#: Prefix of the tags of unions. Error locations contain the tags, but they are not fields.
TAG_PREFIX = "as:"

_ERRORS: dict[str, type[InvalidRequest]] = {
    error.code: error for error in (InvalidRequest, TooLarge, UnsupportedContent)
}
_NAME_CHARS = 100


class UnusablePart(BaseModel):
    """Replaces a part, all parts of a field, or a message that models cannot receive."""

    model_config = ConfigDict(frozen=True)

    #: The part's `type`; "" if it has none.
    type: str
    filename: str | None = None
    scope: Literal["part", "field", "message"] = "part"
    code: Literal["invalid_request", "too_large", "unsupported_content"] = "invalid_request"
    reason: str
    #: Path of the invalid field below the part.
    path: str = ""

    def error(self, field: str) -> InvalidRequest:
        """Return the refusal; `field` is the path of what the part stands for."""
        field = f"{field}.{self.path}" if self.path else field
        return _ERRORS[self.code](f"{field}: {self.reason}", field=field)

    def normalized(self) -> chat_messages.Part:
        """Return the note for the model."""
        name = f"“{self.filename[:_NAME_CHARS]}”" if self.filename else ""
        kind = f"a part of type “{self.type[:_NAME_CHARS]}”" if self.type else "a part"
        what = f"the file {name}" if name else kind
        if self.scope == "message":
            return chat_messages.TextPart(text=f"[A message was left out. {self.reason}]")
        return chat_messages.TextPart(text=f"[Left out of this message: {what}. {self.reason}]")


def first_error(error: ValidationError) -> tuple[str, str, str]:
    """Return the type, the message, and the field path of the first error."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    location = [step for step in first["loc"] if not str(step).startswith(TAG_PREFIX)]
    message = "Must be an object." if first["type"] == "model_type" else first["msg"]
    return first["type"], message, format_field_path(location)


def _keep_part_error(value: object, validate: Callable[[object], object]) -> object:
    try:
        return validate(value)
    except ValidationError as error:
        return _unusable(value, error)


def _keep_field_error(value: object, validate: Callable[[object], object]) -> object:
    try:
        return validate(value)
    except ValidationError as error:
        return [_unusable(value, error).model_copy(update={"scope": "field"})]


#: Validators that keep the error of a part, or of a field with parts, as an `UnusablePart`.
KEEP_PART_ERROR = WrapValidator(_keep_part_error)
KEEP_FIELD_ERROR = WrapValidator(_keep_field_error)


def unusable_message(value: object, error: ValidationError) -> UnusablePart:
    return _unusable(value, error).model_copy(update={"scope": "message"})


def _unusable(value: object, error: ValidationError) -> UnusablePart:
    kind, message, path = first_error(error)
    fields = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    # The `name` of a part with a type is that of a tool.
    filename = fields.get("filename") or (None if "type" in fields else fields.get("name"))
    return UnusablePart(
        type=fields["type"] if isinstance(fields.get("type"), str) else "",
        filename=filename if isinstance(filename, str) else None,
        code="too_large" if kind == "too_large" else "invalid_request",
        reason=message,
        path=path,
    )
