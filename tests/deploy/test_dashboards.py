"""The dashboards are up to date, well-formed, and use existing metrics."""

import itertools
import re
from pathlib import Path

import pytest
import yaml

from deploy import alerts
from deploy.dashboards.files import FOLDER, dashboards
from tests.support.deploy.dashboards import GRAFANA_VARIABLES, load_dashboard, panels, queries
from tests.support.deploy.helm import ROOT
from tests.support.deploy.prometheus import promtool
from tests.support.reference.metrics import defined_metrics

#: Grafana unit names in use.
UNITS = {"short", "s", "ops", "reqps", "bytes", "percentunit", "currencyUSD"}
#: Labels added by Prometheus to series, histograms and alerts.
PROMETHEUS_LABELS = {"namespace", "job", "instance", "le", "alertname", "alertstate"}
#: Metrics that Mamba does not define.
EXTERNAL_METRICS = {
    "up",
    "ALERTS",
    "process_start_time_seconds",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
}

every_dashboard = pytest.mark.parametrize("name", dashboards())


def expressions(name: str) -> list[str]:
    return [text for panel in panels(name) for text in queries(panel)]


def all_expressions() -> list[str]:
    groups = yaml.safe_load(alerts.ALERTS.read_text())["groups"]
    of_alerts = [rule["expr"] for group in groups for rule in group["rules"]]
    return [*of_alerts, *(text for name in dashboards() for text in expressions(name))]


def test_dashboard_files_are_up_to_date() -> None:
    files = {file.name: file.read_text() for file in FOLDER.glob("*.json")}

    assert files == dashboards(), "make docs"


@every_dashboard
def test_prometheus_parses_every_query(name: str, tmp_path: Path) -> None:
    records = [
        {"record": f"panel:query:{n}", "expr": text} for n, text in enumerate(expressions(name))
    ]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": records}]}))

    promtool("check", "rules", file)


def labels_of_metrics() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {name: set() for name in EXTERNAL_METRICS}
    for name, (kind, labels) in defined_metrics().items():
        names = [f"{name}_{end}" for end in ("bucket", "count", "sum")]
        found |= {each: set(labels) for each in (names if kind == "histogram" else [name])}
    return found


@pytest.mark.parametrize("expression", all_expressions())
def test_queries_use_existing_metrics_and_labels(expression: str) -> None:
    known = labels_of_metrics()
    bare = re.sub(r'"[^"]*"', '""', expression)
    selectors = re.findall(r"([A-Za-z_]\w+)\{([^}]*)\}", bare)
    used = set[str]()

    assert selectors, "a query of nothing"
    for metric, matchers in selectors:
        assert metric in known
        assert set(re.findall(r"(\w+)=", matchers)) <= known[metric] | PROMETHEUS_LABELS, metric
        used |= known[metric]
    for labels in re.findall(r"(?:by|on) \(([^)]*)\)", bare):
        assert set(re.findall(r"\w+", labels)) <= used | PROMETHEUS_LABELS


@pytest.mark.parametrize("expression", all_expressions())
def test_shared_gauges_are_never_summed(expression: str) -> None:
    shared_gauges = r"mamba_(?:queue_\w+|workers\w*|redis_\w+|provider_\w+)"

    assert not re.search(rf"(?:sum|count)(?: by \([^)]*\))? \({shared_gauges}", expression)
    assert not re.search(rf"(?:sum|count)\({shared_gauges}", expression)


@every_dashboard
def test_panels_do_not_overlap(name: str) -> None:
    positions = [panel["gridPos"] for panel in load_dashboard(name)["panels"]]

    assert all(position["x"] + position["w"] <= 24 for position in positions)
    for one, other in itertools.combinations(positions, 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y, (one, other)


@every_dashboard
def test_panels_have_description_and_unit(name: str) -> None:
    dashboard = load_dashboard(name)
    ids = [panel["id"] for panel in dashboard["panels"]]

    assert len(ids) == len(set(ids))
    assert len({panel["title"] for panel in panels(name)}) == len(panels(name))
    for panel in panels(name):
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        steps = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
        assert steps[0] is None
        assert steps[1:] == sorted(steps[1:])


@every_dashboard
def test_template_variables_are_defined_and_used(name: str) -> None:
    text = (FOLDER / name).read_text()
    there = {variable["name"] for variable in load_dashboard(name)["templating"]["list"]}

    used = set(re.findall(r"\$\{?(\w+)", text)) - GRAFANA_VARIABLES.keys() - {"__all"}
    assert used == there


def test_dashboards_link_to_each_other_and_the_runbook() -> None:
    for name in dashboards():
        dashboard = load_dashboard(name)
        assert dashboard["uid"] == name.removesuffix(".json")
        [others, runbook] = dashboard["links"]
        assert set(others["tags"]) <= set(dashboard["tags"])
        assert runbook["url"] == "${runbook}"
    assert (ROOT / "docs/operate/runbook.md").exists()
