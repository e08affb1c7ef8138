"""Decoding of texts with a byte order mark, with a declared charset, and with neither."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.text_decoding import decode_text, holds_text

GERMAN = "Größe; 5 €\n“ok” – ÄÖÜ"
RUSSIAN = "Заметка о встрече: начало завтра в три часа, не опаздывать.\n"
JAPANESE = "これは日本語のメモです。会議は明日の午後三時に始まります。\n"
UNMARKED: list[tuple[str, str]] = [
    (GERMAN, "utf-8"),
    (GERMAN, "utf-16-le"),
    (GERMAN, "utf-16-be"),
    (GERMAN, "utf-32-le"),
    (GERMAN, "utf-32-be"),
    (GERMAN, "cp1252"),
    (RUSSIAN, "utf-16-be"),
    (RUSSIAN, "cp1251"),
    (RUSSIAN, "koi8-r"),
    (JAPANESE, "utf-16-le"),
    (JAPANESE, "shift_jis"),
    (JAPANESE, "euc_jp"),
    ("データ,コスト\nテスト,500\n", "shift_jis"),
    ("这是一个中文的笔记。会议明天下午三点开始。", "gbk"),
    ("這是一個中文的筆記。會議明天下午三點開始。", "big5"),
    ("이것은 한국어 메모입니다. 회의는 내일 오후 세 시에 시작합니다.", "euc_kr"),
    ("นี่คือบันทึกภาษาไทย การประชุมเริ่มพรุ่งนี้", "tis-620"),
    ("Αυτό είναι ένα σημείωμα στα ελληνικά.", "cp1253"),
    ("Länge Wärme Kälte Pläne Bäder Räder Täler Gräben Äcker", "cp1252"),
    ("“Élève” préféré, ça coûte 5 €… l’œuvre à l’aéroport", "cp1252"),
    ("¿Qué tal? ¡Mañana, señor! El niño comió piña", "cp1252"),
    ("Grüße\n————————————\nText", "cp1252"),
    ("äöü", "cp1252"),
    ("café", "latin-1"),
    ("hi", "utf-16-le"),
    ("", "utf-8"),
]


@pytest.mark.parametrize(("text", "encoding"), UNMARKED)
def test_text_without_a_mark_is_decoded(text: str, encoding: str) -> None:
    content = text.encode(encoding)

    assert holds_text(content)
    assert decode_text(content) == text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("charset", [None, "utf-8", "iso-8859-1"])
def test_byte_order_mark_wins_and_is_removed(encoding: str, charset: str | None) -> None:
    content = f"\ufeff{JAPANESE}".encode(encoding)

    assert holds_text(content)
    assert decode_text(content, charset) == JAPANESE


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("windows-1252", "5 €\n“ok”"),
        ("latin1", "5 €\n“ok”"),
        ("ISO-8859-1", "5 €\n“ok”"),
        ('"windows-1251"', "5 Ђ\n“ok”"),
        ("cp437", "5 Ç\nôokö"),
        (None, "5 €\n“ok”"),
    ],
)
def test_declared_charset_wins(charset: str | None, text: str) -> None:
    assert decode_text(b"5 \x80\n\x93ok\x94", charset) == text


@pytest.mark.parametrize(
    "charset",
    [
        *("", "x-unknown", "base64", "rot13", "hex", "idna", "punycode", "unicode_escape", "utf-7"),
        *("utf-16", "utf-32", "a\0b", "é", "u" * 5000),
    ],
)
def test_unusable_charset_is_ignored(charset: str) -> None:
    assert decode_text("größe".encode(), charset) == decode_text("größe".encode(), charset)
    assert decode_text("größe".encode(), charset) == "größe"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_byte_order_of_declared_utf_16_is_detected(encoding: str) -> None:
    assert decode_text(GERMAN.encode(encoding), "utf-16") == GERMAN


def test_cut_utf_8_keeps_its_valid_characters() -> None:
    assert decode_text("größer 😀".encode()[:-1]) == "größer \ufffd"


def test_undefined_bytes_become_replacement_characters() -> None:
    assert decode_text(b"\x81\x8d\x8f\x90\x9d") == "\ufffd" * 5


@pytest.mark.parametrize(
    "content",
    [
        b"\0\1\2",
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16),
        b"PK\x03\x04nonzero",
        bytes(64),
        b"log\0line",
    ],
)
def test_binary_content_is_no_text(content: bytes) -> None:
    assert not holds_text(content)


@given(st.binary(max_size=200), st.none() | st.text(max_size=12))
def test_any_bytes_can_be_decoded(content: bytes, charset: str | None) -> None:
    decode_text(content, charset).encode()
    holds_text(content)
