"""Decoding of `data:` URLs, including malformed ones."""

import sys
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.chat import data_url


@given(st.text(alphabet="%0aFgh =\r\n\x18é~"))
def test_escapes_decode_like_urllib(body: str) -> None:
    assert data_url.decode(f"data:text/plain,{body}") == unquote_to_bytes(body)


@pytest.mark.parametrize(
    "body",
    [
        *("aGk+/w==", "aGk%2B%2Fw%3D%3D", "aGk%2b%2fw%3d%3d", "aGk-_w==", "%61Gk%2D_w"),
        *("aGk+/w", "aGk+/w=", "aGk+\r\n/w==\r\n", " aGk+ /w= =\t", "aGk+%0A/w=="),
    ],
)
def test_base64_is_decoded_like_in_browsers(body: str) -> None:
    assert data_url.decode(f"data:;base64,{body}") == b"hi>\xff"


@pytest.mark.parametrize(
    "head",
    [
        *(
            "data:image/png;base64",
            "data:image/png;BASE64",
            "data:image/png; base64",
            "DATA:;Base64",
        ),
        *("data:text/plain;charset=utf-8;base64", "data:text/plain;base64;charset=utf-8"),
    ],
)
def test_base64_is_recognized_in_every_spelling(head: str) -> None:
    assert data_url.decode(f"{head},aGk=") == b"hi"


def test_media_type_includes_its_parameters() -> None:
    assert data_url.media_type("data:text/csv;charset=cp437;base64,") == (
        "text/csv;charset=cp437;base64"
    )


@pytest.mark.parametrize(
    "url", ["data:text/plain", "data:;base64,?", "data:;base64,%%%%", "data:;base64,a"]
)
def test_invalid_url_raises_value_error(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (the subclass is irrelevant)
        data_url.decode(url)


@given(st.sampled_from(["data:,", "data:;base64,", "data:"]), st.text(alphabet="%2B=aA,é"))
def test_validate_accepts_exactly_what_decode_accepts(head: str, body: str) -> None:
    assert succeeds(data_url.validate, head + body) == succeeds(data_url.decode, head + body)


def succeeds(function: Callable[[str], object], url: str) -> bool:
    try:
        function(url)
    except ValueError:
        return False
    return True


def test_decode_makes_few_calls_for_many_escapes() -> None:
    """Millions of escapes must not block the event loop."""
    body, calls = "%41a%" * 1000, 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        content = data_url.decode(f"data:,{body}")
    finally:
        sys.setprofile(None)

    assert content == b"Aa%" * 1000
    assert calls < 100
