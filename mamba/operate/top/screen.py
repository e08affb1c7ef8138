"""Renders the screen as lines that fit the terminal."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from mamba.operate.top.charts import CHARTS, charts
from mamba.operate.top.grid import grid, text
from mamba.operate.top.header import header
from mamba.operate.top.panels import TopPanel, failures, queues, runs, workers
from shared.monitoring.snapshot import SystemOverview

#: A panel with rows needs its column headers and one row.
_MIN_PANEL_HEIGHT = 2
#: On a screen of at least this height, blank lines separate the panels.
_SPACED_HEIGHT = 32
_MAX_CHART_LINES = 4
_KEYS = "q quit  p pause  ↑↓ select a run  x stop it"


@dataclass
class View:
    """The state of the user interface."""

    #: Address of Redis.
    address: str
    paused: bool = False
    selected: str | None = None
    #: Shown in the last line in place of the list of keys.
    message: str = ""


def render(overview: SystemOverview, view: View, width: int) -> list[Text]:
    """Return everything, in as many lines as needed."""
    lines = [
        *_header(overview, view, width),
        Text(),
        *charts(overview.samples, overview.at, width, len(CHARTS)),
    ]
    for panel in _panels(overview, view):
        lines += [Text(), *_draw(panel, width, 1000)]
    return _dimmed_if_stale(lines, overview)


def render_screen(overview: SystemOverview, view: View, width: int, height: int) -> list[Text]:
    """Return exactly `height` lines of at most `width` cells."""
    top = _header(overview, view, width)
    last = text(view.message or _KEYS, "bold" if view.message else "dim")
    last.truncate(width, overflow="ellipsis")
    body = _body(overview, view, width, height - len(top) - 1, gap=int(height >= _SPACED_HEIGHT))
    lines = [*top, *body][: height - 1]
    blank = [Text()] * (height - 1 - len(lines))
    return [*_dimmed_if_stale(lines, overview), *blank, last]


def _header(overview: SystemOverview, view: View, width: int) -> list[Text]:
    return header(overview, view.address, "paused" if view.paused else "", width)


def _panels(overview: SystemOverview, view: View) -> list[TopPanel]:
    return [queues(overview), workers(overview), runs(overview, view.selected), failures(overview)]


def _body(overview: SystemOverview, view: View, width: int, height: int, *, gap: int) -> list[Text]:
    panels = _panels(overview, view)
    needed = sum(_min_height(panel) + gap for panel in panels)
    chart_lines = max(0, min(_MAX_CHART_LINES, height - needed - gap))
    lines = charts(overview.samples, overview.at, width, chart_lines)
    if lines:
        lines = [*[Text()] * gap, *lines]
    heights = _distribute(panels, height - len(lines) - gap * len(panels))
    for panel, panel_height in zip(panels, heights, strict=True):
        if panel_height:
            lines += [*[Text()] * gap, *_draw(panel, width, panel_height)]
    return lines


def _distribute(panels: Sequence[TopPanel], available: int) -> list[int]:
    """Give each panel its minimum, then one line at a time to those with hidden rows."""
    heights: list[int] = [0] * len(panels)
    for i, panel in enumerate(panels):
        minimum = _min_height(panel)
        if minimum <= available:
            heights[i], available = minimum, available - minimum
    while available > 0:
        growing = [i for i, panel in enumerate(panels) if 0 < heights[i] <= len(panel.rows)]
        for i in growing[:available]:
            heights[i] += 1
        if not growing:
            break
        available -= len(growing)
    return heights


def _min_height(panel: TopPanel) -> int:
    return _MIN_PANEL_HEIGHT if panel.rows else 1


def _draw(panel: TopPanel, width: int, height: int) -> list[Text]:
    if not panel.rows:
        line = Text.assemble((panel.columns[0].header, "bold"), f"  {panel.empty}")
        line.truncate(width, overflow="ellipsis")
        return [line]
    lines = grid(panel.columns, _visible_rows(panel, height - 1), width)
    hidden = len(panel.rows) - (len(lines) - 1)
    if hidden and len(lines) < height:
        lines.append(text(f"… {hidden} more"[:width], "dim"))
    return lines


def _visible_rows(panel: TopPanel, limit: int) -> list[list[Text]]:
    """Return the rows that fit, the selected one included. Leaves a line for the hidden count."""
    if len(panel.rows) <= limit:
        return panel.rows
    limit = max(1, limit - 1)
    first = max(0, (panel.selected or 0) - limit + 1)
    return panel.rows[first : first + limit]


def _dimmed_if_stale(lines: list[Text], overview: SystemOverview) -> list[Text]:
    """While Redis is unreachable, the values below the header are the last ones received."""
    if overview.redis.up:
        return lines
    return [*lines[:2], *(Text(line.plain, style="dim", no_wrap=True) for line in lines[2:])]
