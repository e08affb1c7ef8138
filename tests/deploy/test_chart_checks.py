"""The chart rejects wrong values, and combinations of values that would not work, by name."""

import re

import pytest

from tests.support.deploy.helm import KEDA, RefusedError, template

REDIS = "redis.url=redis://a"
EXISTING = "redis.existingSecret.name=a"
POLICY = "networkPolicy.enabled=true"
SCALED = "worker.autoscaling.enabled=true"
WITH_KEDA = "worker.autoscaling.kind=keda"
PORTS_MISSING = "networkPolicy.enabled needs networkPolicy.redisPorts"


def rejects(error: str, *values: str) -> None:
    with pytest.raises(RefusedError, match=re.escape(error)):
        template(*(part for value in values for part in ("--set", value)))


@pytest.mark.parametrize(
    ("values", "error"),
    [
        (["redis.url=http://a"], "redis.url: Does not match pattern"),
        (["config.server.prot=1"], "Additional property prot"),
        (["config.run.max_steps=0"], "config.run.max_steps: Must be"),
        (["worker.replica=1"], "Additional property replica"),
        (["pools.a.replica=1"], "Additional property replica"),
        (["pools.A_b.replicas=1"], "Property name of"),
        (["api.image=mamba-server/api"], "api.image: Invalid type"),
        (["api.image.repository=a/b:1.0"], "api.image.repository: Does not match pattern"),
        (["worker.image.digest=sha256:1"], "worker.image.digest: Does not match pattern"),
        (["fullnameOverride=Chat"], "fullnameOverride: Does not match pattern"),
        (["worker.queues={main,main}"], "worker.queues: array items[0,1] must be unique"),
        (["worker.queues={Main}"], "worker.queues.0: Does not match pattern"),
        (["agents[0].name=poet"], "agents.0: instructions is required"),
        (["agents[0].name=a,agents[0].instructions=b,agents[0].nam=c"], "Additional property nam"),
        (["secret.values.PORT=8000"], "secret.values.PORT: Invalid type"),
        (["image.pullSecrets[0].name=a"], "image.pullSecrets.0: Invalid type"),
        (["api.extraEnv[0].value=a"], "api.extraEnv.0: name is required"),
        (["worker.extraVolumes[0].name=tmp"], "worker.extraVolumes.0.name: Must not validate"),
        (["worker.extraVolumeMounts[0].name=a"], "extraVolumeMounts.0: mountPath is required"),
        (["worker.podLabels.mamba-server/pool=a"], "worker.podLabels: Must not validate"),
        (["api.pdb.maxUnavailable=0"], "api.pdb.maxUnavailable: Must validate"),
        (["worker.pdb.maxUnavailable=0%"], "worker.pdb.maxUnavailable: Must validate"),
        (["api.ingress.hosts={https://chat}"], "api.ingress.hosts.0: Does not match pattern"),
        (["redis.existingSecret.key="], "redis.existingSecret.key: String length"),
        (["metrics.rules.thresholds.failures=many"], "thresholds.failures: Invalid type"),
        (["metrics.rules.thresholds.noWorkersFor=soon"], "noWorkersFor: Does not match pattern"),
    ],
)
def test_schema_rejects_wrong_values(values: list[str], error: str) -> None:
    rejects(error, REDIS, *values)


