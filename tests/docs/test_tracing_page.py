"""`docs/operate/tracing.md` matches the code."""

import re
from pathlib import Path

from shared.telemetry.tracing.provider import FLUSH_SECONDS
from shared.telemetry.tracing.redaction import GEN_AI_ATTRIBUTES, MAMBA_ATTRIBUTES

PAGE = (Path(__file__).parents[2] / "docs/operate/tracing.md").read_text()


def test_tracing_page_lists_every_exported_attribute() -> None:
    table = PAGE.partition("| attribute |")[2].partition("\n\n")[0]
    rows = [row.split("|")[1] for row in table.splitlines()[2:]]

    assert {
        name for row in rows for name in re.findall(r"`([\w.]+)`", row)
    } == MAMBA_ATTRIBUTES | GEN_AI_ATTRIBUTES


def test_tracing_page_states_the_flush_timeout() -> None:
    assert f"for {FLUSH_SECONDS:g} seconds at most" in PAGE
