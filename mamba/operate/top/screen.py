"""The whole screen, as lines that fit it."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from mamba.operate.top.charts import CHARTS, charts
from mamba.operate.top.grid import grid, text
from mamba.operate.top.header import header
from mamba.operate.top.panels import TopPanel, failures, queues, runs, workers
from shared.processes.snapshot import SystemOverview

#: Lines that a panel has where there is room for it at all: its heads, and a row.
_LEAST = 2
#: From so many lines on each panel has a blank one before it.
_AIRY = 32


@dataclass
class View:
    """How it is looked at."""

    #: Where the house is.
    where: str
    paused: bool = False
    selected: str | None = None
    #: The last line: a question, or what became of it.
    said: str = ""


_KEYS = "q quit  p pause  ↑↓ select a run  x stop it"


def picture(seen: SystemOverview, view: View, width: int, height: int | None) -> list[Text]:
    """Lines of `width` at most, and `height` of them; without a height as many as there are."""
    state = "paused" if view.paused else ""
    top = header(seen, view.where, state, width)
    panels = [queues(seen), workers(seen), runs(seen, view.selected), failures(seen)]
    if height is None:
        drawn = charts(seen.samples, seen.at, width, len(CHARTS))
        whole = [[Text(), *_draw(panel, width, 1000)] for panel in panels]
        return _greyed([*top, Text(), *drawn, *(line for lines in whole for line in lines)], seen)
    last = text(view.said or _KEYS, "bold" if view.said else "dim")
    last.truncate(width, overflow="ellipsis")
    body = _body(seen, panels, width, height - len(top) - 1, airy=height >= _AIRY)
    lines = [*top, *body][: height - 1]
    return [*_greyed(lines, seen), *[Text()] * (height - 1 - len(lines)), last]


def _body(
    seen: SystemOverview, panels: list[TopPanel], width: int, room: int, *, airy: bool
) -> list[Text]:
    gap = 1 if airy else 0
    least = sum(_least(panel) + gap for panel in panels)
    drawn = charts(seen.samples, seen.at, width, max(0, min(4, room - least - gap)))
    lines = [*([Text()] if airy and drawn else []), *drawn]
    heights = _shared_out(panels, room - len(lines) - gap * len(panels))
    for panel, height in zip(panels, heights, strict=True):
        if height:
            lines += [*([Text()] if airy else []), *_draw(panel, width, height)]
    return lines


def _shared_out(panels: Sequence[TopPanel], room: int) -> list[int]:
    """The lines of each panel: first the least, then one more each in turn to those in want."""
    heights: list[int] = [0] * len(panels)
    for i, panel in enumerate(panels):
        least = _least(panel)
        if least <= room:
            heights[i], room = least, room - least
    while room > 0:
        wanting = [i for i, panel in enumerate(panels) if 0 < heights[i] <= len(panel.rows)]
        for i in wanting[:room]:
            heights[i] += 1
        if not wanting:
            break
        room -= len(wanting)
    return heights


def _least(panel: TopPanel) -> int:
    return _LEAST if panel.rows else 1


def _draw(panel: TopPanel, width: int, height: int) -> list[Text]:
    if not panel.rows:
        line = Text.assemble((panel.columns[0].head, "bold"), f"  {panel.empty}")
        line.truncate(width, overflow="ellipsis")
        return [line]
    shown = grid(panel.columns, _rows(panel, height - 1), width)
    left = len(panel.rows) - (len(shown) - 1)
    if left and len(shown) < height:
        shown.append(text(f"… {left} more"[:width], "dim"))
    return shown


def _rows(panel: TopPanel, most: int) -> list[list[Text]]:
    """Those that fit; where some are left out the last line says so, if there are two at all."""
    if len(panel.rows) <= most:
        return panel.rows
    most = max(1, most - 1)
    first = max(0, (panel.marked or 0) - most + 1)
    return panel.rows[first : first + most]


def _greyed(lines: list[Text], seen: SystemOverview) -> list[Text]:
    """The last picture of a house that is away is told from one that is there."""
    if seen.redis.up:
        return lines
    grey = [Text(line.plain, style="dim", no_wrap=True) for line in lines[2:]]
    return [*lines[:2], *grey]
