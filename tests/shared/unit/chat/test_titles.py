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


@pytest.mark.parametrize(("text", "title"), TITLES)
def test_title_is_one_plain_line(text: str, title: str) -> None:
    assert clean_title(text, 50) == title


def test_long_title_is_cut_at_a_word_boundary() -> None:
    assert clean_title("How do I write a queue, in Python", 24) == "How do I write a queue…"


@pytest.mark.parametrize("text", ["x" * 80, "日本語" * 40, "a b c " * 40, "wort, " * 20])
@pytest.mark.parametrize("length", [10, 24, 50])
def test_title_never_exceeds_the_maximum_length(text: str, length: int) -> None:
    assert 0 < len(clean_title(text, length)) <= length
