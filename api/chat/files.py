"""Limits on the files of a request: number, size and media type."""

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
    """Check a file's size and media type. Of a file at a URL, only its declared type is checked.

    Raises:
        TooLarge: if it exceeds the size limit.
        UnsupportedContent: if its media type is not allowed, or its content has another type than
            the declared one.
    """
    media_type = normalize_media_type(part.media_type)
    if not part.url.startswith("data:"):
        if media_type != UNKNOWN:
            _check_media_type(media_type, field, limits)
        return
    content = data_url.decode(part.url)
    if len(content) > limits.file_bytes:
        raise TooLarge(f"{field}: The file exceeds {limits.file_bytes:,} bytes.", field=field)
    try:
        _check_media_type(detect_media_type(media_type, content), field, limits)
    except WrongMediaType as error:
        field = f"{field}.mediaType"
        raise UnsupportedContent(f"{field}: {error}", field=field) from None


def check_file_count(count: int, field: str, limits: LimitSettings) -> None:
    """Raises TooLarge if a message has too many files."""
    if count > limits.files:
        raise TooLarge(f"{field}: At most {limits.files:,} files per message.", field=field)


def _check_media_type(media_type: str, field: str, limits: LimitSettings) -> None:
    if not is_allowed(media_type, limits.media_types):
        field = f"{field}.mediaType"
        allowed = ", ".join(limits.media_types)
        raise UnsupportedContent(
            f"{field}: Files of type {media_type} are not allowed. Allowed types: {allowed}.",
            field=field,
        )
