import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.chat.title_text import clean_title, title_of_question

TITLES = [
    ("Async patterns in Python", "Async patterns in Python"),
    ('"Async patterns."', "Async patterns"),
    ("**Title: Async patterns**", "Async patterns"),
    ("# Async patterns\n\nand more", "Async patterns"),
    ("\n\n  Async\t patterns \n", "Async patterns"),
    ("Subject: «Ruhe»", "Ruhe"),
    ("Is it C++?", "Is it C++?"),
    ("Async patterns in C#", "Async patterns in C#"),
    ("# Async patterns in C# #", "Async patterns in C#"),
    ("What is vector<int>", "What is vector<int>"),
    ("Use of __init__ and *args", "Use of __init__ and *args"),
    ("__init__", "__init__"),
    ("2**3 and 4**5", "2**3 and 4**5"),
    ("#include in C", "#include in C"),
    ("**Async** patterns with `vector<int>`", "Async patterns with vector<int>"),
    ('"Faust" and "Hamlet"', '"Faust" and "Hamlet"'),
    ("Rock 'n' Roll", "Rock 'n' Roll"),
    ("Boys' clothes", "Boys' clothes"),
    ("“Faust” explained", "“Faust” explained"),
    ("`Title: Queues`", "Queues"),
    ("**Title:** Queues", "Queues"),
    ("Here is a title for the conversation: Queues", "Queues"),
    ("Sure! Here's a concise title:\n\n**Queues**", "Queues"),
    ("Titel: Warteschlangen", "Warteschlangen"),
    ("标题：异步模式。", "异步模式"),
    ("「非同期パターン」", "非同期パターン"),
    ("<think>\nThey ask about C#.\n</think>\n\nQueues in C#", "Queues in C#"),
    ("They ask about C#.</think>Queues", "Queues"),
    ("<think>never ends", ""),
    ("<thought>Queues?</thought>Queues", "Queues"),
    (
        "<|channel|>analysis<|message|>C#?<|start|>assistant<|channel|>final<|message|>Queues",
        "Queues",
    ),
    ("<|channel|>analysis<|message|>never ends", ""),
    ("Queues<|end|>", "Queues"),
    ("```\nQueues\n```", "Queues"),
    ('```json\n{"title": "The \\"best\\" queue"}\n```', 'The "best" queue'),
    ("- Queues\n- More queues", "Queues"),
    ("1. Queues\n2. More queues", "Queues"),
    ("Family 👨\u200d👩\u200d👧 trip 🚀", "Family 👨\u200d👩\u200d👧 trip 🚀"),
    ("Visit the U.S.", "Visit the U.S."),
    (".NET on Node.js", ".NET on Node.js"),
    ("می\u200cخواهم", "می\u200cخواهم"),
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


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("Async patterns in C#", "Async patterns in C#"),
        ("What is vector<int>", "What is vector<int>"),
        ('"Faust": who wrote it?', '"Faust": who wrote it?'),
        ("`ls -l` or `dir`", "`ls -l` or `dir`"),
        ("*args and **kwargs*", "*args and **kwargs*"),
        ("#include <map>", "#include <map>"),
        ("<think> tags in React", "<think> tags in React"),
        ("Title: what is one?", "Title: what is one?"),
        ("\n\n## Queues\nWhat is one?", "Queues"),
        ("```cpp\nvector<int> v;\n```", "vector<int> v;"),
        ("  a\t b\x00\u202ec ", "a b c"),
        ("", ""),
    ],
)
def test_question_becomes_an_unchanged_title(question: str, title: str) -> None:
    assert title_of_question(question, 50) == title


def test_cut_does_not_split_an_emoji_or_an_accent() -> None:
    assert clean_title("x" * 8 + "👨\u200d👩\u200d👧" * 3, 11) == "x" * 8 + "…"
    assert clean_title("y" * 8 + "e\u0301" * 9, 10) == "y" * 8 + "…"


@given(st.text(), st.integers(10, 60))
def test_any_text_becomes_a_bounded_line(text: str, length: int) -> None:
    for title in (clean_title(text, length), title_of_question(text, length)):
        assert len(title) <= length
        assert len(title.splitlines()) <= 1
