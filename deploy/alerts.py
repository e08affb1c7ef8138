"""deploy/prometheus/alerts.yml, for a Prometheus without an operator: `make docs` writes it.

It is the chart's own alerts.yaml with the thresholds of values.yaml.
"""

import re
from pathlib import Path

from deploy.chart import CHART, load_values

SOURCE = CHART / "alerts.yaml"
ALERTS = Path(__file__).parent / "prometheus" / "alerts.yml"

#: The jobs of deploy/prometheus/prometheus.yml, and of docs/reference/metrics.md.
_SCOPE = 'job=~"mamba-(api|worker)"'
_HEADER = """\
# Made by `make docs` of helm/mamba-server/alerts.yaml, with the thresholds of values.yaml there.

"""


def alerts() -> str:
    metrics = load_values()["metrics"]
    thresholds: dict[str, object] = metrics["rules"]["thresholds"]
    values = {**thresholds, "runbook": metrics["runbook"], "scope": _SCOPE}
    _, _, groups = SOURCE.read_text().partition("\ngroups:")
    filled = re.sub(r"\$\{(\w+)\}", lambda name: str(values[name[1]]), groups)
    return f"{_HEADER}groups:{filled}"


if __name__ == "__main__":
    ALERTS.write_text(alerts())