@pytest.mark.parametrize(
    ("values", "error"),
    [
        (["worker.replicas=1"], "Set exactly one of redis.url"),
        ([REDIS, "valkey.enabled=true"], "Set exactly one of redis.url"),
        ([REDIS, "redis.existingSecret.streamsKey=a"], "redis.existingSecret.streamsKey is a key"),
        ([REDIS, "config.redis.url=redis://b"], "config.redis.url has no effect"),
        ([REDIS, "config.worker.queues={a}"], "config.worker.queues has no effect"),
        ([REDIS, "config.worker.metrics_port=9000"], "Set metrics.podMonitor"),
        ([REDIS, "config.worker.processes=2"], "Set worker.replicas"),
        (
            [
                REDIS,
                "config.agents.file=other.yaml",
                "agents[0].name=a",
                "agents[0].instructions=b",
            ],
            "config.agents.file has no effect",
        ),
        (
            [REDIS, "worker.extraEnv[0].name=MAMBA_WORKER__DRAIN_SECONDS"],
            "MAMBA_WORKER__DRAIN_SECONDS cannot be set by extraEnv",
        ),
        (
            [
                REDIS,
                "metrics.podMonitor.enabled=true",
                "worker.extraEnv[0].name=MAMBA_WORKER__METRICS_PORT",
            ],
            "MAMBA_WORKER__METRICS_PORT cannot be set by extraEnv",
        ),
        (
            [
                REDIS,
                "tracing.endpoint=http://a:4318",
                "api.extraEnv[0].name=OTEL_EXPORTER_OTLP_ENDPOINT",
            ],
            "OTEL_EXPORTER_OTLP_ENDPOINT cannot be set by extraEnv",
        ),
        (
            [REDIS, "secret.values.MAMBA_REDIS__URL=redis://b"],
            "MAMBA_REDIS__URL cannot be set by secret.values",
        ),
        ([REDIS, "api.ingress.enabled=true"], "needs api.ingress.hosts"),
        (
            [
                REDIS,
                "api.ingress.enabled=true",
                "api.ingress.hosts={a.example}",
                "api.ingress.tls[0].hosts={b.example}",
            ],
            "api.ingress.tls names the host b.example",
        ),
        (
            [
                REDIS,
                "metrics.serviceMonitor.enabled=true",
                "config.auth.mode=jwt",
                "config.auth.jwt.jwks_url=https://issuer",
            ],
            "metrics.serviceMonitor.authorization is missing",
        ),
    ],
)
def test_values_without_effect_are_rejected(values: list[str], error: str) -> None:
    rejects(error, *values)


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ([EXISTING, SCALED, WITH_KEDA], "needs worker.autoscaling.redis.address"),
        (
            [REDIS, SCALED, WITH_KEDA, "worker.autoscaling.targetWaitSeconds=30"],
            "targetWaitSeconds needs worker.autoscaling.trigger=prometheus",
        ),
        ([f"{REDIS}:b%40c@d", SCALED, WITH_KEDA], "percent-encoded"),
        ([REDIS, SCALED, "worker.autoscaling.minReplicas=0"], "minReplicas 0 needs KEDA"),
        (
            [REDIS, SCALED, "pools.main.autoscaling.minReplicas=30"],
            "pool main: autoscaling.minReplicas (30) must not exceed maxReplicas (20)",
        ),
        ([REDIS, SCALED, "worker.resources.requests.cpu=null"], "needs resources.requests.cpu"),
        (
            [REDIS, SCALED, "worker.autoscaling.redis.tls=true"],
            "autoscaling.redis.tls, database and passwordSecret need autoscaling.redis.address",
        ),
        (
            [REDIS, SCALED, WITH_KEDA, "worker.autoscaling.metrics[0].type=Pods"],
            "autoscaling.metrics has no effect with kind keda",
        ),
        (
            [REDIS, "api.autoscaling.enabled=true", "api.autoscaling.minReplicas=11"],
            "api.autoscaling.minReplicas (11) must not exceed maxReplicas (10)",
        ),
        (
            [REDIS, "api.autoscaling.enabled=true", "api.resources.requests.cpu=null"],
            "api: a HorizontalPodAutoscaler on CPU needs resources.requests.cpu",
        ),
    ],
)
def test_scaling_that_cannot_work_is_rejected(values: list[str], error: str) -> None:
    rejects(error, *values)


@pytest.mark.parametrize(
    ("values", "queues"),
    [
        (["agents[0].queue=deep"], "deep"),
        ([r"config.models.queues.ollama/\*=external"], "external"),
        (["pools.main.queues={deep}"], "main"),
        (["pools.main=null", "pools.a.queues={b}"], "main"),
    ],
)
def test_queue_without_pool_is_rejected(values: list[str], queues: str) -> None:
    agent = "agents[0].name=a,agents[0].instructions=b"
    pool = "pools.main.queues={main}"
    error = f"No pool serves these queues of agents or models: {queues}. Add them"

    rejects(error, REDIS, agent, pool, *values)


def test_chart_without_pools_is_rejected() -> None:
    rejects("pools is empty", REDIS, "pools.main=null")


@pytest.mark.parametrize(
    ("setting", "variable"),
    [
        ("openai.api_key=x", "MAMBA_OPENAI__API_KEY"),
        ("openai.headers.Authorization=x", "MAMBA_OPENAI__HEADERS"),
        ("providers.groq.api_key=x", "MAMBA_PROVIDERS__GROQ__API_KEY"),
        ("auth.jwt.secret=x", "MAMBA_AUTH__JWT__SECRET"),
        ("auth.api_keys[0].name=a,config.auth.api_keys[0].key=x", "MAMBA_AUTH__API_KEYS"),
        ("research.tavily_api_key=x", "MAMBA_RESEARCH__TAVILY_API_KEY"),
    ],
)
def test_secrets_in_config_are_rejected(setting: str, variable: str) -> None:
    rejects(f"Set {variable} in secret.values", REDIS, f"config.{setting}")


def test_urls_with_passwords_in_config_are_rejected() -> None:
    address = "config.providers.groq.base_url=https://user:password@groq.example/v1"

    rejects("The URL of groq.example contains a password", REDIS, address)


@pytest.mark.parametrize(
    "values",
    [
        [EXISTING],
        [r"redis.url=sentinel://one\,two/main"],
        [REDIS, "redis.streamsUrl=sentinel://one/main"],
        [EXISTING, "redis.existingSecret.streamsKey=b", "worker.autoscaling.redis.address=c:6380"],
    ],
)
def test_network_policy_needs_every_port_of_redis(values: list[str]) -> None:
    rejects(PORTS_MISSING, POLICY, *values)


def test_every_wrong_value_is_rejected_with_keda_too() -> None:
    with pytest.raises(RefusedError, match="pools is empty"):
        template("--api-versions", KEDA, "--set", f"{REDIS},pools.main=null")
