"""Whatever a user sends is extracted and analyzed without an error."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from worker.review.analysis import analyze
from worker.review.extract import SourceExtractor
from worker.review.language import LANGUAGES
from worker.review.source import Fragment, ReviewSource

LINES = st.sampled_from(
    (
        *("```", "```py", "~~~~", '  ```js title="a.js"', "> ```", "- ```c", "\t```", "````"),
        *(
            "diff --git a/x.py b/x.py",
            "diff --cc x.py",
            "--- a/x.py",
            "+++ b/x.py",
            "--- /dev/null",
        ),
        *("@@ -1,2 +1,3 @@", "@@@ -1 -1 +1,2 @@@", "@@ -0,0 +1 @@ f()", "@@ -9999999999 +1 @@"),
        *(
            '+++ "b/\\303\\244.py"',
            "+++ /dev/null",
            "--- /dev/null",
            "\\ No newline at end of file",
        ),
        *(
            "+x = 1",
            "-x = 2",
            " x",
            "+++ x",
            "--- x",
            "",
            "   ",
            "\ufeff",
            "def f(a):",
            "    if a:",
        ),
        *(
            "1. a",
            "> b",
            "def f(a):",
            "    if a:",
            "漢字",
            "\0",
            "\x0c",
            "\ud7ff",
            "}",
            "{",
            "<?php",
            "#!/bin/sh",
            "`" * 9,
        ),
    )
)
ENDS = st.sampled_from(("\n", "\r\n", "\r", "\r\r\n"))


def joined(lines: list[str], end: str) -> str:
    return end.join(lines)


MESSAGES = st.builds(joined, st.lists(LINES, max_size=40), ENDS)

TOKENS = st.sampled_from(
    (
        *(
            "if",
            "else",
            "for",
            "while",
            "def",
            "function",
            "class",
            "try",
            "catch",
            "return",
            "end",
        ),
        *("(", ")", "{", "}", "[", "]", ";", ":", ",", "=", "==", "&&", "=>", "->", "::", "..."),
        *('"', "'", "`", "#", "//", "/*", "*/", "<!--", "<", ">", "$", "@", "\\", "%", "|", "&"),
        *("a", "x1", "0", "1.5", "\n", "\n    ", "\t", " ", "é", "漢", "\0", "\ud7ff", "eval"),
    )
)
CODE = st.lists(TOKENS, max_size=60).map(" ".join) | st.text(max_size=80)


@given(messages=st.lists(MESSAGES, min_size=1, max_size=3))
def test_any_message_is_extracted(messages: list[str]) -> None:
    sources = SourceExtractor()
    for number, message in enumerate(messages):
        sources.add_text(message)
        sources.add_file(f"{number}.patch", message)

    for source in sources.all():
        assert source.path
        for fragment in source.fragments:
            assert fragment.start >= 1
            assert "\r" not in fragment.text
        known = {n for f in source.fragments for n in range(f.start, f.end + 1)}
        assert source.complete or (source.changed or frozenset()) <= known


@settings(max_examples=settings().max_examples // 20, suppress_health_check=[HealthCheck.too_slow])
@given(texts=st.lists(CODE, min_size=1, max_size=4), complete=st.booleans())
def test_any_source_of_any_language_is_analyzed(texts: list[str], complete: bool) -> None:  # noqa: FBT001
    sources = [
        ReviewSource(
            path=f"{number}.{language.extensions[0]}",
            language=language.name,
            fragments=(Fragment(start=1 if complete else 40, text=text),),
            complete=complete,
        )
        for number, text in enumerate(texts)
        for language in LANGUAGES
    ]

    assert len(analyze(sources).files) == len(sources)
