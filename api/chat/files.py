"""The files of a request: how many, how large, of which kinds."""

from shared.chat import data_url, messages
from shared.chat.media_types import (
    UNKNOWN,
    WrongMediaType,
    detect_media_type,
    is_allowed,
    normalize_media_type,
)
from shared.errors import TooLarge, UnsupportedContent
from shared.settings import LimitSettings


def check_file(part: messages.FilePart, field: str, limits: LimitSettings) -> None:
    """Of a file at an address only what it says of itself is known here.

    Raises:
        TooLarge: if it holds more bytes than it may.
        UnsupportedContent: if it is of a kind that is not taken, or not of the one that it says.
    """
    said = normalize_media_type(part.media_type)
    if not part.url.startswith("data:"):
        if said != UNKNOWN:
            _check_kind(said, field, limits)
        return
    content = data_url.decode(part.url)
    if len(content) > limits.file_bytes:
        raise TooLarge(f"{field}: A file may hold {limits.file_bytes:,} bytes.", field=field)
    try:
        _check_kind(detect_media_type(said, content), field, limits)
    except WrongMediaType as error:
        raise UnsupportedContent(
            f"{field}.mediaType: {error}", field=f"{field}.mediaType"
        ) from None


def check_count(count: int, field: str, limits: LimitSettings) -> None:
    if count > limits.files:
        raise TooLarge(f"{field}: At most {limits.files:,} files in a message.", field=field)


def _check_kind(media_type: str, field: str, limits: LimitSettings) -> None:
    if not is_allowed(media_type, limits.media_types):
        field = f"{field}.mediaType"
        taken = ", ".join(limits.media_types)
        raise UnsupportedContent(
            f"{field}: Files of {media_type} are not taken. Those are: {taken}.", field=field
        )
