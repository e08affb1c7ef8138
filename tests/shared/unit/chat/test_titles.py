import pytest

from shared.chat.titles import clean_title

TITLES = [
    ("Async patterns in Python", "Async patterns in Python"),
    ('"Async patterns."', "Async patterns"),
    ("**Title: Async patterns**", "Async patterns"),
    ("# Async patterns\n\nand more", "Async patterns"),
    ("\n\n  Async\t patterns \n", "Async patterns"),
    ("Subject: «Ruhe»", "Ruhe"),
    ("Is it C++?", "Is it C++?"),
    ("And then...", "And then..."),
    ("a\u202eb\x00c", "a b c"),
    ("", ""),
    ('"."', ""),
]


@pytest.mark.parametrize(("said", "title"), TITLES)
def test_a_title_is_one_plain_line(said: str, title: str) -> None:
    assert clean_title(said, 50) == title


def test_a_long_title_is_cut_at_a_word() -> None:
    assert clean_title("How do I write a queue, in Python", 24) == "How do I write a queue…"


@pytest.mark.parametrize("text", ["x" * 80, "日本語" * 40, "a b c " * 40, "wort, " * 20])
@pytest.mark.parametrize("length", [10, 24, 50])
def test_no_title_is_longer_than_allowed(text: str, length: int) -> None:
    assert 0 < len(clean_title(text, length)) <= length
