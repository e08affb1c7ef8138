import time
from textwrap import dedent

import pytest

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


def blocks(text: str) -> list[tuple[str, str]]:
    return [(s.path, s.fragments[0].text) for s in found_in(text)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_do_not_matter(end: str) -> None:
    fences = "Hi\n```py\nx = 1\n```\nand\n~~~js\nlet a\n~~~\nbye\n".replace("\n", end)
    [diff] = found_in(f"Please review:\n{DIFF}".replace("\n", end))

    assert blocks(fences) == [("block-1.py", "x = 1\n"), ("block-2.js", "let a\n")]
    assert (diff.path, diff.changed) == ("app/cart.py", {11, 12})
    assert "\r" not in diff.fragments[0].text


@pytest.mark.parametrize(
    "text",
    [
        "1. Do:\n\n   ```py\n   if x:\n       y\n   ```\n2. more",
        "- a\n\t```py\n\tif x:\n\t    y\n\t```\n",
        "- ```py\n  if x:\n      y\n  ```\n- b",
        "- a\n  - ```py\n    if x:\n        y\n    ```\n",
        "1. Do:\n   ```py\nif x:\n    y\n   ```\n",
        "> ```py\n> if x:\n>     y\n> ```\nafter",
        "> ```py\n> if x:\n>     y\nThe quotation has ended.",
        "\ufeff```py\nif x:\n    y\n```",
        "~~~~~ py\nif x:\n    y\n~~~~~~",
        '```py title="x"\nif x:\n    y\n```',
        "```\tpy\nif x:\n    y\n```\t",
        "``` {.py .numberLines}\nif x:\n    y\n```",
        "```language-py\nif x:\n    y\n",
        "- a:\n  ```py\n  if x:\n      y\n- The item has ended.",
    ],
)
def test_fence_is_found_in_every_position(text: str) -> None:
    assert blocks(text) == [("block-1.py", "if x:\n    y\n")]


def test_unclosed_fence_in_a_list_ends_with_its_item() -> None:
    text = "- a:\n  ```py\n  x = 1\n- b:\n  ```js\n  let y\n  ```\n"

    assert blocks(text) == [("block-1.py", "x = 1\n"), ("block-2.js", "let y\n")]


def test_fence_inside_code_does_not_close_the_block() -> None:
    text = '```py\ndef f():\n    """\n    ```\n    x\n    ```\n    """\n```\nend'

    [(path, code)] = blocks(text)
    assert path == "block-1.py"
    assert code.endswith('"""\n')


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('"a/\\303\\244.py" "b/\\303\\244.py"', "ä.py"),
        ('"a/a b\\tc.py" "b/a b\\tc.py"', "a b\tc.py"),
        ("a/two words.py b/two words.py", "two words.py"),
    ],
)
def test_paths_of_diffs_are_decoded(text: str, path: str) -> None:
    old, new = (text.split('" "') if '"' in text else text.split(" b/"))[0], text
    old = f'{old}"' if '"' in text else old
    new = text[len(old) + 1 :]
    hunk = "@@ -1 +1 @@\n-x\n+y\n"
    for diff in (
        f"diff --git {text}\n--- {old}\t\n+++ {new}\t\n{hunk}",
        f"diff --git {text}\nindex 1..2 100644\n{hunk}",
    ):
        [source] = found_in(diff)

        assert (source.path, source.changed) == (path, {1})


def test_prefixes_of_diffs_are_removed() -> None:
    pairs = {"a/b.py": "b/b.py", "i/b.py": "w/b.py", "b.py": "b.py", "b.py\t(old)": "b.py\t(new)"}
    for old, new in pairs.items():
        [source] = found_in(f"--- {old}\n+++ {new}\n@@ -1 +1 @@\n-x\n+y\n")

        assert source.path == "b.py"


COMBINED = """\
diff --cc shop/cart.py
index 1f2e3d4,5a6b7c8..9d8e7f6
--- a/shop/cart.py
+++ b/shop/cart.py
@@@ -1,4 -1,4 +1,5 @@@
  def total(cart):
-     total = 0
 -    total = 1
++    total = 2
 +    check(cart)
      return total
"""


@pytest.mark.parametrize(
    "text", [COMBINED, f"```diff\n{COMBINED}```", COMBINED[:22] + COMBINED[50:]]
)
def test_combined_diff_has_the_lines_of_the_merge(text: str) -> None:
    [source] = found_in(text)

    assert (source.path, source.changed) == ("shop/cart.py", {2, 3})
    expected = "def total(cart):\n    total = 2\n    check(cart)\n    return total\n"
    assert source.fragments[0].text == expected


def test_changed_lines_may_look_like_file_headers() -> None:
    diff = (
        "--- a/q.sql\n+++ b/q.sql\n@@ -1,4 +1,4 @@\n a\n--- old\n+++ new\n b\n-c\n+d\n"
        "@@ -9 +9 @@\n-e\n+++ f\n"
    )
    [source] = found_in(diff)

    assert [f.text for f in source.fragments] == ["a\n++ new\nb\nd\n", "++ f\n"]
    assert source.changed == {2, 4, 9}


def test_renames_binaries_and_missing_newlines_are_understood() -> None:
    diff = (
        "diff --git a/x.png b/x.png\nBinary files a/x.png and b/x.png differ\n"
        "diff --git a/y.bin b/y.bin\nGIT binary patch\nliteral 5\nMc$`b\n\n"
        "diff --git a/m.sh b/m.sh\nold mode 100644\nnew mode 100755\n"
        "diff --git a/old.py b/new.py\nsimilarity index 90%\nrename from old.py\n"
        "rename to new.py\n--- a/old.py\n+++ b/new.py\n@@ -1,2 +1,2 @@\n x\n-y\n"
        "\\ No newline at end of file\n+z\n\\ No newline at end of file\n-- \n2.40.0\n"
    )
    [source] = found_in(diff)

    assert (source.path, source.changed) == ("new.py", {2})
    assert source.fragments[0].text == "x\nz\n"


