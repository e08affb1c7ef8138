"""The panels and queries of the dashboard files."""

import json
import re
from typing import Any

from deploy.dashboards.files import FOLDER

Json = dict[str, Any]


#: Example values of the variables that Grafana defines.
GRAFANA_VARIABLES = {"__rate_interval": "5m", "__range": "3h"}


def load_dashboard(name: str) -> Json:
    return json.loads((FOLDER / name).read_text())


def panels(name: str) -> list[Json]:
    return [panel for panel in load_dashboard(name)["panels"] if panel["type"] != "row"]


def queries(panel: Json) -> list[str]:
    """Return the queries with all template variables set to all values."""
    return [
        re.sub(r"\$(\w+)", lambda v: GRAFANA_VARIABLES.get(v[1], ".*"), target["expr"])
        for target in panel["targets"]
    ]
