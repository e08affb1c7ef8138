"""Plots of latency and throughput against the load, as SVG files next to the README."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.capacity import MAX_DELAY_MS, RATE, Curves

_FOLDER = Path(__file__).parent
#: The same input gives the same file, and text stays text.
_STYLE: Any = {"svg.hashsalt": "mamba", "svg.fonttype": "none", "font.size": 9}


def write_plots(curves: Mapping[str, Curves], folder: Path = _FOLDER) -> None:
    """Write `latency.svg` and `throughput.svg`, with one line per server."""
    with cast("Any", mpl).rc_context(_STYLE):
        _write_latency(curves, folder / "latency.svg")
        _write_throughput(curves, folder / "throughput.svg")


def _write_latency(curves: Mapping[str, Curves], path: Path) -> None:
    figure, axes = _axes(f"Token delay, streams of {RATE} tokens/s", "streams", "delay (ms)")
    for number, (name, curve) in enumerate(curves.items()):
        streams = [delay.streams for delay in curve.delays]
        for label, style in (("p99", "-o"), ("p50", ":")):
            values = [getattr(delay, label) for delay in curve.delays]
            axes.plot(streams, values, style, color=f"C{number}", label=f"{name}, {label}")
    axes.axhline(MAX_DELAY_MS, color="gray", linewidth=0.8, linestyle="--")
    axes.set_xscale("log")
    axes.set_yscale("log")
    _save(figure, axes, path)


def _write_throughput(curves: Mapping[str, Curves], path: Path) -> None:
    figure, axes = _axes("Saturated streams", "streams", "tokens per second")
    for name, curve in curves.items():
        streams = [point.streams for point in curve.throughput]
        values = [point.tokens_per_second for point in curve.throughput]
        axes.plot(streams, values, "-o", label=name)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    _save(figure, axes, path)


def _axes(title: str, x: str, y: str) -> tuple[Any, Any]:
    figure: Any = Figure(figsize=(6, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(visible=True, alpha=0.3)
    return figure, axes


def _save(figure: Any, axes: Any, path: Path) -> None:  # noqa: ANN401  (matplotlib has no types)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter("{x:,g}")
    axes.legend()
    figure.savefig(path, format="svg", metadata={"Date": None})
