"""The last minutes as sparklines."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.text import Text

from mamba.operate.top.grid import sparkline, text
from shared.processes.metrics_history import Sample

#: What is shown of the last hour.
MINUTES = 10
_NAME, _VALUE = 13, 8
#: A chart is not narrower.
_LEAST = 38


@dataclass(frozen=True, slots=True)
class Sparkline:
    name: str
    value: Callable[[Sample], float | None]
    say: Callable[[float], str]
    style: str


def count(value: float) -> str:
    for unit in ("", "k", "M"):
        if value < 1000:
            digits = 0 if value >= 100 or value == int(value) else 1
            return f"{value:.{digits}f}{unit}"
        value /= 1000
    return f"{value:.1f}G"


def span(milliseconds: float) -> str:
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds / 1000:.1f} s"


#: The most telling ones first: of those that find no room the last are left out.
CHARTS: tuple[Sparkline, ...] = (
    Sparkline("waiting", lambda sample: sample.waiting, count, "yellow"),
    Sparkline("running", lambda sample: sample.running, count, "green"),
    Sparkline("answers/s", lambda sample: sample.succeeded, count, "green"),
    Sparkline("failed/s", lambda sample: sample.failed, count, "red"),
    Sparkline("tokens/s", lambda sample: sample.tokens, count, "cyan"),
    Sparkline("accepted/s", lambda sample: sample.accepted, count, "cyan"),
    Sparkline("1st token p50", lambda sample: sample.first_token_p50_ms, span, "blue"),
    Sparkline("1st token p95", lambda sample: sample.first_token_p95_ms, span, "blue"),
)


def charts(samples: Sequence[Sample], now: int, width: int, most: int) -> list[Text]:
    """Some to a line, in `most` lines."""
    columns = max(1, min(2, (width + 2) // (_LEAST + 2)))
    each = (width - 2 * (columns - 1)) // columns
    lines: list[Text] = []
    for start in range(0, min(len(CHARTS), most * columns), columns):
        drawn = [_draw(chart, samples, now, each) for chart in CHARTS[start : start + columns]]
        lines.append(Text("  ", no_wrap=True).join(drawn))
    return lines


def _draw(chart: Sparkline, samples: Sequence[Sample], now: int, width: int) -> Text:
    room = max(1, width - _NAME - _VALUE - 2)
    values = spread(samples, chart.value, now, room)
    last = chart.value(samples[-1]) if samples else None
    said = "-" if last is None else chart.say(last)
    line = Text.assemble(
        text(f"{chart.name:{_NAME}} ", "dim"), sparkline(values, chart.style), f" {said:>{_VALUE}}"
    )
    line.truncate(width)
    return line


def spread(
    samples: Sequence[Sample], value: Callable[[Sample], float | None], now: int, room: int
) -> list[float | None]:
    """The highest value in each of the parts, `room` of them, of the last minutes."""
    part_ms = MINUTES * 60_000 / room
    found: list[float | None] = [None] * room
    for sample in samples:
        part = room - 1 - int((now - sample.at) / part_ms)
        height = value(sample)
        if part in range(room) and height is not None:
            found[part] = max(found[part] or 0.0, height)
    return found
