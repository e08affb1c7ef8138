"""The limits page has the defaults of the settings."""

import re
from pathlib import Path

REFERENCE = Path(__file__).parents[2] / "docs/reference"


def test_limits_page_has_the_defaults_of_the_settings() -> None:
    configuration = (REFERENCE / "configuration.md").read_text()
    defaults = dict(re.findall(r"^\| `(MAMBA_\w+)` \| `([^`]*)` \|", configuration, re.MULTILINE))
    rows = re.findall(
        r"^\|[^|]*\| `(MAMBA_\w+)` \| ([\d.,]+)( MiB)?",
        (REFERENCE / "limits.md").read_text(),
        re.MULTILINE,
    )
    assert len(rows) >= 12
    for variable, number, mebibytes in rows:
        unit = 2**20 if mebibytes else 1
        assert float(defaults[variable]) == float(number.replace(",", "")) * unit, variable
