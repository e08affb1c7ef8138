"""The ids that clients choose for chats and messages."""

import re

from shared.errors import InvalidRequest
from shared.settings import LimitSettings

#: A URL path cannot contain control characters, so the chat could not be followed.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
#: The same rule for the OpenAPI document.
ID_PATTERN = r"^[^\x00-\x1f\x7f]+$"
#: `/chat/completions` is an alias of `/chat`, so a chat id must not start with it.
ALIAS = "completions"


def check_id(field: str, value: str | None, limits: LimitSettings) -> None:
    """Check the length and the characters of an id.

    Raises:
        InvalidRequest: if it is too long or has control characters.
    """
    if value is not None and len(value) > limits.id_chars:
        raise InvalidRequest(f"{field}: At most {limits.id_chars} characters.", field=field)
    if value is not None and _CONTROL.search(value):
        raise InvalidRequest(f"{field}: Control characters are not allowed.", field=field)


def check_chat_id(field: str, value: str | None, limits: LimitSettings) -> None:
    """Check that an id can name a chat.

    Raises:
        InvalidRequest: if it is invalid or would conflict with a route.
    """
    check_id(field, value, limits)
    if value is not None and value.startswith(f"{ALIAS}/"):
        raise InvalidRequest(
            f"{field}: A chat id must not start with `{ALIAS}/`, because that is a route.",
            field=field,
        )
