"""Lines of a given width: columns that give way where there is little room, bars and sparklines."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.text import Text

from mamba.operate.table import printable

_GAP = 2
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_HEIGHTS = "▁▂▃▄▅▆▇█"


class Column(NamedTuple):
    head: str
    right: bool = False
    #: Of the columns that do not fit those with the highest go first; 0: it stays.
    rank: int = 0
    #: The width to which it may be cut.
    least: int = 1000


def text(value: object, style: str = "") -> Text:
    """A cell. What comes from outside cannot move the cursor."""
    return Text(printable(str(value)), style=style, no_wrap=True)


def grid(columns: Sequence[Column], rows: Sequence[Sequence[Text]], width: int) -> list[Text]:
    """A line of heads and one a row, none wider than the terminal."""
    cells = [[text(column.head, "bold") for column in columns], *rows]
    widths = [max(row[i].cell_len for row in cells) for i in range(len(columns))]
    shown = _fitting(columns, widths, width)
    return [
        _cut(_line([(row[i], widths[i], columns[i].right) for i in shown]), width) for row in cells
    ]


def flow(items: Iterable[Text], width: int) -> list[Text]:
    """As many items a line as there is room for."""
    lines: list[Text] = []
    for item in items:
        if lines and lines[-1].cell_len + _GAP + 1 + item.cell_len <= width:
            lines[-1] = Text.assemble(lines[-1], " " * (_GAP + 1), item, no_wrap=True)
        else:
            lines.append(_cut(item, width))
    return lines


def apart(left: Text, right: Text, width: int) -> Text:
    """One text at either end of a line; of two that do not fit the left one."""
    room = width - left.cell_len - right.cell_len
    if room < 1:
        return _cut(left, width)
    return Text.assemble(left, " " * room, right, no_wrap=True)


def bar(share: float, width: int, style: str) -> Text:
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    if share > 0:
        eighths = max(1, eighths)
    full, rest = divmod(eighths, 8)
    filled = "█" * full + (_EIGHTHS[rest] if rest else "")
    return Text.assemble((filled, style), ("░" * (width - cell_len(filled)), "dim"), no_wrap=True)


def sparkline(values: Sequence[float | None], style: str) -> Text:
    """One character a value, the highest of them as a whole block; None is a blank."""
    top = max((value for value in values if value is not None), default=0) or 1
    marks = [" " if value is None else _HEIGHTS[round(value / top * 7)] for value in values]
    return Text("".join(marks), style=style, no_wrap=True)


def _fitting(columns: Sequence[Column], widths: list[int], width: int) -> list[int]:
    """Which columns are shown, once some are left out, and some were cut in `widths`."""
    shown, natural = list(range(len(columns))), list(widths)

    def excess() -> int:
        return sum(widths[i] for i in shown) + _GAP * (len(shown) - 1) - width

    def cut(columns_at: Iterable[int]) -> None:
        for i in columns_at:
            widths[i] -= min(max(0, excess()), max(0, widths[i] - columns[i].least))

    while excess() > 0 and (going := [i for i in shown if columns[i].rank]):
        going.sort(key=lambda i: -columns[i].rank)
        cut(going)
        if excess() > 0:
            shown.remove(going[0])
            widths[:] = natural
    cut(shown)
    return shown


def _line(cells: Sequence[tuple[Text, int, bool]]) -> Text:
    line = Text(no_wrap=True)
    for number, (cell, width, right) in enumerate(cells):
        padded = _cut(cell, width)
        padded.align("right" if right else "left", width)
        line.append_text(Text(" " * _GAP if number else ""))
        line.append_text(padded)
    return line


def _cut(line: Text, width: int) -> Text:
    if line.cell_len > width:
        line = line.copy()
        line.truncate(width, overflow="ellipsis")
    return line
