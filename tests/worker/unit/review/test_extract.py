from textwrap import dedent

from worker.review.extract import SourceExtractor
from worker.review.source import ReviewSource

DIFF = """\
diff --git a/app/cart.py b/app/cart.py
--- a/app/cart.py
+++ b/app/cart.py
@@ -10,4 +10,5 @@ def total(cart):
     total = 0
-    for item in cart:
+    for item in cart.items:
+        check(item)
         total += item.price
     return total
"""


def found_in(text: str) -> list[ReviewSource]:
    sources = SourceExtractor()
    sources.add_text(text)
    return sources.all()


def test_fenced_block_becomes_a_file() -> None:
    [source] = found_in("Is this right?\n```py\nx = 1\n```\nThanks")

    assert (source.path, source.language) == ("block-1.py", "python")
    assert source.fragments[0].text == "x = 1\n"
    assert source.complete


def test_info_string_sets_the_file_name() -> None:
    infos = ('ts title="src/cart.ts"', "ts src/cart.ts", "ts:src/cart.ts", "src/cart.ts")

    assert [found_in(f"```{info}\nx\n```")[0].path for info in infos] == ["src/cart.ts"] * 4
    assert {found_in(f"```{info}\nx\n```")[0].language for info in infos} == {"typescript"}


def test_longer_fence_encloses_a_shorter_one() -> None:
    [source] = found_in("~~~~md\n```py\nx\n```\n~~~~\n```py\ny = 1\n```")

    assert source.fragments[0].text == "y = 1\n"


def test_block_without_known_language_or_name_is_ignored() -> None:
    assert found_in("```\nsome output\n```") == []
    assert found_in("```mermaid\ngraph\n```") == []


def test_unclosed_block_is_extracted() -> None:
    [source] = found_in("```js\nconst a = 1\n")

    assert source.fragments[0].text == "const a = 1\n"


def test_diff_sets_line_numbers_and_changed_lines() -> None:
    for text in (DIFF, f"Please review:\n{DIFF}", f"```diff\n{DIFF}```", f"```\n{DIFF}```"):
        [source] = found_in(text)

        assert (source.path, source.language) == ("app/cart.py", "python")
        assert source.changed == {11, 12}
        assert not source.complete
        [fragment] = source.fragments
        assert (fragment.start, fragment.end) == (10, 14)
        assert "cart.items" in fragment.text
        assert "in cart:" not in fragment.text


def test_hunk_length_comes_from_its_lines_not_its_header() -> None:
    wrong = DIFF.replace("-10,4 +10,5", "-10,9 +10,2") + DIFF.replace("cart.py", "till.py")

    assert [(s.path, s.changed) for s in found_in(wrong)] == [
        ("app/cart.py", {11, 12}),
        ("app/till.py", {11, 12}),
    ]


def test_diff_that_adds_a_file_is_complete() -> None:
    [source] = found_in("--- /dev/null\n+++ b/new.go\n@@ -0,0 +1,2 @@\n+package a\n+var b int\n")

    assert source.complete
    assert source.changed == {1, 2}


def test_removed_file_and_invalid_diff_are_ignored() -> None:
    assert found_in("--- a/old.go\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-package a\n") == []
    assert found_in("```diff\n--- a/x.py\n+++ b/x.py\n@@ what @@\n what\n```") == []


def test_diff_and_complete_file_are_combined() -> None:
    whole = "\n" * 9 + dedent("""\
            total = 0
            for item in cart.items:
                check(item)
    """)
    for first in (True, False):
        sources = SourceExtractor()
        if first:
            sources.add_file("app/cart.py", whole)
        sources.add_text(DIFF)
        if not first:
            sources.add_file("app/cart.py", whole)

        [source] = sources.all()
        assert source.complete
        assert source.changed == {11, 12}


def test_patch_file_is_parsed_as_diff() -> None:
    sources = SourceExtractor()
    sources.add_file("fix.patch", DIFF)

    assert [source.path for source in sources.all()] == ["app/cart.py"]


def test_later_version_of_a_file_replaces_the_earlier() -> None:
    sources = SourceExtractor()
    sources.add_file("a.py", "x = 1")
    sources.add_file("a.py", "x = 2")

    [source] = sources.all()
    assert source.fragments[0].text == "x = 2"


def test_long_fence_line_is_parsed_in_linear_time() -> None:
    """Backtracking over each length would take hours."""
    assert found_in(f"```{' ' * 1_000_000}`\n") == []
    assert found_in(f"{'~' * 1_000_000}`") == []


def test_diff_with_huge_line_numbers_is_ignored() -> None:
    digits = "9" * 5000

    assert found_in(DIFF.replace("+10,5", f"+{digits},5")) == []
