"""Compares Mamba with direct answers of the same agent, and checks the targets.

Both are measured alternately with the same upstream. Trust the ratios, not the absolute values.
"""

import argparse
import os
import platform
from collections.abc import Awaitable, Callable

import uvloop

from bench.capacity import Curves, saturated_curve, steady_streams
from bench.clients.idle_clients import idle
from bench.clients.live_clients import live
from bench.growth import live_streams, memory
from bench.measurements import (
    FULL,
    QUICK,
    Effort,
    first_token,
    first_token_at_once,
    saturated,
    short_answers,
    token_delay,
)
from bench.pickup import pickup
from bench.queue_scripts import queue_scripts
from bench.replay import replays
from bench.scaling import processes
from bench.servers import CpuShares, Servers, open_servers
from bench.table import Row, markdown, write_section

#: Comparisons over the same running servers.
COMPARISONS: tuple[Callable[[Servers, Effort], Awaitable[list[Row]]], ...] = (
    first_token,
    first_token_at_once,
    token_delay,
    saturated,
    short_answers,
)
#: Measurements of Mamba alone, which start the servers that they need. Add new ones here.
SINGLE: tuple[Callable[[], Awaitable[list[Row]]], ...] = (
    pickup,
    replays,
    idle,
    live,
    queue_scripts,
)
LONG: tuple[Callable[[], Awaitable[list[Row]]], ...] = (live_streams, memory)

_PLOTS = """

![Delay of a token against the number of streams](latency.svg)

![Tokens per second against the number of streams](throughput.svg)"""


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench", description=__doc__)
    parser.add_argument(
        "--rounds",
        type=positive_number,
        default=FULL.rounds,
        metavar="N",
        help=f"measurements of each value; the median is the result (default: {FULL.rounds})",
    )
    parser.add_argument("--quick", action="store_true", help="measure less, in under two minutes")
    parser.add_argument("--long", action="store_true", help="measure only growth (10 minutes)")
    parser.add_argument(
        "--write", action="store_true", help="write the table and the plots to bench/"
    )
    return parser.parse_args(arguments)


def positive_number(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or greater (got {number})")
    return number


async def main(arguments: argparse.Namespace) -> None:
    if arguments.long:
        rows = [row for measure in LONG for row in report(await measure())]
        section = "growth"
    else:
        effort = QUICK if arguments.quick else FULL._replace(rounds=arguments.rounds)
        rows = await compare_servers(effort, draws=arguments.write)
        rows += [row for measure in SINGLE for row in report(await measure())]
        section = "results"
    print(f"\n{_machine()}\n\n{markdown(rows)}", flush=True)
    if arguments.write:
        plots = "" if arguments.long or arguments.quick else _PLOTS
        write_section(section, f"{_machine()}\n\n{markdown(rows)}{plots}")


async def compare_servers(effort: Effort, *, draws: bool) -> list[Row]:
    rows: list[Row] = []
    async with open_servers() as servers:
        for measure in COMPARISONS:
            shares = CpuShares(servers)
            rows += report(await measure(servers, effort))
            print(f"    CPU: {shares}", flush=True)
        if effort is not QUICK:
            rows += await measure_load(servers, draws=draws)
    return rows + report(await processes(effort))


async def measure_load(servers: Servers, *, draws: bool) -> list[Row]:
    """Measure the capacity of the servers, and draw it if `draws`."""
    shares = CpuShares(servers)
    rows, mamba_delays, direct_delays = await steady_streams(servers)
    report(rows)
    print(f"    CPU: {shares}", flush=True)
    if draws:
        from bench.plots import write_plots  # noqa: PLC0415  (takes seconds)

        mamba = Curves(mamba_delays, await saturated_curve(servers.mamba.target))
        direct = Curves(direct_delays, await saturated_curve(servers.direct_target))
        write_plots({"Mamba": mamba, "direct": direct})
    return rows


def report(rows: list[Row]) -> list[Row]:
    """Print the rows as soon as they are known, and return them."""
    for row in rows:
        title, mamba, direct, *rest = row.cells()
        print(f"{title:72} {mamba:>10} {direct:>10}   {'   '.join(rest)}", flush=True)
    return rows


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


if __name__ == "__main__":
    uvloop.run(main(parse_arguments()))
