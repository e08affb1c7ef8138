"""What may be an id of a client's: a chat's, or a message's."""

import re

from shared.errors import InvalidRequest
from shared.settings import LimitSettings

#: No URL's path can carry them: the chat could not be followed.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
#: As the document says it.
ID_PATTERN = r"^[^\x00-\x1f\x7f]+$"
#: The earlier name of `/chat` ends in it: in a path, the rest would be taken for the chat's id.
EARLIER_NAME = "completions"


def check_id(field: str, value: str | None, limits: LimitSettings) -> None:
    """Raises InvalidRequest, naming the field."""
    if value is not None and len(value) > limits.id_chars:
        raise InvalidRequest(f"{field}: At most {limits.id_chars} characters.", field=field)
    if value is not None and _CONTROL.search(value):
        raise InvalidRequest(f"{field}: Control characters are not allowed.", field=field)


def check_chat_id(field: str, value: str | None, limits: LimitSettings) -> None:
    """Raises InvalidRequest, naming the field."""
    check_id(field, value, limits)
    if value is not None and value.startswith(f"{EARLIER_NAME}/"):
        raise InvalidRequest(
            f"{field}: A chat's id cannot begin with `{EARLIER_NAME}/`: that is a route's name.",
            field=field,
        )
