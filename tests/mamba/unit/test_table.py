import pytest

from mamba.operate.table import ago, in_columns


def test_columns_are_aligned_and_numbers_stand_to_the_right() -> None:
    page = in_columns(("NAME", "COUNT"), [("a", 5), ("longer", 1234)], color=False)

    assert page.splitlines() == ["NAME    COUNT", "a           5", "longer   1234"]


def test_without_rows_the_heads_stand_alone() -> None:
    assert in_columns(("NAME", "COUNT"), [], color=False) == "NAME  COUNT"


def test_colours_are_used_where_they_are_wanted_alone() -> None:
    assert "\x1b" in in_columns(("NAME",), [("a",)], color=True)
    assert "\x1b" not in in_columns(("NAME",), [("a",)], color=False)


@pytest.mark.parametrize(
    ("milliseconds", "said"),
    [(0, "0.0s"), (-5, "0.0s"), (59_900, "59.9s"), (61_000, "1m01s"), (3_660_000, "1h01m")],
)
def test_a_time_span_is_as_short_as_it_can_be_read(milliseconds: float, said: str) -> None:
    assert ago(milliseconds) == said
