import pytest

from shared.chat.media_types import (
    WrongMediaType,
    declared_charset,
    detect_media_type,
    is_allowed,
    is_text,
    normalize_media_type,
)
from shared.settings import LimitSettings
from tests.support.fakes.media import AVIF, HEIC, JPEG, PDF, PNG, WEBP, ZIP


@pytest.mark.parametrize(
    ("declared", "content", "detected"),
    [
        ("image/png", PNG, "image/png"),
        ("text/plain", PNG, "image/png"),
        ("image/png", JPEG, "image/jpeg"),
        ("image/jpg", JPEG, "image/jpeg"),
        ("", WEBP, "image/webp"),
        ("image/gif", b"GIF89a" + bytes(8), "image/gif"),
        ("application/octet-stream", PDF, "application/pdf"),
        ("application/pdf", b"\r\n" + PDF, "application/pdf"),
        ("text/plain", b"\r\n" + PDF, "application/pdf"),
        ("application/pdf", b"HTTP/1.1 200 OK\r\n\r\n" + PDF, "application/pdf"),
        ("application/x-pdf", PDF, "application/pdf"),
        ("text/markdown", b"A PDF begins with %PDF-1.7.", "text/markdown"),
        ("image/*", PNG, "image/png"),
        ("image", PNG, "image/png"),
        ("text", b"hi", "text/plain"),
        ("text/*", b"hi", "text/plain"),
        ("audio", b"\0\1\2\3", "application/octet-stream"),
        (" Image/PNG ", PNG, "image/png"),
        ("", HEIC, "image/heic"),
        ("image/png", AVIF, "image/avif"),
        ("video/mp4", b"\0\0\0\x18ftypisom\0\0\2\0", "video/mp4"),
        ("", b"II*\0\x08\0\0\0", "image/tiff"),
        ("", b"print(1)\n", "text/plain"),
        ("video/mp2t", b"const a = 1", "text/plain"),
        ("application/x-sh", "größer".encode("latin-1"), "text/plain"),
        ("text/csv; charset=utf-8", b"a,b", "text/csv"),
        ("Application/JSON", b"{}", "application/json"),
        ("text/plain", "hi".encode("utf-16"), "text/plain"),
        ("", "name;größe\n".encode("utf-16-le"), "text/plain"),
        ("text/plain", b"", "text/plain"),
        ("application/zip", ZIP, "application/zip"),
        ("audio/mpeg", b"ID3\0\0", "audio/mpeg"),
    ],
)
def test_content_overrides_the_declared_type(declared: str, content: bytes, detected: str) -> None:
    assert detect_media_type(declared, content) == detected


@pytest.mark.parametrize(
    ("declared", "content"),
    [
        ("image/png", b"<html>"),
        ("application/pdf", b"no PDF"),
        ("image/heic", b"no HEIC"),
        ("image/webp", b"RIFF\x10\0\0\0AVI "),
        ("text/plain", b"\0\1\2"),
        ("text/csv", ZIP),
    ],
)
def test_content_that_contradicts_its_type_is_rejected(declared: str, content: bytes) -> None:
    with pytest.raises(WrongMediaType, match=declared):
        detect_media_type(declared, content)


@pytest.mark.parametrize("declared", ["image/png", "application/pdf"])
def test_empty_file_that_is_no_text_is_rejected(declared: str) -> None:
    with pytest.raises(WrongMediaType, match="empty"):
        detect_media_type(declared, b"")


@pytest.mark.parametrize(
    "media_type",
    [
        "text/x-python",
        "application/json",
        "application/ld+json",
        "image/svg+xml",
        "application/toml",
    ],
)
def test_text_formats_count_as_text(media_type: str) -> None:
    assert is_text(media_type)
    assert is_allowed(media_type, LimitSettings().media_types)
    assert not is_allowed(media_type, ["image/png"])


def test_pattern_allows_matching_types() -> None:
    assert is_allowed("audio/wav", ["audio/*"])
    assert not is_allowed("application/zip", LimitSettings().media_types)
    assert normalize_media_type("") == normalize_media_type(" ; x=y") == "application/octet-stream"


@pytest.mark.parametrize(
    ("media_type", "charset"),
    [
        ("text/csv;charset=windows-1252", "windows-1252"),
        ('text/csv; header=present; Charset="UTF-8"', "UTF-8"),
        ("text/csv;charset = latin1;x=y", "latin1"),
        ("text/csv", None),
        ("text/csv;charset=", None),
        ("text/charset=utf-8", None),
    ],
)
def test_declared_charset(media_type: str, charset: str | None) -> None:
    assert declared_charset(media_type) == charset
