"""`docs/operate/tracing.md` and the code, in both directions."""

import re
from pathlib import Path

from shared.telemetry.tracing.provider import FLUSH_SECONDS
from shared.telemetry.tracing.redaction import GEN_AI_ATTRIBUTES, MAMBA_ATTRIBUTES

PAGE = (Path(__file__).parents[2] / "docs/operate/tracing.md").read_text()


def test_the_page_lists_each_attribute_that_leaves_the_process() -> None:
    table = PAGE.partition("| attribute |")[2].partition("\n\n")[0]
    rows = [row.split("|")[1] for row in table.splitlines()[2:]]

    assert {
        name for row in rows for name in re.findall(r"`([\w.]+)`", row)
    } == MAMBA_ATTRIBUTES | GEN_AI_ATTRIBUTES


def test_the_page_says_how_long_the_end_may_take() -> None:
    assert f"for {FLUSH_SECONDS:g} seconds at most" in PAGE
