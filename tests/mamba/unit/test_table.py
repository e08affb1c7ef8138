import pytest

from mamba.operate.table import duration, in_columns


def test_columns_are_aligned_and_numbers_right_aligned() -> None:
    page = in_columns(("NAME", "COUNT"), [("a", 5), ("longer", 1234)], color=False)

    assert page.splitlines() == ["NAME    COUNT", "a           5", "longer   1234"]


def test_table_without_rows_has_only_headers() -> None:
    assert in_columns(("NAME", "COUNT"), [], color=False) == "NAME  COUNT"


def test_table_is_colored_only_on_request() -> None:
    assert "\x1b" in in_columns(("NAME",), [("a",)], color=True)
    assert "\x1b" not in in_columns(("NAME",), [("a",)], color=False)


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [(0, "0.0s"), (-5, "0.0s"), (59_900, "59.9s"), (61_000, "1m01s"), (3_660_000, "1h01m")],
)
def test_duration_uses_its_two_largest_units(milliseconds: float, expected: str) -> None:
    assert duration(milliseconds) == expected
