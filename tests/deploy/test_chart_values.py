"""The values for special environments: OpenShift, private CAs, other images, network policies."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.deploy.helm import (
    CHART,
    KEDA,
    REDIS,
    ROOT,
    ChartCase,
    Object,
    env,
    lint,
    of_kind,
    pods,
    template,
)

GUIDE = ROOT / "docs/operate/deployment.md"
POLICY = ("--set", "networkPolicy.enabled=true")
AGENT = "agents[0].name=slow,agents[0].instructions=Think.,agents[0].queue=deep"
DIGEST = f"sha256:{'0123456789abcdef' * 4}"


def container(rendered: str, deployment: str) -> Object:
    spec = of_kind(rendered, "Deployment")[deployment]["spec"]["template"]["spec"]
    return spec["containers"][0]


def allows(rendered: str, policy: str, port: int) -> bool:
    """Return whether the pods may connect to the port of an external address."""
    rules = of_kind(rendered, "NetworkPolicy")[policy]["spec"]["egress"]
    external = [
        rule for rule in rules if "to" not in rule or any("ipBlock" in peer for peer in rule["to"])
    ]
    return any("ports" not in r or port in [p["port"] for p in r["ports"]] for r in external)


def values_in_guide() -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("file", sorted(CHART.glob("ci/*.yaml")), ids=lambda file: file.stem)
def test_shipped_values_pass_the_linter(file: Path) -> None:
    lint(file)


def test_production_example_of_the_guide_is_the_tested_file() -> None:
    example = ChartCase("production").values.read_text()

    assert f"# values.yaml\n{example}" in values_in_guide()


@pytest.mark.parametrize("number", range(len(values_in_guide())))
def test_values_in_the_guide_render(number: int, tmp_path: Path) -> None:
    text = values_in_guide()[number]
    file = tmp_path / "values.yaml"
    file.write_text(text)
    redis = () if "redis" in yaml.safe_load(text) else REDIS

    assert template(*redis, "--values", str(file), "--api-versions", KEDA)


def test_production_example_reaches_its_redis_over_tls() -> None:
    rendered = ChartCase("production", (KEDA,)).golden.read_text()
    [ingress] = of_kind(rendered, "Ingress").values()

    for component in ("api", "worker"):
        assert allows(rendered, component, 6380)
    assert ingress["spec"]["tls"] == [{"hosts": ["chat.example.com"], "secretName": "chat-tls"}]


def test_ingress_exposes_all_client_routes_and_nothing_else() -> None:
    [ingress] = of_kind(ChartCase("production").golden.read_text(), "Ingress").values()
    [rule] = ingress["spec"]["rules"]
    paths = [path["path"] for path in rule["http"]["paths"]]
    described: dict[str, Any] = json.loads((ROOT / "docs/reference/openapi.json").read_text())[
        "paths"
    ]

    assert sorted(paths) == sorted({f"/{route.split('/')[1]}" for route in described})
    assert not {"/", "/ops", "/metrics", "/docs"} & set(paths)


def test_pods_on_openshift_name_no_user() -> None:
    rendered = ChartCase("openshift").golden.read_text()

    for pod in pods(rendered):
        assert pod["securityContext"] == {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        }


@pytest.mark.parametrize("component", ["api", "worker", "pools.main"])
def test_container_gets_volumes_and_environment(component: str) -> None:
    values = (
        "extraVolumes[0].name=ca,VALUES.extraVolumes[0].configMap.name=private-ca",
        "extraVolumeMounts[0].name=ca,VALUES.extraVolumeMounts[0].mountPath=/etc/private-ca",
        "extraEnv[0].name=SSL_CERT_FILE,VALUES.extraEnv[0].value=/etc/private-ca/ca.crt",
        "extraEnvFrom[0].secretRef.name=more",
        "initContainers[0].name=first,VALUES.initContainers[0].image=busybox",
        "securityContext.readOnlyRootFilesystem=null",
        "podSecurityContext.runAsUser=null",
    )
    options = [f"{component}.{value}".replace("VALUES", component) for value in values]
    rendered = template(*REDIS, *(part for option in options for part in ("--set", option)))
    name = "api" if component == "api" else "worker-main"
    deployment = of_kind(rendered, "Deployment")[name]
    pod = deployment["spec"]["template"]["spec"]
    [main] = pod["containers"]

    assert {"name": "ca", "configMap": {"name": "private-ca"}} in pod["volumes"]
    assert {"name": "ca", "mountPath": "/etc/private-ca"} in main["volumeMounts"]
    assert env(deployment)["SSL_CERT_FILE"] == "/etc/private-ca/ca.crt"
    assert main["envFrom"] == [{"secretRef": {"name": "more"}}]
    assert pod["initContainers"] == [{"name": "first", "image": "busybox"}]
    assert "runAsUser" not in pod["securityContext"]
    assert pod["securityContext"]["runAsGroup"] == 1000
    assert "readOnlyRootFilesystem" not in main["securityContext"]


def test_existing_secrets_come_before_other_environment() -> None:
    main = container(
        template(
            *REDIS,
            "--set",
            "secret.existing=keys,secret.values.A=b,worker.extraEnvFrom[0].configMapRef.name=c",
        ),
        "worker-main",
    )

    assert main["envFrom"] == [
        {"secretRef": {"name": "keys"}},
        {"secretRef": {"name": "mamba-mamba-server"}},
        {"configMapRef": {"name": "c"}},
    ]


def test_pool_overrides_image_and_probes() -> None:
    image = f"pools.gpu.image.digest={DIGEST},pools.gpu.image.repository=r:5000/w"
    values = f"worker.image.tag=v2,{image}"
    probe = "pools.gpu.livenessProbe.periodSeconds=60,pools.gpu.livenessProbe.timeoutSeconds=null"
    rendered = template(*REDIS, "--set", "image.registry=i.example,image.tag=v1", "--set", values)
    probed = container(template(*REDIS, "--set", probe), "worker-gpu")

    assert container(rendered, "api")["image"] == "i.example/mamba-server/api:v1"
    assert container(rendered, "worker-main")["image"] == "i.example/mamba-server/worker:v2"
    assert container(rendered, "worker-gpu")["image"] == f"i.example/r:5000/w@{DIGEST}"
    assert probed["livenessProbe"]["periodSeconds"] == 60
    assert "timeoutSeconds" not in probed["livenessProbe"]
    assert probed["startupProbe"]["exec"] == {"command": ["mamba", "probe", "worker"]}


def test_spread_constraints_select_the_pods_of_the_pool() -> None:
    constraint = "pools.main.topologySpreadConstraints[0]"
    values = f"{constraint}.topologyKey=zone,{constraint}.maxSkew=1"
    more = f"{constraint}.whenUnsatisfiable=DoNotSchedule"
    rendered = template(*REDIS, "--set", f"{values},{more}")
    deployment = of_kind(rendered, "Deployment")["worker-main"]
    [found] = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]

    assert found["whenUnsatisfiable"] == "DoNotSchedule"
    assert found["labelSelector"] == deployment["spec"]["selector"]


def test_labels_of_values_are_merged() -> None:
    monitor = "metrics.podMonitor.enabled=true,metrics.podMonitor.labels.release=b"
    values = f"commonLabels.release=a,{monitor},api.podLabels.release=c"
    rendered = template(*REDIS, "--set", values)
    labels = of_kind(rendered, "Deployment")["api"]["spec"]["template"]["metadata"]["labels"]

    assert of_kind(rendered, "PodMonitor")["worker"]["metadata"]["labels"]["release"] == "b"
    assert labels["release"] == "c"
    assert rendered.count("release: c") == 1


def test_workers_scale_on_additional_metrics_without_keda() -> None:
    metric = "worker.autoscaling.metrics[0]"
    values = f"worker.autoscaling.enabled=true,{metric}.type=Pods,{metric}.pods.metric.name=runs"
    [scaler] = of_kind(template(*REDIS, "--set", values), "HorizontalPodAutoscaler").values()

    assert [found["type"] for found in scaler["spec"]["metrics"]] == ["Resource", "Pods"]


def test_pool_without_queues_scales_on_all_queues() -> None:
    scaling = "worker.autoscaling.enabled=true,externalQueues={external}"
    models = r"config.models.queues.ollama/\*=external,config.models.queues.big/\*=big"
    values = ("--set", f"{AGENT},{scaling},{models}", "--api-versions", KEDA)
    [scaled] = of_kind(template(*REDIS, *values), "ScaledObject").values()

    triggers = {t["name"]: t["metadata"]["listName"] for t in scaled["spec"]["triggers"]}
    queues = [triggers[f"queue_{number}"] for number in range(3)]
    assert queues == ["mamba:queue", "mamba:queues:deep", "mamba:queues:big"]
    assert "queue_3" not in triggers


def test_failing_trigger_never_shrinks_a_pool() -> None:
    scaled = of_kind(ChartCase("pools", (KEDA,)).golden.read_text(), "ScaledObject")

    assert scaled["worker-main"]["spec"]["fallback"] == {
        "failureThreshold": 5,
        "replicas": 2,
        "behavior": "currentReplicasIfHigher",
    }
    assert "2.17" in (CHART / "README.md").read_text()


@pytest.mark.parametrize(
    ("values", "ports"),
    [
        (("redis.url=rediss://a:b@c.example:6380/3",), (6380,)),
        (("redis.url=redis://a", "redis.streamsUrl=cluster://b:7001,c:7002"), (6379, 7001, 7002)),
        (
            ("redis.existingSecret.name=a", "worker.autoscaling.redis.address=b.example:6380"),
            (6380,),
        ),
        (("redis.existingSecret.name=a", "networkPolicy.redisPorts={6390,6391}"), (6390, 6391)),
        (
            ("redis.url=sentinel://a,b:26380/main", "networkPolicy.redisPorts={6400}"),
            (26379, 26380, 6400),
        ),
        (
            (
                "redis.url=redis://a",
                "config.auth.mode=jwt",
                "config.auth.jwt.jwks_url=https://issuer.example:8443/keys",
            ),
            (443, 8443),
        ),
        (("redis.url=redis://a", "tracing.endpoint=http://collector.example"), (80, 443)),
        (("redis.url=redis://a", "tracing.endpoint=http://collector:4318"), (4318,)),
        (
            (
                "redis.url=redis://a",
                "api.extraEnv[0].name=HTTPS_PROXY",
                "api.extraEnv[0].value=http://proxy:3128",
            ),
            (3128,),
        ),
        (
            ("redis.url=redis://a", "secret.values.MAMBA_AUTH__JWT__JWKS_URL=https://i:9443/k"),
            (9443,),
        ),
    ],
)
def test_network_policy_allows_every_configured_port(
    values: tuple[str, ...], ports: tuple[int, ...]
) -> None:
    escaped = [re.sub(r",(?=\w+:)", r"\\,", value) for value in values]
    rendered = template(*POLICY, *(part for value in escaped for part in ("--set", value)))

    for port in ports:
        assert allows(rendered, "api", port), port
    assert not allows(rendered, "api", 9999)
    assert allows(rendered, "worker", 11434), "model endpoints use any port"


def test_network_policy_admits_the_chart_test() -> None:
    values = "networkPolicy.from[0].podSelector.matchLabels.a=b"
    rendered = template(*REDIS, *POLICY, "--set", values)
    [rule] = of_kind(rendered, "NetworkPolicy")["api"]["spec"]["ingress"]
    [test] = of_kind(rendered, "Pod").values()

    selectors = [peer["podSelector"]["matchLabels"].items() for peer in rule["from"]]
    assert any(selector <= test["metadata"]["labels"].items() for selector in selectors)


def hosts_of(*arguments: str) -> list[str] | None:
    config = of_kind(template(*REDIS, *arguments), "ConfigMap")[""]["data"]["config.yaml"]
    return yaml.safe_load(config).get("auth", {}).get("hosts")


def test_without_authentication_only_known_hosts_are_served() -> None:
    ingress = ("api.ingress.enabled=true", "api.ingress.hosts={chat.example.com}")
    more = "config.auth.hosts={chat.internal}"

    found = hosts_of(*(word for value in (*ingress, more) for word in ("--set", value)))

    service = "mamba-mamba-server"
    names = [f"{service}.chat{suffix}" for suffix in ("", ".svc", ".svc.cluster.local")]
    assert found == [service, *names, "chat.example.com", "chat.internal"]
    assert hosts_of("--set", "config.auth.mode=api_key") is None
