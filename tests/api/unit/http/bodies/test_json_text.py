"""Repair of request bodies that are not valid JSON in UTF-8."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.bodies.json_text import repair, to_utf8

REPLACED = {
    rb'"\ud83d"': '"\ufffd"',
    rb'"\uDE00 x"': '"\ufffd x"',
    rb'"\ud83d\ud83d\ude00"': '"\ufffd😀"',
    rb'"\ud83d\u0041"': '"\ufffdA"',
    rb'"\\ud83d"': r'"\\ud83d"',
    rb'"\\\ud83d"': '"\\\\\ufffd"',
    rb'"\ud83d\ude00"': '"😀"',
    rb'{"\ude00":1}': '{"\ufffd":1}',
    b'"caf\xe9"': '"caf\ufffd"',
    b'"\xf0\x9f\x98"': '"\ufffd"',
    b'"\xed\xa0\xbd"': '"\ufffd\ufffd\ufffd"',
    '{"a":"ü"}'.encode("utf-16-le"): '{"a":"ü"}',
}


@pytest.mark.parametrize(("body", "text"), REPLACED.items())
def test_what_cannot_be_decoded_is_replaced(body: bytes, text: str) -> None:
    assert json.loads(repair(body)) == json.loads(text)


@given(st.text(st.characters(exclude_categories=())))
def test_any_javascript_string_can_be_read(text: str) -> None:
    read = json.loads(repair(json.dumps(text).encode()))

    read.encode()
    assert len(read) <= len(text)
    if text.isascii():
        assert read == text


@pytest.mark.parametrize(
    ("charset", "encoding"),
    [
        *((None, "utf-8"), ("UTF-8", "utf-8"), ("utf8", "utf-8"), ("nonsense", "utf-8")),
        *((None, "utf-8-sig"), (None, "utf-16"), ("utf-16", "utf-16-le"), ("latin1", "latin-1")),
    ],
)
def test_body_in_another_charset_is_converted(charset: str | None, encoding: str) -> None:
    assert to_utf8('{"a":"ü"}'.encode(encoding), charset) == '{"a":"ü"}'.encode()
