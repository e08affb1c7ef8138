"""Code without fences, between the prose of a message."""

import pytest

from worker.review.extract.extractor import SourceExtractor

FUNCTION = "def total(values):\n    result = 0\n    for v in values:\n        result += v\n"
SCRIPT = "const f = (a) => {\n  a.forEach(b => { console.log(b); });\n};\n"
RUBY = "def f(a)\n  puts a\nend\n"
BRANCHES = "if ready:\n    start()\nelse:\n    wait()\nprint(ready)\n"
COMMENTED = (
    "# This function adds numbers.\n# It is used by the report.\ndef total(values):\n"
    '    """Return the sum.\n\n    Values may be empty. It then returns zero.\n    """\n'
    "    return sum(values)\n"
)
DOCUMENTED = '"""Adds the numbers of a report.\n\nIt is small.\n"""\n\nx = 5\nprint(x * 2)\n'


def found_in(text: str) -> list[tuple[str | None, str]]:
    """Return the language and the text of each source."""
    sources = SourceExtractor()
    sources.add_text(text)
    return [(source.language, source.fragments[0].text) for source in sources.all()]


def indented(code: str, indent: str = "    ") -> str:
    return "".join(f"{indent}{line}" for line in code.splitlines(keepends=True))


@pytest.mark.parametrize(
    ("language", "code"),
    [("python", FUNCTION), ("python", BRANCHES), ("javascript", SCRIPT), ("ruby", RUBY)],
)
@pytest.mark.parametrize("indent", ["    ", "\t", ""])
def test_code_between_prose_is_reviewed(language: str, code: str, indent: str) -> None:
    text = (
        f"Hello team,\n\nplease look at my code. I wrote it for the report:\n\n"
        f"{indented(code, indent)}\nWhy is it slow? I think the loop is bad.\nThanks\n"
    )

    assert found_in(text) == [(language, code)]


def test_indented_code_directly_after_prose_is_reviewed() -> None:
    text = f"Can you review this please:\n{indented(FUNCTION)}thanks"

    assert found_in(text) == [("python", FUNCTION)]


def test_short_code_in_long_prose_is_reviewed() -> None:
    prose = "I have a question about my program, and it has no answer so far.\n" * 20
    code = "import os\nos.system(input())\n"

    assert found_in(f"{prose}\n{indented(code)}\n{prose}") == [("python", code)]


def test_comment_belongs_to_the_code_between_prose() -> None:
    assert found_in(f"Is this right?\n\n{COMMENTED}\nI hope so.") == [("python", COMMENTED)]


def test_each_block_between_prose_is_reviewed() -> None:
    text = f"The first one:\n\n{indented(FUNCTION)}\nAnd the second one:\n\n{indented(SCRIPT)}"

    assert found_in(text) == [("python", FUNCTION), ("javascript", SCRIPT)]


@pytest.mark.parametrize("code", [FUNCTION, BRANCHES, COMMENTED, DOCUMENTED, "x = 5\nprint(x)\n"])
def test_python_without_imports_is_reviewed_as_a_whole(code: str) -> None:
    assert found_in(code) == [("python", code)]


PROSE = {
    "keywords": "While I was away, nothing changed.\nFor example:\nif you look at it:\nIt is bad.",
    "imports": "Import the data from the server, then return it.\nFor each user: check the name.",
    "label": "Question: why is my loop slow?",
    "list": "My questions:\n\n1. Why does it fail?\n2. How can I fix it?\n- and what is it\n",
    "German": "Kannst du mir bitte helfen?\nMeine Schleife ist zu langsam.\nDanke",
    "French": "Pourquoi est-ce que ma boucle est lente ?\nElle utilise une liste.",
    "nested list": "Steps:\n\n- Install it.\n    - Use the newest version.\n    - Restart it.\n",
    "poem": "The rain is falling down\n    and all the leaves are brown\n    in the old town",
    "one word": "Hello",
    "code in a sentence": "What does `import os` do in Python?",
    "Markdown": "# My plan\n\n> We start soon.\n\n* buy milk for the team\n* call them\n",
}


@pytest.mark.parametrize("text", PROSE.values(), ids=PROSE)
def test_prose_without_code_is_not_reviewed(text: str) -> None:
    assert found_in(text) == []