def test_diff_that_contains_fences_is_not_cut() -> None:
    diff = (
        "diff --git a/R.md b/R.md\n--- a/R.md\n+++ b/R.md\n@@ -1,3 +1,3 @@\n ```py\n-x = 1\n"
        "+x = 2\n ```\nPlease check this too:\n```js\nlet a\n```\n"
    )

    assert [source.path for source in found_in(diff)] == ["R.md", "block-1.js"]


def test_form_feed_is_not_a_line_end() -> None:
    diff = "--- a/x.py\n+++ b/x.py\n@@ -1,3 +1,3 @@\n a\x0cb\u2028c\n-x\n+y\n z\n"
    [source] = found_in(diff)

    assert source.changed == {2}
    assert source.fragments[0].text == "a\x0cb\u2028c\ny\nz\n"


def test_changes_without_a_file_header_are_reviewed() -> None:
    for text in (
        "```diff\n-x = 1\n+print(2)\n```",
        "```diff app.py\n@@ -1 +1 @@\n-x\n+print(2)\n```",
    ):
        [source] = found_in(text)

        assert (source.language, source.changed) == ("python", {1})


CODE = {
    "python": "import os\n\ndef f(a):\n    return os.path.join(a)\n\nprint(f('x'))\n",
    "javascript": "const a = 1;\nfunction f(x) {\n  console.log(x === a);\n}\n",
    "typescript": "interface A {\n  name: string;\n}\nconst a: A = { name: 'x' };\n",
    "java": (
        "public class A {\n  public static void main(String[] a) {\n"
        '    System.out.println("x");\n  }\n}\n'
    ),
    "kotlin": "data class A(val x: Int)\nfun f(a: A): Int {\n    val y = a.x\n    return y\n}\n",
    "go": 'package main\n\nimport "fmt"\n\nfunc main() {\n\tfmt.Println("x")\n}\n',
    "rust": 'fn main() {\n    let mut x = 1;\n    x += 1;\n    println!("{}", x);\n}\n',
    "c": '#include <stdio.h>\nint main(void) {\n    printf("x");\n    return 0;\n}\n',
    "cpp": "#include <vector>\nint main() {\n    std::vector<int> a;\n    return a.size();\n}\n",
    "csharp": (
        "using System;\nclass A {\n    public int X { get; set; }\n"
        "    public void F() { Console.WriteLine(X); }\n}\n"
    ),
    "ruby": "def f(a)\n  puts a\nend\n",
    "php": "<?php\n$a = 1;\necho $a;\n",
    "swift": (
        "import Foundation\nfunc f(a: Int?) -> Int {\n"
        "    guard let b = a else { return 0 }\n    return b\n}\n"
    ),
    "lua": "local function f(a)\n  if a then\n    return a\n  end\nend\n",
    "solidity": (
        "pragma solidity 0.8.0;\ncontract A {\n    uint x;\n    function f() public { x = 1; }\n}\n"
    ),
    "scala": (
        "object A {\n  def f(x: Int): Int = x match {\n    case 1 => 2\n    case _ => 3\n  }\n}\n"
    ),
    "bash": "set -e\nfor f in *.txt; do\n  echo $f\ndone\n",
    "html": "<!DOCTYPE html>\n<html>\n<body><p>x</p></body>\n</html>\n",
    "css": ".a {\n  color: red;\n}\n",
    "json": '{\n  "a": 1,\n  "b": [1, 2]\n}\n',
    "yaml": "name: x\non: push\njobs:\n  a:\n    steps: 1\n",
}


@pytest.mark.parametrize("language", CODE)
def test_language_of_a_block_without_one_is_guessed(language: str) -> None:
    [source] = found_in(f"```\n{CODE[language]}```")

    assert source.language == language


def test_message_that_is_code_is_reviewed() -> None:
    [source] = found_in(CODE["python"])

    assert (source.language, source.fragments[0].text) == ("python", CODE["python"])


@pytest.mark.parametrize(
    "text",
    [
        "Please import os in your head.\nThen for example: do it.",
        "Hello, how are you?",
        "12:00 INFO started\n12:01 ERROR failed",
        "Dear team:\n- one\n- two\n",
        "$ ls\na.txt  b.txt\n",
    ],
)
def test_prose_and_output_are_not_code(text: str) -> None:
    assert found_in(text) == []
    assert found_in(f"```\n{text}\n```") == []


def test_what_is_left_out_is_noted() -> None:
    sources = SourceExtractor()
    sources.add_text("```py\nx\n```\n" * 550_000)
    sources.add_text("```\nsome output\n```")
    sources.add_file("large.py", "x" * 1_500_000)
    sources.add_file("all.patch", "--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n" * 2_001)

    assert len(sources.all()) == 200
    note = sources.note()
    assert note is not None
    for reason in (
        "2,000,000 characters",
        "2,000 of a message",
        "2,000 of a file",
        "200 or",
        "known language",
        "files with",
    ):
        assert reason in note


def test_newest_files_are_kept() -> None:
    sources = SourceExtractor()
    for number in range(300):
        sources.add_file(f"{number}.py", "x = 1\n" * 1000)

    assert sources.all()[-1].path == "299.py"
    assert sum(source.chars for source in sources.all()) <= 1_000_000


def test_fences_without_end_are_read_in_bounded_time() -> None:
    started = time.process_time()
    assert found_in("```py\nx = 1\n```\n" + "- ```\n  x\n" * 20_000)
    assert time.process_time() - started < 10
