"""Functions are measured on the syntax tree of each language."""

import pytest

from worker.review.control_flow import CONTROL_FLOW
from worker.review.findings import FunctionMetrics
from worker.review.functions import measure_functions

#: Two conditions in an `if`, one in its `else if`, and three nested loops.
LOOPS = "while (a) { while (b) { while (c) { k(); } } }"
IFS = "if (a && b) { g(); } else if (c) { h(); } else { i(); }"

SAMPLES = {
    "python": """
def f(a, b, *c):
    if a and b:
        g()
    elif c:
        h()
    else:
        i()
    while a:
        while b:
            while c:
                k()
""",
    "javascript": f"function f(a, b, ...c) {{ {IFS} {LOOPS} }}",
    "typescript": f"function f(a: A, b = 1, ...c: C[]): void {{ {IFS} {LOOPS} }}",
    "tsx": f"function f(a: A, b = 1, ...c: C[]) {{ {IFS} {LOOPS} }}",
    "java": f"class A {{ void f(int a, int b, int c) {{ {IFS} {LOOPS} }} }}",
    "kotlin": f"fun f(a: Int, b: Int, c: Int) {{ {IFS}\n{LOOPS} }}",
    "scala": f"object A {{ def f(a: Int, b: Int)(c: Int): Unit = {{ {IFS}\n{LOOPS} }} }}",
    "go": """package a
func f(a, b bool, c int) {
    if a && b { g() } else if c { h() } else { i() }
    for a { for b { for c { k() } } }
}""",
    "rust": """fn f(&self, a: A, b: B, c: C) {
    if a && b { g(); } else if c { h(); } else { i(); }
    while a { while b { while c { k(); } } }
}""",
    "c": f"static int *f(int a, char *b, int c) {{ {IFS} {LOOPS} }}",
    "cpp": f"void f(int a, const B &b, C &&c) {{ {IFS} {LOOPS} }}",
    "csharp": f"class A {{ void f(int a, int b, int c) {{ {IFS} {LOOPS} }} }}",
    "ruby": """def f(a, b = 1, *c)
  if a && b
    g
  elsif c
    h
  else
    i
  end
  while a
    while b
      while c
        k
      end
    end
  end
end""",
    "php": """<?php function f($a, $b, $c) {
    if ($a && $b) { g(); } elseif ($c) { h(); } else { i(); }
    while ($a) { while ($b) { while ($c) { k(); } } }
}""",
    "swift": """func f(a: A, b: B, c: C) {
    if a && b { g() } else if c { h() } else { i() }
    while a { while b { while c { k() } } }
}""",
    "lua": """function f(a, b, c)
  if a and b then g() elseif c then h() else i() end
  while a do while b do while c do k() end end end
end""",
    "solidity": f"contract A {{ function f(uint a, uint b, uint c) public {{ {IFS} {LOOPS} }} }}",
    "bash": """f() {
  if a && b; then g; elif c; then h; else i; fi
  while a; do while b; do while c; do k; done; done; done
}""",
}


def measured(language: str) -> FunctionMetrics:
    [function] = measure_functions(SAMPLES[language], language)
    return function


@pytest.mark.parametrize("language", CONTROL_FLOW)
def test_each_language_is_measured(language: str) -> None:
    function = measured(language)

    assert function.name == "f"
    assert (function.complexity, function.nesting) == (7, 3)
    assert function.parameters == (0 if language == "bash" else 3)


def test_functions_side_by_side_are_not_nested() -> None:
    text = "".join(f"def f{n}(a):\n    if a:\n        return {n}\n\n\n" for n in range(12))

    assert [f.nesting for f in measure_functions(text, "python")] == [1] * 12


def test_methods_are_not_nested_in_their_class() -> None:
    text = (
        "class A:\n    if x:\n        def f(self, a):\n            def g():\n"
        "                if a: pass\n"
    )

    assert [(f.name, f.nesting, f.parameters) for f in measure_functions(text, "python")] == [
        ("f", 0, 1),
        ("g", 1, 0),
    ]


def test_chain_of_else_if_is_one_level() -> None:
    text = "void f(int a) { " + " else ".join(f"if (a == {n}) {{ g(); }}" for n in range(9)) + " }"

    for language in ("c", "cpp", "java", "csharp"):
        code = text if language in ("c", "cpp") else f"class A {{ {text} }}"
        [function] = measure_functions(code, language)
        assert (function.nesting, function.complexity) == (1, 10)


def test_comments_and_docstrings_have_no_length() -> None:
    text = 'def f():\n    """One.\n\n    Two.\n    """\n    # three\n\n    return 4  # five\n'
    [function] = measure_functions(text, "python")

    assert (function.length, function.end_line) == (2, 8)


def test_short_anonymous_functions_belong_to_their_function() -> None:
    text = (
        "const f = (a) => {\n  return a.map(x => x ? 1 : 2);\n};\n"
        "xs.each(function () {\n  g();\n});\n"
    )

    names = [f.name for f in measure_functions(text, "javascript")]
    assert names == ["f", "(anonymous)"]
