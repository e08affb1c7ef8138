"""Sparklines of the last minutes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.text import Text

from mamba.operate.top.grid import sparkline, text
from shared.monitoring.metrics_history import Sample

#: Time span of a chart.
MINUTES = 10
_NAME_WIDTH, _VALUE_WIDTH = 13, 8
_MIN_WIDTH = 38


@dataclass(frozen=True, slots=True)
class Sparkline:
    name: str
    value: Callable[[Sample], float | None]
    format: Callable[[float], str]
    style: str


def short_number(value: float) -> str:
    for unit in ("", "k", "M"):
        if value < 1000:
            digits = 0 if value >= 100 or value == int(value) else 1
            return f"{value:.{digits}f}{unit}"
        value /= 1000
    return f"{value:.1f}G"


def short_duration(milliseconds: float) -> str:
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds / 1000:.1f} s"


#: By importance: if there is not enough room, the last ones are left out.
CHARTS: tuple[Sparkline, ...] = (
    Sparkline("waiting", lambda sample: sample.waiting, short_number, "yellow"),
    Sparkline("running", lambda sample: sample.running, short_number, "green"),
    Sparkline("answers/s", lambda sample: sample.succeeded, short_number, "green"),
    Sparkline("failed/s", lambda sample: sample.failed, short_number, "red"),
    Sparkline("tokens/s", lambda sample: sample.tokens, short_number, "cyan"),
    Sparkline("accepted/s", lambda sample: sample.accepted, short_number, "cyan"),
    Sparkline("1st token p50", lambda sample: sample.first_token_p50_ms, short_duration, "blue"),
    Sparkline("1st token p95", lambda sample: sample.first_token_p95_ms, short_duration, "blue"),
)


def charts(samples: Sequence[Sample], now: int, width: int, max_lines: int) -> list[Text]:
    """Return up to `max_lines` lines, of one or two charts each."""
    columns = max(1, min(2, (width + 2) // (_MIN_WIDTH + 2)))
    chart_width = (width - 2 * (columns - 1)) // columns
    lines: list[Text] = []
    for start in range(0, min(len(CHARTS), max_lines * columns), columns):
        row = CHARTS[start : start + columns]
        cells = [_draw(chart, samples, now, chart_width) for chart in row]
        lines.append(Text("  ", no_wrap=True).join(cells))
    return lines


def _draw(chart: Sparkline, samples: Sequence[Sample], now: int, width: int) -> Text:
    bins = max(1, width - _NAME_WIDTH - _VALUE_WIDTH - 2)
    values = maximum_per_bin(samples, chart.value, now, bins)
    last = chart.value(samples[-1]) if samples else None
    value = "-" if last is None else chart.format(last)
    line = Text.assemble(
        text(f"{chart.name:{_NAME_WIDTH}} ", "dim"),
        sparkline(values, chart.style),
        f" {value:>{_VALUE_WIDTH}}",
    )
    line.truncate(width)
    return line


def maximum_per_bin(
    samples: Sequence[Sample], value: Callable[[Sample], float | None], now: int, bins: int
) -> list[float | None]:
    """Split the chart's time span into `bins` and return the highest value in each."""
    bin_ms = MINUTES * 60_000 / bins
    maxima: list[float | None] = [None] * bins
    for sample in samples:
        index = bins - 1 - int((now - sample.at) / bin_ms)
        height = value(sample)
        if index in range(bins) and height is not None:
            maxima[index] = max(maxima[index] or 0.0, height)
    return maxima
