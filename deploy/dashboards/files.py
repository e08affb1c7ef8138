"""The dashboards by the names of their files."""

import json

from deploy.chart import CHART
from deploy.dashboards.answers import ANSWERS
from deploy.dashboards.overview import OVERVIEW
from deploy.dashboards.streams import STREAMS_AND_REDIS

FOLDER = CHART / "dashboards"


def dashboards() -> dict[str, str]:
    return {
        f"{one.uid}.json": json.dumps(one.json(), indent=1, ensure_ascii=False) + "\n"
        for one in (OVERVIEW, ANSWERS, STREAMS_AND_REDIS)
    }
