"""Media types of files, from their declaration and their content. The content takes precedence."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from shared.text_decoding import holds_text

UNKNOWN = "application/octet-stream"
TEXT = "text/plain"

_STANDARD_NAMES = {
    "": UNKNOWN,
    "binary/octet-stream": UNKNOWN,
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "application/x-pdf": "application/pdf",
}
_TEXTS = ("json", "xml", "yaml", "x-yaml", "toml")
#: First bytes of binary formats.
_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"II*\0": "image/tiff",
    b"MM\0*": "image/tiff",
}
_PDF = "application/pdf"
_PDF_MARK = b"%PDF-"
#: Readers of PDF search this far for the mark.
_PDF_SEARCH_BYTES = 1024
#: Brands of ISO media files that hold images.
_ISO_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"mif1", b"msf1"), "image/heic"),
    **dict.fromkeys((b"avif", b"avis"), "image/avif"),
}
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
_SIGNED = frozenset({*_SIGNATURES.values(), *_RIFF.values(), *_ISO_BRANDS.values(), _PDF})
_CHARSET = re.compile(r""";\s*charset\s*=\s*["']?([^\s;"',]+)""", re.IGNORECASE)


class WrongMediaType(ValueError):
    """The content does not match the declared media type."""


def is_text(media_type: str) -> bool:
    """Return whether the type is text that can be part of a prompt."""
    kind, _, name = normalize_media_type(media_type).partition("/")
    return kind == "text" or name in _TEXTS or name.endswith(("+json", "+xml", "+yaml"))


def is_allowed(media_type: str, patterns: Sequence[str]) -> bool:
    """Return whether a type matches a pattern; `text/*` covers all text, such as JSON."""
    named = (media_type, TEXT) if is_text(media_type) else (media_type,)
    return any(fnmatchcase(name, pattern) for name in named for pattern in patterns)


def normalize_media_type(media_type: str) -> str:
    """Return the media type in lowercase, without parameters, and by its standard name.

    Without a subtype, as in `image` and `image/*`, it is unknown, except for texts.
    """
    bare = media_type.partition(";")[0].strip().lower()
    kind, _, name = bare.partition("/")
    if kind and name in ("", "*"):  # the AI SDK 7 allows types without a subtype
        return TEXT if kind == "text" else UNKNOWN
    return _STANDARD_NAMES.get(bare, bare)


def declared_charset(media_type: str) -> str | None:
    """Return the `charset` parameter of a media type."""
    found = _CHARSET.search(media_type)
    return found[1] if found else None


def detect_media_type(declared: str, content: bytes) -> str:
    """Return the media type of a content with a declared type.

    Browsers derive the type from the file name: none for `.py`, a video for `.ts`. Therefore
    content that looks like text counts as text, and signatures override the declared type.

    Raises:
        WrongMediaType: if the content is declared as an image, PDF or text but is not.
    """
    media_type = normalize_media_type(declared)
    if found := _signature(content, declared=media_type):
        return found
    if media_type in _SIGNED and not content:
        raise WrongMediaType("The file is empty.")
    if media_type in _SIGNED:
        raise WrongMediaType(f"The content is not {media_type}, as declared.")
    if holds_text(content):
        return media_type if is_text(media_type) else TEXT
    if is_text(media_type):
        raise WrongMediaType(f"The content is not text, but is declared as {media_type}.")
    return media_type


def _signature(content: bytes, *, declared: str) -> str | None:
    if content.startswith(b"RIFF"):
        return _RIFF.get(content[8:12])
    if content[4:8] == b"ftyp":
        return _ISO_BRANDS.get(content[8:12])
    beginning = content[:_PDF_SEARCH_BYTES]
    if beginning.lstrip().startswith(_PDF_MARK) or (declared == _PDF and _PDF_MARK in beginning):
        return _PDF
    return next((kind for start, kind in _SIGNATURES.items() if content.startswith(start)), None)
