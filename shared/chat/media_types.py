"""What a file is: by what it says, and by what it holds. The content has the last word."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

UNKNOWN = "application/octet-stream"
TEXT = "text/plain"

_TEXTS = ("json", "xml", "yaml", "x-yaml", "toml")
#: How files of a kind begin. Names differ for those in a RIFF or ZIP container.
_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"%PDF-": "application/pdf",
}
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
_SIGNED = frozenset({*_SIGNATURES.values(), *_RIFF.values()})
_BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}


class WrongMediaType(ValueError):
    """The content is not what its media type says."""


def is_text(media_type: str) -> bool:
    """Whether a model of any kind can read it, once it stands in the prompt."""
    kind, _, name = normalize_media_type(media_type).partition("/")
    return kind == "text" or name in _TEXTS or name.endswith(("+json", "+xml", "+yaml"))


def is_allowed(media_type: str, patterns: Sequence[str]) -> bool:
    """`text/*` are all texts, also those that are called `application/…`."""
    named = (media_type, TEXT) if is_text(media_type) else (media_type,)
    return any(fnmatchcase(name, pattern) for name in named for pattern in patterns)


def normalize_media_type(media_type: str) -> str:
    """Without parameters, in small letters, and by its usual name."""
    bare = media_type.partition(";")[0].strip().lower()
    return {"": UNKNOWN, "image/jpg": "image/jpeg"}.get(bare, bare)


def detect_media_type(declared: str, content: bytes) -> str:
    """The media type of a content that is said to be of one.

    Browsers tell it from a file's name: nothing for `.py`, a video for `.ts`, PNG for whatever is
    called so. What reads as text is one; what begins like an image or a PDF file is one.

    Raises:
        WrongMediaType: if it says that it is an image, a PDF file or a text, and is none.
    """
    media_type = normalize_media_type(declared)
    if found := _signature(content):
        return found
    if media_type in _SIGNED:
        raise WrongMediaType(f"It is not {media_type}, as it says.")
    if _reads_as_text(content):
        return media_type if is_text(media_type) else TEXT
    if is_text(media_type):
        raise WrongMediaType(f"It is no text, and says that it is {media_type}.")
    return media_type


def as_utf8(content: bytes) -> bytes:
    """A text in UTF-8. Spreadsheets still export Latin-1 and UTF-16."""
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            return content.decode(encoding, "replace").encode()
    try:
        content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1").encode()
    return content


def _signature(content: bytes) -> str | None:
    if content.startswith(b"RIFF"):
        return _RIFF.get(content[8:12])
    return next((kind for start, kind in _SIGNATURES.items() if content.startswith(start)), None)


def _reads_as_text(content: bytes) -> bool:
    return content.startswith(tuple(_BYTE_ORDER_MARKS)) or (
        b"\0" not in content and not content.startswith(b"PK\x03\x04")
    )
