"""The JSON files of the dashboards."""

import json

from deploy.chart import CHART
from deploy.dashboards.answers import ANSWERS
from deploy.dashboards.overview import OVERVIEW
from deploy.dashboards.streams import STREAMS_AND_REDIS

FOLDER = CHART / "dashboards"


def dashboards() -> dict[str, str]:
    return {
        f"{dashboard.uid}.json": json.dumps(dashboard.json(), indent=1, ensure_ascii=False) + "\n"
        for dashboard in (OVERVIEW, ANSWERS, STREAMS_AND_REDIS)
    }
