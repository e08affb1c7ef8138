"""The chart's objects for Prometheus and Grafana: ports, alerts and dashboards."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy import alerts
from shared.settings import WorkerSettings
from tests.support.deploy.helm import (
    CHART,
    KEDA,
    NAMESPACE,
    REDIS,
    ChartCase,
    Object,
    env,
    of_kind,
    template,
)
from tests.support.deploy.prometheus import promtool

#: What a ConfigMap may hold.
MEBIBYTE = 1024 * 1024
TARGET_WAIT = (
    *("--set", "worker.autoscaling.enabled=true,worker.autoscaling.trigger=prometheus"),
    *("--set", "worker.autoscaling.prometheus.serverAddress=http://prometheus:9090"),
    *("--set", "worker.autoscaling.targetWaitSeconds=30"),
)


def rule_of(rendered: str) -> list[dict[str, Any]]:
    return of_kind(rendered, "PrometheusRule")[""]["spec"]["groups"]


def rules_by_name(groups: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def enabled(*names: str) -> list[str]:
    return [*REDIS, *(word for name in names for word in ("--set", f"metrics.{name}"))]


def container(deployment: Object) -> Object:
    [found] = deployment["spec"]["template"]["spec"]["containers"]
    return found


def test_prometheus_accepts_the_alerts_of_every_case(tmp_path: Path) -> None:
    for rendered in (
        ChartCase("everything").golden.read_text(),
        template(*enabled("rules.enabled=true")),
    ):
        groups = rule_of(rendered)
        file = tmp_path / "rules.yml"
        file.write_text(yaml.safe_dump({"groups": groups}))
        promtool("check", "rules", "--lint=all", "--lint-fatal", file)
        assert "${" not in file.read_text()


def test_rendered_alerts_match_source_and_select_the_release() -> None:
    rendered = rules_by_name(rule_of(template(*enabled("rules.enabled=true"))))
    source = rules_by_name(yaml.safe_load(alerts.ALERTS.read_text())["groups"])

    scope = 'namespace="chat",job=~"mamba-mamba-server(-worker)?"'
    assert rendered.keys() == source.keys()
    for name, rule in rendered.items():
        expected = source[name]
        assert rule["expr"].replace(scope, 'job=~"mamba-(api|worker)"') == expected["expr"]
        assert rule["annotations"] == expected["annotations"]
        assert rule.get("for") == expected.get("for")
        assert rule["labels"] == {**expected["labels"], "namespace": "chat"}


def test_values_configure_alerts() -> None:
    groups = rule_of(ChartCase("everything").golden.read_text())
    rules = rules_by_name(groups)

    assert "MambaVersionsDiffer" not in rules
    assert "> 30\n" in rules["MambaQueueStuck"]["expr"].replace(" and", "\n")
    assert "> 0.02" in rules["MambaRedisSlow"]["expr"]
    assert rules["MambaNoWorkers"]["for"] == "10m"
    assert rules["MambaNoWorkers"]["labels"]["team"] == "chat"
    assert rules["MambaNoWorkers"]["annotations"]["runbook_url"] == (
        "https://runbooks.example.com/mamba#mambanoworkers"
    )
    assert groups[-1]["rules"] == [{"alert": "Mine", "expr": "vector(1)"}]


def test_alert_selector_can_be_overridden() -> None:
    rendered = template(*enabled("rules.enabled=true", 'rules.selector=job="chat"'))

    assert 'absent(mamba_redis_up{job="chat"})' in rendered
    assert "mamba-mamba-server(-worker)" not in rendered


def test_alerts_select_the_jobs_of_the_monitors() -> None:
    rendered = ChartCase("everything").golden.read_text()
    [api_job] = [name for name in of_kind(rendered, "Service") if not name]
    [endpoint] = of_kind(rendered, "PodMonitor")["worker"]["spec"]["podMetricsEndpoints"]
    [relabeling] = endpoint["relabelings"]
    looked_at = re.findall(r'job=~"([^"]+)"', rendered)

    # A ServiceMonitor's job is the name of the Service.
    for job in (f"mamba-mamba-server{api_job}", relabeling["replacement"]):
        assert all(re.fullmatch(pattern, job) for pattern in looked_at)


@pytest.mark.parametrize("switch", ["podMonitor.enabled=true", "annotations=true"])
def test_workers_open_the_scraped_port(switch: str) -> None:
    deployments = of_kind(template(*enabled(switch, "workerPort=9900")), "Deployment")
    worker = deployments["worker-main"]

    assert container(worker)["ports"] == [{"name": "metrics", "containerPort": 9900}]
    assert env(worker)["MAMBA_WORKER__METRICS_PORT"] == "9900"
    assert env(worker)["MAMBA_WORKER__METRICS_HOST"] == "0.0.0.0"
    assert {"metrics_port", "metrics_host"} <= WorkerSettings.model_fields.keys()


def test_workers_open_no_port_without_monitoring() -> None:
    worker = of_kind(template(*REDIS), "Deployment")["worker-main"]

    assert "ports" not in container(worker)
    assert "MAMBA_WORKER__METRICS_PORT" not in env(worker)


def test_annotations_have_the_metrics_port_of_each_pod() -> None:
    deployments = of_kind(ChartCase("pools").golden.read_text(), "Deployment")

    for name, deployment in deployments.items():
        annotations = deployment["spec"]["template"]["metadata"]["annotations"]
        [port] = container(deployment)["ports"]
        assert annotations["prometheus.io/scrape"] == "true"
        assert annotations["prometheus.io/port"] == str(port["containerPort"]), name


def test_network_policy_admits_only_prometheus_to_workers() -> None:
    policies = of_kind(ChartCase("everything").golden.read_text(), "NetworkPolicy")
    monitoring = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}
    }

    [api] = policies["api"]["spec"]["ingress"]
    [worker] = policies["worker"]["spec"]["ingress"]
    assert monitoring in api["from"]
    assert worker == {"ports": [{"port": "metrics"}], "from": [monitoring]}
    closed = of_kind(template(*REDIS, "--set", "networkPolicy.enabled=true"), "NetworkPolicy")
    assert closed["worker"]["spec"]["ingress"] == []


def test_config_map_has_every_dashboard_with_runbook_link() -> None:
    rendered = template(*enabled("dashboards.enabled=true", "runbook=https://runbooks.example.com"))
    held = of_kind(rendered, "ConfigMap")["dashboards"]["data"]
    files = {file.name: file.read_text() for file in (CHART / "dashboards").glob("*.json")}

    assert len(files) == 3
    assert held == {
        name: text.replace("docs/operate/runbook.md", "https://runbooks.example.com")
        for name, text in files.items()
    }
    assert sum(map(len, held.values())) < MEBIBYTE


@pytest.mark.parametrize(
    ("series", "runs"),
    [
        ({"running": 512, "waiting": 1000, "expected": 60}, 1024),
        ({"running": 512, "waiting": 10, "expected": 3}, 512),
        ({"running": 40, "waiting": 0, "expected": 0}, 40),
        ({"running": 0, "waiting": 7}, 7),
        ({"running": 2, "waiting": 0, "held": 900}, 2),
    ],
)
def test_keda_adds_pods_while_the_expected_wait_is_too_long(
    series: dict[str, int], runs: int, tmp_path: Path
) -> None:
    rendered = template(*REDIS, *TARGET_WAIT, "--api-versions", KEDA)
    [trigger] = of_kind(rendered, "ScaledObject")["worker-main"]["spec"]["triggers"]
    labels = f'namespace="{NAMESPACE}",queue="main"'
    names = {
        "running": f'mamba_queue_runs{{state="running",{labels}}}',
        "waiting": f'mamba_queue_runs{{state="waiting",{labels}}}',
        "held": f'mamba_queue_runs{{state="held",{labels}}}',
        "expected": f"mamba_queue_expected_wait_seconds{{{labels}}}",
    }
    test = {
        "interval": "1m",
        "input_series": [
            {"series": names[name].replace("}", f',pod="{pod}"}}'), "values": f"{value}"}
            for name, value in series.items()
            for pod in ("api-1", "api-2")
        ],
        "promql_expr_test": [
            {
                "expr": trigger["metadata"]["query"],
                "eval_time": "0m",
                "exp_samples": [{"labels": "{}", "value": runs}],
            }
        ],
    }
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump({"evaluation_interval": "1m", "tests": [test]}))

    promtool("test", "rules", file)
