"""Lines of a limited width: tables that drop columns to fit, bars and sparklines."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.text import Text

from mamba.operate.table import printable

_GAP = 2
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_HEIGHTS = "▁▂▃▄▅▆▇█"


class Column(NamedTuple):
    header: str
    right: bool = False
    #: If the table is too wide, the highest rank is dropped first. 0 is never dropped.
    drop_rank: int = 0
    #: The column may be truncated to this width.
    min_width: int = 1000


def text(value: object, style: str = "") -> Text:
    """Return a cell without control characters, which could move the cursor."""
    return Text(printable(str(value)), style=style, no_wrap=True)


def grid(columns: Sequence[Column], rows: Sequence[Sequence[Text]], width: int) -> list[Text]:
    """Return a header line and a line per row, none wider than `width`."""
    cells = [[text(column.header, "bold") for column in columns], *rows]
    widths = [max(row[i].cell_len for row in cells) for i in range(len(columns))]
    shown = _fitting(columns, widths, width)
    return [
        _truncate(_line([(row[i], widths[i], columns[i].right) for i in shown]), width)
        for row in cells
    ]


def flow(items: Iterable[Text], width: int) -> list[Text]:
    """Put as many items on each line as fit."""
    lines: list[Text] = []
    for item in items:
        if lines and lines[-1].cell_len + _GAP + 1 + item.cell_len <= width:
            lines[-1] = Text.assemble(lines[-1], " " * (_GAP + 1), item, no_wrap=True)
        else:
            lines.append(_truncate(item, width))
    return lines


def justify(left: Text, right: Text, width: int) -> Text:
    """Put one text at each end of a line, or only the left one if both do not fit."""
    gap = width - left.cell_len - right.cell_len
    if gap < 1:
        return _truncate(left, width)
    return Text.assemble(left, " " * gap, right, no_wrap=True)


def bar(share: float, width: int, style: str) -> Text:
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    if share > 0:
        eighths = max(1, eighths)
    full, rest = divmod(eighths, 8)
    filled = "█" * full + (_EIGHTHS[rest] if rest else "")
    return Text.assemble((filled, style), ("░" * (width - cell_len(filled)), "dim"), no_wrap=True)


def sparkline(values: Sequence[float | None], style: str) -> Text:
    """Return one character per value, scaled to the highest. None is a blank."""
    highest = max((value for value in values if value is not None), default=0) or 1
    marks = [" " if value is None else _HEIGHTS[round(value / highest * 7)] for value in values]
    return Text("".join(marks), style=style, no_wrap=True)


def _fitting(columns: Sequence[Column], widths: list[int], width: int) -> list[int]:
    """Return the indices of the columns to show, and shrink their `widths` in place."""
    shown, full_widths = list(range(len(columns))), list(widths)

    def excess() -> int:
        return sum(widths[i] for i in shown) + _GAP * (len(shown) - 1) - width

    def shrink(indices: Iterable[int]) -> None:
        for i in indices:
            widths[i] -= min(max(0, excess()), max(0, widths[i] - columns[i].min_width))

    while excess() > 0 and (droppable := [i for i in shown if columns[i].drop_rank]):
        droppable.sort(key=lambda i: -columns[i].drop_rank)
        shrink(droppable)
        if excess() > 0:
            shown.remove(droppable[0])
            widths[:] = full_widths
    shrink(shown)
    return shown


def _line(cells: Sequence[tuple[Text, int, bool]]) -> Text:
    line = Text(no_wrap=True)
    for number, (cell, width, right) in enumerate(cells):
        padded = _truncate(cell, width)
        padded.align("right" if right else "left", width)
        line.append_text(Text(" " * _GAP if number else ""))
        line.append_text(padded)
    return line


def _truncate(line: Text, width: int) -> Text:
    if line.cell_len > width:
        line = line.copy()
        line.truncate(width, overflow="ellipsis")
    return line
