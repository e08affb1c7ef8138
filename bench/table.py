"""The results of the benchmark: rows of a table, with targets and verdicts."""

import operator
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

README = Path(__file__).with_name("README.md")
_HEADERS = ("measurement", "Mamba", "direct", "result", "target", "verdict")


class Goal(NamedTuple):
    """A bound of a result: of a ratio if the unit is ×."""

    at_least: bool
    bound: float
    unit: str = "×"

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.bound:g} {self.unit}".strip()

    def is_met(self, value: float) -> bool:
        return (operator.ge if self.at_least else operator.le)(value, self.bound)


class Row(NamedTuple):
    title: str
    mamba: str
    direct: str = ""
    result: str = ""
    target: str = ""
    met: bool | None = None

    def cells(self) -> tuple[str, ...]:
        verdict = {True: "met", False: "missed", None: ""}[self.met]
        return (*self[:5], verdict)


def at_least(bound: float, unit: str = "×") -> Goal:
    return Goal(at_least=True, bound=bound, unit=unit)


def at_most(bound: float, unit: str = "×") -> Goal:
    return Goal(at_least=False, bound=bound, unit=unit)


def compare(title: str, pairs: Sequence[tuple[float, float]], goal: Goal | None = None) -> Row:
    """Return the row of a value of Mamba and of the direct server, measured alternately.

    Each value is a median, and the ratio is the median of the ratios.
    """
    mamba, direct = (statistics.median(values) for values in zip(*pairs, strict=True))
    ratio = statistics.median(of_mamba / of_direct for of_mamba, of_direct in pairs)
    return Row(
        title,
        number(mamba),
        number(direct),
        f"{number(ratio)} ×",
        str(goal or ""),
        goal and goal.is_met(ratio),
    )


def single(title: str, value: float, goal: Goal | None = None, unit: str = "") -> Row:
    """Return the row of a value that only Mamba has."""
    unit = goal.unit if goal else unit
    met = goal and goal.is_met(value)
    return Row(title, f"{number(value)} {unit}".strip(), target=str(goal or ""), met=met)


def number(value: float) -> str:
    """Return three digits, or all digits of a large number."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def markdown(rows: Iterable[Row]) -> str:
    lines = [_HEADERS, ("---",) * len(_HEADERS), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def write_section(name: str, text: str, page: Path = README) -> None:
    """Replace the text between the markers `<!-- name -->` and `<!-- end of name -->`."""
    start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, _, rest = page.read_text().partition(start)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{start}\n{text}\n\n{end}{after}")
