"""The fields of files, in every spelling that clients use."""

import re
from typing import Annotated, Any, cast
from urllib.parse import quote

from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError

from shared.chat import data_url

_SCHEME = re.compile(r"(data|https?):", re.IGNORECASE)
#: Control characters and line breaks would end the line of the prompt that names the file.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_NAME_CHARS = 255
_MEDIA_TYPE_CHARS = 256


def _checked_url(url: str) -> str:
    url = url.strip()
    scheme = _SCHEME.match(url)
    if scheme is None:
        raise PydanticCustomError("url", "Must be a data:, http:, or https: URL.")
    url = scheme[0].lower() + url[scheme.end() :]
    try:
        if url.startswith("data:"):
            data_url.validate(url)
    except ValueError:
        raise PydanticCustomError("data_url", "The data: URL cannot be decoded.") from None
    return url


def _checked_source(text: str) -> str:
    """Return a URL; bare base64 becomes a `data:` URL without a media type."""
    return _checked_url(text if _SCHEME.match(text.lstrip()) else f"data:;base64,{text}")


def text_url(text: str) -> str:
    return f"data:text/plain;charset=utf-8,{quote(text)}"


def _unwrap_data(value: object) -> object:
    """Return the URL, the base64 or the text of tagged data, as in the AI SDK 7."""
    if not isinstance(value, dict):
        return value
    fields = cast("dict[str, Any]", value)
    match fields:
        case {"type": "text", "text": str(text)}:
            return text_url(text)
        case {"type": "data" | "url" as kind}:
            return fields.get(kind)
        case _:
            return fields


def _unwrap_url(value: object) -> object:
    """Return the URL of `{"url": …}`, as in the content parts of OpenAI."""
    return cast("dict[str, Any]", value).get("url") if isinstance(value, dict) else value


def _clean_media_type(value: object) -> object:
    """Return a media type; "" for values that are none. The content then determines the type."""
    text = value.strip() if isinstance(value, str) else ""
    return text if len(text) <= _MEDIA_TYPE_CHARS else ""


def _clean_name(value: object) -> object:
    if not isinstance(value, str):
        return None
    return _UNPRINTABLE.sub(" ", value).strip()[:_NAME_CHARS] or None


FileUrl = Annotated[str, AfterValidator(_checked_url)]
#: A URL, or the object that contains it.
WrappedUrl = Annotated[str, BeforeValidator(_unwrap_url), AfterValidator(_checked_url)]
#: A URL, base64, or the object that contains one of them or a text.
FileSource = Annotated[str, BeforeValidator(_unwrap_data), AfterValidator(_checked_source)]
MediaType = Annotated[str, BeforeValidator(_clean_media_type)]
FileName = Annotated[str | None, BeforeValidator(_clean_name)]
