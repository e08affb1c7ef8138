from itertools import pairwise

import pytest

from tests.support.unit.review import source
from worker.review.analysis import analyze
from worker.review.findings import SEVERITY_ORDER, Finding
from worker.review.language import language_by_path
from worker.review.source import Fragment, ReviewSource

TANGLE = "def tangle(a, b):\n" + "".join(
    f"    if a == {n} and b:\n        return {n}\n" for n in range(9)
)
PASSAGE = "\n".join(f"    total_{n} = price[{n}] * amount + rate({n}, tax)" for n in range(10))


def hunk(path: str, start: int, text: str) -> ReviewSource:
    language = language_by_path(path)
    changed = frozenset(range(start, start + text.count("\n") + 1))
    return ReviewSource(
        path=path,
        language=language.name if language else None,
        fragments=(Fragment(start=start, text=text),),
        complete=False,
        changed=changed,
    )


def findings(*sources: ReviewSource) -> list[Finding]:
    return list(analyze(sources).findings)


def rules(*sources: ReviewSource) -> set[str]:
    return {finding.rule for finding in findings(*sources)}


CLEAN = {
    "clean.py": "def add(left: int, right: int) -> int:\n    return left + right\n",
    "clean.ts": "export const add = (a: number, b: number): number => a + b;\n"
    "if (add(1, 2) === 3) { run(); }\nif (x == null) { run(); }\n"
    "try { run(); } catch { /* ignored */ }\nel.innerHTML = '<b>fixed</b>';\n",
    "clean.go": "package a\n\nfunc add(a, b int) (int, error) {\n\tx, err := f()\n"
    "\tif err != nil {\n\t\treturn 0, err\n\t}\n\treturn a + b + x, nil\n}\n",
    "clean.rs": "fn add(a: i32, b: i32) -> i32 { a + b }\n",
    "clean.java": 'class A { boolean f(String a) { return "x".equals(a); } }\n',
    "clean.c": "int add(int a, int b) { if (a == b) { return a; } return a + b; }\n",
    "clean.cpp": "int add(int a, int b) { if (a == b) { return a; } return a + b; }\n",
    "clean.sh": 'rm -rf "${FOLDER:?}/x"\necho done\n',
    "clean.kt": "fun add(a: Int, b: Int): Int = a + b\n",
    "clean.rb": "def add(a, b)\n  a + b\nend\n",
    "clean.php": "<?php function add($a, $b) { return $a + $b; }\n",
    "clean.cs": "class A { int Add(int a, int b) { return a + b; } }\n",
    "clean.tsx": "const a = <b>{text}</b>;\n",
}


@pytest.mark.parametrize("path", CLEAN)
def test_clean_code_has_no_findings(path: str) -> None:
    assert findings(source(path, CLEAN[path])) == []


def test_python_is_linted() -> None:
    text = "import subprocess\n\n\ndef run(line, seen=[]):\n    subprocess.run(line, shell=True)\n"
    found = {finding.rule: finding for finding in findings(source("a.py", text))}

    assert found["ruff:B006"].line == 4
    assert found["ruff:S602"].category == "security"
    assert found["ruff:S602"].severity == "high"


def test_noqa_comment_does_not_suppress_findings() -> None:
    assert "ruff:S307" in rules(source("a.py", "print(eval(input()))  # noqa\n"))


def test_hunk_skips_rules_that_need_the_complete_file() -> None:
    part = "        self.total += tax(item)\n        return [x for x in range(9)]\n"

    assert rules(hunk("a.py", 40, part)) <= {"ruff:C416"}
    [found] = findings(hunk("a.py", 40, "        eval(line)\n"))
    assert (found.rule, found.line) == ("ruff:S307", 40)


def test_hunk_ending_inside_a_function_is_linted_up_to_there() -> None:
    part = (
        "            return 1\n        rate = eval(rates)\n        return rate\n"
        "\n    def empty(self):\n"
    )
    found = findings(hunk("a.py", 40, part))

    assert [(f.rule, f.line) for f in found] == [("ruff:S307", 41)]


def test_complex_function_is_reported() -> None:
    report = analyze([source("a.py", TANGLE)])

    [function] = report.files[0].functions
    assert (function.name, function.complexity, function.parameters) == ("tangle", 19, 2)
    [found] = [f for f in report.findings if f.rule == "metrics:complexity"]
    assert found.severity == "medium"
    assert "tangle" in found.message
    assert report.files[0].maintainability is not None


def test_functions_of_other_languages_are_measured() -> None:
    text = "function deep(a) { if (a) { for (;;) { while (a) { if (a) { switch (a) { } } } } } }\n"
    report = analyze([source("a.ts", text)])

    [function] = report.files[0].functions
    assert (function.name, function.nesting) == ("deep", 5)
    assert [f.rule for f in report.findings] == ["metrics:nesting"]


def test_duplicate_code_is_found_across_files() -> None:
    one = f"def one(price, amount, rate, tax):\n{PASSAGE}\n"
    two = f"def two(price, amount, rate, tax):\n{PASSAGE}\n"
    found = [
        f for f in findings(source("a.py", one), source("b.py", two)) if f.rule == "duplication"
    ]

    [repeated] = found
    assert (repeated.path, repeated.line) == ("b.py", 1)
    assert repeated.message.startswith("These lines duplicate a.py:1-")


def test_findings_outside_the_diff_are_left_out() -> None:
    text = "print(eval(input()))\n\n\nprint(eval(input()))\n"
    report = analyze([source("a.py", text, changed=frozenset({4}))])

    assert {finding.line for finding in report.findings} == {4}
    assert (report.unchanged, report.cut) == (1, 0)


def test_findings_are_sorted_by_severity() -> None:
    text = "import os\n\n\ndef f(seen=[]):\n    return eval(seen)\n"
    severities = [SEVERITY_ORDER[f.severity] for f in findings(source("a.py", text))]

    assert len(set(severities)) == 3
    assert all(before <= after for before, after in pairwise(severities))


@pytest.mark.parametrize(
    "text", ["def f(:\n", "((((" * 5000, "\x00", "", "x = '\ud7ff'\n", "f" * 100_000]
)
def test_unparsable_code_is_analyzed_without_error(text: str) -> None:
    for path in ("a.py", "a.ts", "a.c", "a.json", "a.unknown"):
        assert analyze([source(path, text)]).files[0].path == path


def test_macros_of_c_are_no_syntax_errors() -> None:
    assert (
        findings(source("a.c", "BEGIN_DECLS\nextern int f (int) THROW NONNULL ((1));\n}\n")) == []
    )


def test_errors_of_data_formats_are_found() -> None:
    for path, text in {
        "a.json": '{"a": 1, "b": }',
        "b.json": '{"a": 1,\n"a": 2}',
        "a.yaml": "a: [1\nb: }",
        "b.yaml": "a: 1\nb: 2\na: 3\n",
    }.items():
        assert [f.severity for f in findings(source(path, text))] == ["medium"]
    assert findings(source("c.yaml", "a: {b: 1}\nc:\n  b: 1\n  d: &x\n    b: 1\n")) == []
