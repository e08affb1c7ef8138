"""The alerts: generated, valid, and firing exactly when expected, according to promtool."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

from deploy import alerts
from shared.runs.failure_meanings import MEANINGS
from tests.support.deploy.alert_cases import CASES
from tests.support.deploy.alert_harness import AT, AlertCase
from tests.support.deploy.helm import ROOT
from tests.support.deploy.prometheus import promtool

FOLDER = alerts.ALERTS.parent
#: Labels that distinguish firing alerts.
LABELS = "alertname, instance, queue, provider, code, destination, model, node, task"


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(alerts.ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_alerts_file_is_up_to_date() -> None:
    assert alerts.alerts() == alerts.ALERTS.read_text(), "make docs"


def test_prometheus_accepts_its_configuration_and_alerts() -> None:
    promtool("check", "config", FOLDER / "prometheus.yml")
    promtool("check", "rules", "--lint=all", "--lint-fatal", alerts.ALERTS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_exactly_the_expected_alerts_fire(case: AlertCase, tmp_path: Path) -> None:
    expected = [{"labels": _labels(alert), "value": 1} for alert in case.fires]
    look = {
        "expr": f'count by ({LABELS}) (ALERTS{{alertstate="firing"}})',
        "eval_time": f"{AT}m",
        "exp_samples": expected,
    }
    test = {"interval": "1m", "input_series": case.series(), "promql_expr_test": [look]}
    file = tmp_path / "test.yml"
    given = {"rule_files": [str(alerts.ALERTS)], "evaluation_interval": "2m", "tests": [test]}
    file.write_text(yaml.safe_dump(given))

    promtool("test", "rules", file)


def _labels(alert: str) -> str:
    name, _, labels = alert.removesuffix("}").partition("{")
    return f'{{alertname="{name}",{labels}}}'


def test_every_alert_has_a_case_in_which_it_fires() -> None:
    fired = {alert.partition("{")[0] for case in CASES for alert in case.fires}

    assert fired == {rule["alert"] for rule in rules()}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_alerts_have_severity_and_annotations(rule: dict[str, Any]) -> None:
    assert re.fullmatch(r"Mamba([A-Z][a-z]+)+", rule["alert"])
    assert rule["labels"] in ({"severity": "critical"}, {"severity": "warning"})
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"].endswith(f"#{rule['alert'].lower()}")
    assert rule["annotations"]["summary"].endswith(".")


def test_runbook_recipes_match_the_alerts() -> None:
    page = (ROOT / "docs/operate/runbook.md").read_text()
    recipes = re.findall(r"^### (Mamba\w+)$", page, re.MULTILINE)

    assert sorted(recipes) == sorted(rule["alert"] for rule in rules())


def test_alerts_name_existing_codes() -> None:
    text = alerts.ALERTS.read_text()
    patterns = re.findall(r'mamba_run_errors_total\{[^}]*code[=!]~"([^"]+)"', text)

    named = {code for pattern in patterns for code in pattern.split("|") if "*" not in code}
    assert named
    assert named <= MEANINGS.keys()


def test_counters_in_alerts_start_at_zero() -> None:
    """Without the zero, `increase()` misses the first count."""
    for module in ("api.monitoring.request_metrics", "worker.telemetry.metrics"):
        import_module(module)
    text = re.sub(r"\s+", " ", alerts.ALERTS.read_text())
    selectors = re.findall(r'(mamba_\w+_total)\{job=~"[^"]+",(outcome|reason|code)="(\w+)"', text)

    assert selectors
    for metric, label, value in selectors:
        found = [
            sample
            for family in REGISTRY.collect()
            for sample in family.samples
            if sample.name == metric and sample.labels.get(label) == value
        ]
        # Runs are counted by agent and model, which are known only when a worker starts.
        assert found or metric == "mamba_runs_total", (metric, value)
