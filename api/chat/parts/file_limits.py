"""Limits on the files of a request: size and media type."""

from api.chat.parts.unusable import UnusablePart
from shared.chat import data_url, messages
from shared.chat.media_types import (
    UNKNOWN,
    WrongMediaType,
    detect_media_type,
    is_allowed,
    normalize_media_type,
)
from shared.settings import LimitSettings


def file_error(part: messages.FilePart, limits: LimitSettings) -> UnusablePart | None:
    """Return why a file is not accepted. Of a file at a URL, only its declared type is checked."""
    media_type = normalize_media_type(part.media_type)
    if not part.url.startswith("data:"):
        return None if media_type == UNKNOWN else _type_error(media_type, part, limits)
    content = data_url.decode(part.url)
    if len(content) > limits.file_bytes:
        reason = f"The file exceeds {limits.file_bytes:,} bytes."
        return UnusablePart(type="file", filename=part.filename, code="too_large", reason=reason)
    try:
        return _type_error(detect_media_type(media_type, content), part, limits)
    except WrongMediaType as error:
        return _unsupported(part, str(error))


def _type_error(
    media_type: str, part: messages.FilePart, limits: LimitSettings
) -> UnusablePart | None:
    if is_allowed(media_type, limits.media_types):
        return None
    allowed = ", ".join(limits.media_types)
    return _unsupported(
        part, f"Files of type {media_type} are not allowed. Allowed types: {allowed}."
    )


def _unsupported(part: messages.FilePart, reason: str) -> UnusablePart:
    return UnusablePart(
        type="file",
        filename=part.filename,
        code="unsupported_content",
        reason=reason,
        path="mediaType",
    )
