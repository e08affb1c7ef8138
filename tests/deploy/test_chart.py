"""The chart, rendered by Helm with several sets of values."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import kubernetes_validate
import pytest

from deploy import chart
from shared.redis import keys
from tests.support.deploy.helm import (
    CASES,
    CHART,
    KEDA,
    REDIS,
    ROOT,
    ChartCase,
    Object,
    env,
    objects,
    of_kind,
    pods,
    template,
)
from tests.support.deploy.valkey_config import effective_config

#: Required fields of the custom resources of KEDA and the Prometheus operator.
CUSTOM_FIELDS = {
    "ScaledObject": {"scaleTargetRef", "minReplicaCount", "maxReplicaCount", "triggers"},
    "TriggerAuthentication": {"secretTargetRef"},
    "ServiceMonitor": {"selector", "endpoints"},
    "PodMonitor": {"selector", "podMetricsEndpoints"},
    "PrometheusRule": {"groups"},
}
VERSIONS = ("1.25", "1.31", "1.37")

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def checksum(deployment: Object) -> str:
    return deployment["spec"]["template"]["metadata"]["annotations"]["checksum/at-start"]


def grace(deployment: Object) -> int:
    return deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]


@every_case
def test_rendering_matches_golden_file(case: ChartCase) -> None:
    assert case.render() == case.golden.read_text(), "if intended: make golden"


@every_case
@pytest.mark.parametrize("version", VERSIONS)
def test_objects_are_valid_in_supported_kubernetes_versions(case: ChartCase, version: str) -> None:
    for found in objects(case.golden.read_text()):
        if found["kind"] in CUSTOM_FIELDS:
            assert CUSTOM_FIELDS[found["kind"]] <= found["spec"].keys()
        else:
            kubernetes_validate.validate(found, version, strict=True)


@every_case
def test_pods_meet_the_restricted_standard(case: ChartCase) -> None:
    for pod in pods(case.golden.read_text()):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


@every_case
def test_object_names_are_unique_and_short_enough(case: ChartCase) -> None:
    names = [(o["kind"], o["metadata"]["name"]) for o in objects(case.golden.read_text())]

    assert len(names) == len(set(names))
    assert all(len(name) <= 63 for _, name in names)


@every_case
def test_selectors_match_pods(case: ChartCase) -> None:
    rendered = case.golden.read_text()
    labels = [
        o["spec"]["template"]["metadata"]["labels"].items()
        for o in objects(rendered)
        if o["kind"] in ("Deployment", "StatefulSet")
    ]
    for found in objects(rendered):
        spec = found.get("spec", {})
        selector = {
            "Service": spec.get("selector"),
            "PodMonitor": spec.get("selector", {}).get("matchLabels"),
            "PodDisruptionBudget": spec.get("selector", {}).get("matchLabels"),
            "NetworkPolicy": spec.get("podSelector", {}).get("matchLabels"),
        }.get(found["kind"])
        if selector:
            assert any(selector.items() <= other for other in labels), found["metadata"]["name"]


def test_termination_grace_period_covers_the_drain() -> None:
    values = (
        "config.server.shutdown_delay_seconds=8",
        "config.server.shutdown_grace_seconds=20",
        "config.worker.drain_seconds=90",
        "pools.slow.drainSeconds=600",
    )
    deployments = of_kind(template(*REDIS, "--set", ",".join(values)), "Deployment")

    assert grace(deployments["api"]) == 8 + 20 + 5
    assert grace(deployments["worker-main"]) == 90 + 15
    assert grace(deployments["worker-slow"]) == 600 + 15
    assert env(deployments["worker-slow"])["MAMBA_WORKER__DRAIN_SECONDS"] == "600"
    assert "MAMBA_WORKER__DRAIN_SECONDS" not in env(deployments["worker-main"])


@pytest.mark.parametrize(
    ("setting", "rolled"),
    [
        ("logging.level=DEBUG", set[str]()),
        ("limits.requests_per_minute=9", set[str]()),
        ("server.heartbeat_seconds=5", set[str]()),
        ("server.shutdown_grace_seconds=11", {"api"}),
        ("server.port=9000", {"api"}),
        ("worker.concurrency=9", {"worker-main"}),
        ("research.web_search=duckduckgo", {"worker-main"}),
        ("run.retention_seconds=60", {"api", "worker-main"}),
        ("run.max_steps=9", set[str]()),
        ("redis.max_connections=9", {"api", "worker-main"}),
    ],
)
def test_setting_rolls_only_pods_that_read_it_at_start(setting: str, rolled: set[str]) -> None:
    before = of_kind(template(*REDIS), "Deployment")
    after = of_kind(template(*REDIS, "--set", f"config.{setting}"), "Deployment")

    assert {name for name in before if checksum(before[name]) != checksum(after[name])} == rolled
    unchanged = {name for name in before if before[name] == after[name]}
    assert unchanged == before.keys() - rolled


def test_keda_reads_the_queue_key_of_the_code() -> None:
    rendered = ChartCase("pools", (KEDA,)).golden.read_text()
    scaled = of_kind(rendered, "ScaledObject")

    for trigger in scaled["worker-main"]["spec"]["triggers"]:
        assert trigger["metadata"]["address"] == "redis.stores:6380"
        assert trigger["metadata"]["enableTLS"] == "true"
        assert trigger["metadata"]["databaseIndex"] == "3"
    assert lists_of(scaled["worker-main"]["spec"]) == {
        "paused": keys.PROCESSING_PAUSED,
        "queue_0": keys.QUEUE,
        "due_0": keys.due_times(keys.QUEUE),
        "background_0": keys.background_due_times(keys.QUEUE),
        "paused_0": keys.processing_paused(keys.QUEUE),
    }
    deep = scaled["worker-deep"]["spec"]
    assert deep["minReplicaCount"] == 0
    assert "worker-fixed" not in scaled


SCALED = ("--set", "worker.autoscaling.enabled=true", "--api-versions", KEDA)


def lists_of(scaled: Object) -> dict[str, str]:
    """The Redis keys whose lengths KEDA reads, by their names in its formula."""
    return {trigger["name"]: trigger["metadata"]["listName"] for trigger in scaled["triggers"]}


@pytest.mark.parametrize(
    ("background", "paused", "demand"),
    [("true", (), 130), ("true", ("paused",), 50), ("true", ("paused_1",), 60), ("false", (), 60)],
)
def test_keda_counts_runs_that_can_start(
    background: str, paused: tuple[str, ...], demand: int
) -> None:
    """Two queues: one has a backlog of interactive runs, one of background runs."""
    setting = f"worker.autoscaling.countBackground={background}"
    rendered = template(*REDIS, *SCALED, "--set", f"worker.queues={{main,b}},{setting}")
    [scaled] = of_kind(rendered, "ScaledObject").values()
    formula = scaled["spec"]["advanced"]["scalingModifiers"]["formula"]
    lengths = dict.fromkeys(lists_of(scaled["spec"]), 0)
    lengths |= {"queue_0": 30, "due_0": 10, "queue_1": 100, "background_1": 70}
    lengths |= dict.fromkeys(paused, 1)

    assert evaluate(formula, lengths) == demand


def evaluate(formula: str, lengths: Mapping[str, int]) -> float:
    """Evaluate a formula of KEDA."""
    python = re.sub(r"\(([^?()]+)\?([^:()]+):([^()]+)\)", r"((\2) if (\1) else (\3))", formula)
    return eval(python, {"__builtins__": {}}, dict(lengths))


def test_scaled_pool_sets_no_replica_count() -> None:
    deployments = of_kind(ChartCase("pools").golden.read_text(), "Deployment")

    assert "replicas" not in deployments["worker-main"]["spec"]
    assert deployments["worker-fixed"]["spec"]["replicas"] == 3
    assert deployments.keys() == {"api", "worker-main", "worker-deep", "worker-fixed"}
    assert env(deployments["worker-deep"])["MAMBA_WORKER__QUEUES"] == '["research","code-review"]'


def test_pool_queue_names_match_redis_keys() -> None:
    scaled = of_kind(ChartCase("pools").golden.read_text(), "ScaledObject")["worker-deep"]["spec"]

    lists = lists_of(scaled)
    assert lists["queue_0"] == keys.queue("research")
    assert lists["queue_1"] == keys.queue("code-review")
    assert keys.queue("main") == "mamba:queue"


def test_agents_are_mounted_as_a_file() -> None:
    rendered = template(*REDIS, "--set", "agents[0].name=poet,agents[0].instructions=Rhyme.")
    files = of_kind(rendered, "ConfigMap")[""]["data"]

    assert files["agents.yaml"] == "agents:\n- instructions: Rhyme.\n  name: poet\n"
    assert "agents.yaml" not in of_kind(template(*REDIS), "ConfigMap")[""]["data"]


def test_secrets_appear_only_in_secret_objects() -> None:
    for case in CASES:
        for found in objects(case.golden.read_text()):
            if found["kind"] != "Secret":
                assert not re.search("s3cret|sk-test", str(found)), found["metadata"]["name"]


def test_generated_chart_files_are_up_to_date() -> None:
    assert chart.schema() == chart.SCHEMA.read_text(), "make docs"
    assert chart.at_start() == chart.AT_START.read_text(), "make docs"
    assert chart.secrets() == chart.SECRETS.read_text(), "make docs"
    assert chart.readme() == chart.README.read_text(), "make docs"


def test_every_value_has_a_description() -> None:
    described = {value.path for value in chart.values()}

    def undescribed(tree: Object, prefix: str) -> Iterator[str]:
        for name, value in tree.items():
            path = f"{prefix}{name}"
            if path in described:
                continue
            if isinstance(value, dict) and value:
                yield from undescribed(cast("Object", value), f"{path}.")
            else:
                yield path

    tree = chart.load_values()
    assert list(undescribed(tree, "")) == []


def test_chart_version_matches_package_version() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    [version] = re.findall(r'^version = "(.*)"', project, re.MULTILINE)
    text = (CHART / "Chart.yaml").read_text()

    assert f"\nversion: {version}\n" in text
    assert f'\nappVersion: "{version}"\n' in text


async def test_bundled_valkey_starts_and_never_evicts(tmp_path: Path) -> None:
    valkey = of_kind(ChartCase("trial").golden.read_text(), "StatefulSet")["valkey"]
    [container] = valkey["spec"]["template"]["spec"]["containers"]
    arguments = [text for text in container["args"] if text != "--dir /data"]

    assert await effective_config(arguments, tmp_path) == {
        "appendonly": "yes",
        "maxmemory": str(256 * 1024 * 1024),
        "maxmemory-policy": "noeviction",
        "save": "",
    }


def test_tracing_endpoint_is_set() -> None:
    on = template("--set", "tracing.endpoint=http://collector:4318/v1", *REDIS)

    for name, deployment in of_kind(on, "Deployment").items():
        assert env(deployment)["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector:4318/v1", name
    assert "OTEL_" not in template(*REDIS)
