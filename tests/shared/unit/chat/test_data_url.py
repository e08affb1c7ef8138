"""`data:` URLs, as browsers, libraries and mischief write them."""

import sys
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.chat import data_url


@given(st.text(alphabet="%0aFgh =\r\n\x18é~"))
def test_escapes_are_read_as_python_reads_them(body: str) -> None:
    assert data_url.decode(f"data:text/plain,{body}") == unquote_to_bytes(body)


@pytest.mark.parametrize("body", ["aGk+/w==", "aGk%2B%2Fw%3D%3D", "aGk%2b%2fw%3d%3d"])
def test_base64_may_be_escaped(body: str) -> None:
    assert data_url.decode(f"data:;base64,{body}") == b"hi>\xff"


@pytest.mark.parametrize("url", ["data:text/plain", "data:;base64,?", "data:;base64,%%%%"])
def test_what_holds_nothing_is_an_error(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (which one is nobody's matter)
        data_url.decode(url)


@given(st.sampled_from(["data:,", "data:;base64,", "data:"]), st.text(alphabet="%2B=aA,é"))
def test_what_passes_the_check_can_be_read(head: str, body: str) -> None:
    assert is_good(data_url.validate, head + body) == is_good(data_url.decode, head + body)


def is_good(look: Callable[[str], object], url: str) -> bool:
    try:
        look(url)
    except ValueError:
        return False
    return True


def test_no_python_runs_for_each_escape() -> None:
    """Millions of them would hold up the process's other streams for a second or two."""
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
