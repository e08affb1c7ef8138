"""Checks a page with axe."""

import json
from pathlib import Path
from typing import Any, cast

from tests.support.browser.window import Window
from web.page import CONSOLE

_AXE = Path("node_modules") / "axe-core" / "axe.min.js"
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def accessibility_violations(window: Window) -> list[str]:
    """Return the violations of WCAG 2.2 A and AA on the page. The console must have been built."""
    window.evaluate((CONSOLE.source / _AXE).read_text())
    run = f"axe.run(document, {{runOnly: {json.dumps(_TAGS)}}})"
    found: Any = window.evaluate(
        f"{run}.then(({{violations}}) => violations.map(({{id, nodes}}) =>"
        " `${id}: ${nodes[0].html} ${nodes[0].failureSummary}`))"
    )
    assert isinstance(found, list), "axe did not run"
    return cast("list[str]", found)
