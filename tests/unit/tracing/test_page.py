"""`docs/tracing.md` and the code, in both directions."""

import re
from pathlib import Path

from shared.tracing.cleaning import GEN_AI, OWN
from shared.tracing.provider import FLUSH_SECONDS

PAGE = (Path(__file__).parents[3] / "docs/tracing.md").read_text()


def test_the_page_lists_each_attribute_that_leaves_the_process() -> None:
    table = PAGE.partition("| attribute |")[2].partition("\n\n")[0]
    rows = [row.split("|")[1] for row in table.splitlines()[2:]]

    assert {name for row in rows for name in re.findall(r"`([\w.]+)`", row)} == OWN | GEN_AI


def test_the_page_says_how_long_the_end_may_take() -> None:
    assert f"for {FLUSH_SECONDS:g} seconds at most" in PAGE
