"""JSON schemas of the chart's values whose type does not follow from their default."""

from typing import Any

from pydantic import TypeAdapter

from shared.agent_name import AgentName

Schema = dict[str, Any]

_STRING: Schema = {"type": "string", "minLength": 1}
_PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
_AT_LEAST_ONE: Schema = {"type": "integer", "minimum": 1}
_PROBE: Schema = {"type": ["object", "null"]}
_INTERVAL: Schema = {"type": "string", "pattern": r"^([0-9]+[smh])+$"}
#: A number of pods or a percentage, in Kubernetes notation. 0 would block every drain of a node.
_UNAVAILABLE: Schema = {
    "anyOf": [_AT_LEAST_ONE, {"type": "string", "pattern": "^([1-9][0-9]?|100)%$"}]
}
_QUEUE: Schema = TypeAdapter(AgentName).json_schema()
_HOST: Schema = {
    "type": "string",
    "pattern": r"^(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$",
}
#: Names of objects start with it, and a Service name is a DNS label that starts with a letter.
_NAME: Schema = {"type": "string", "pattern": "^$|^[a-z]([a-z0-9-]*[a-z0-9])?$"}
#: Without the tag and the digest, which are separate values.
_REPOSITORY: Schema = {"type": "string", "pattern": r"^([^@:\s/]+(:[0-9]+)?/)?[^@:\s]+$"}
_DIGEST: Schema = {"type": "string", "pattern": "^$|^sha256:[0-9a-f]{64}$"}
#: Labels by which the chart selects its pods and marks its objects.
_CHART_LABELS = [
    *(f"app.kubernetes.io/{name}" for name in ("name", "instance", "component", "version")),
    *(f"app.kubernetes.io/{name}" for name in ("part-of", "managed-by")),
    "helm.sh/chart",
    "mamba-server/pool",
]
_CHART_ANNOTATIONS = ["checksum/at-start", "checksum/secret"]


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _map(values: Schema, *, not_named: list[str] | None = None) -> Schema:
    names = {"propertyNames": {"not": {"enum": not_named}}} if not_named else {}
    return {"type": "object", "additionalProperties": values, **names}


def _objects(*required: str, **properties: Schema) -> Schema:
    return _list({"type": "object", "required": list(required), "properties": properties})


def _choice(*values: str) -> Schema:
    return {"enum": list(values)}


def _matching(pattern: str) -> Schema:
    return {"type": "string", "pattern": pattern}


_LABELS = _map({"type": "string"}, not_named=_CHART_LABELS)
_TEXTS = _map({"type": "string"})
_VOLUMES = _objects("name", name={"type": "string", "not": {"enum": ["config", "tmp"]}})

#: Values of the API, and of the workers and each pool.
_COMPONENT: dict[str, Schema] = {
    "image.repository": _REPOSITORY,
    "image.digest": _DIGEST,
    "autoscaling.maxReplicas": _AT_LEAST_ONE,
    "autoscaling.targetCPU": _AT_LEAST_ONE,
    "autoscaling.metrics": _objects("type"),
    "pdb.maxUnavailable": _UNAVAILABLE,
    "startupProbe": _PROBE,
    "livenessProbe": _PROBE,
    "readinessProbe": _PROBE,
    "extraEnv": _objects("name", name=_STRING, value={"type": "string"}),
    "extraEnvFrom": _objects(),
    "extraVolumes": _VOLUMES,
    "extraVolumeMounts": _objects("name", "mountPath", name=_STRING, mountPath=_STRING),
    "initContainers": _objects("name", "image", name=_STRING, image=_STRING),
    "podLabels": _LABELS,
    "podAnnotations": _map({"type": "string"}, not_named=_CHART_ANNOTATIONS),
    "spreadOver": _list(_STRING),
    "topologySpreadConstraints": _objects("topologyKey", "maxSkew", "whenUnsatisfiable"),
    "nodeSelector": _TEXTS,
    "tolerations": _objects(),
}

TYPES: dict[str, Schema] = {
    **{f"{part}.{path}": kind for part in ("api", "worker") for path, kind in _COMPONENT.items()},
    "nameOverride": _NAME,
    "fullnameOverride": _NAME,
    "commonLabels": _LABELS,
    "image.pullPolicy": _choice("Always", "IfNotPresent", "Never"),
    "image.pullSecrets": _list(_STRING),
    "externalQueues": _list(_QUEUE),
    # Helm writes large numbers in exponential notation, so numbers need quotes.
    "secret.values": _map({"type": "string"}),
    "redis.url": _matching(r"^$|^(redis|rediss|unix)://|^sentinels?://[^/]+/[^/?]+"),
    "redis.streamsUrl": _matching(
        r"^$|^((redis|rediss|unix)://|clusters?://[^/?]+|sentinels?://[^/]+/[^/?]+)"
    ),
    "redis.existingSecret.key": _STRING,
    "valkey.image": _STRING,
    "valkey.memory": _matching(r"^[0-9]+(Mi|Gi)$"),
    "valkey.persistence.size": _STRING,
    "serviceAccount.annotations": _TEXTS,
    "api.autoscaling.minReplicas": _AT_LEAST_ONE,
    "api.service.type": _choice("ClusterIP", "NodePort", "LoadBalancer"),
    "api.service.port": _PORT,
    "api.service.annotations": _TEXTS,
    "api.ingress.annotations": _TEXTS,
    "api.ingress.hosts": _list(_HOST),
    "api.ingress.paths": {**_list(_matching("^/")), "minItems": 1},
    "api.ingress.tls": _objects(hosts=_list(_HOST), secretName=_STRING),
    "worker.queues": {**_list(_QUEUE), "uniqueItems": True},
    "worker.drainSeconds": {"type": ["number", "null"], "minimum": 0},
    "worker.autoscaling.kind": _choice("auto", "keda", "hpa"),
    "worker.autoscaling.trigger": _choice("redis", "prometheus"),
    "worker.autoscaling.runsPerPod": _AT_LEAST_ONE,
    "worker.autoscaling.targetWaitSeconds": {"type": "number", "minimum": 0},
    "worker.autoscaling.pollingInterval": _AT_LEAST_ONE,
    "worker.autoscaling.redis.address": _matching(r"^$|^[^:/]+:[0-9]+$"),
    "worker.autoscaling.redis.passwordSecret": {
        "type": "object",
        "additionalProperties": False,
        "properties": {"name": _STRING, "key": _STRING, "usernameKey": {"type": "string"}},
    },
    "worker.autoscaling.prometheus.serverAddress": _matching("^$|^https?://"),
    "networkPolicy.from": _objects(),
    "networkPolicy.metricsFrom": _objects(),
    "networkPolicy.redisPorts": _list(_PORT),
    "networkPolicy.kedaNamespace": _STRING,
    "networkPolicy.egress": _objects(),
    "tracing.endpoint": _matching("^$|^https?://"),
    "tracing.sampler": _matching("^$|^(parentbased_)?(always_on|always_off|traceidratio)$"),
    "metrics.path": _matching("^/"),
    "metrics.workerPort": _PORT,
    "metrics.serviceMonitor.interval": _INTERVAL,
    "metrics.serviceMonitor.labels": _LABELS,
    "metrics.podMonitor.interval": _INTERVAL,
    "metrics.podMonitor.labels": _LABELS,
    "metrics.rules.labels": _LABELS,
    "metrics.rules.alertLabels": _TEXTS,
    "metrics.rules.disabled": _list(_matching("^Mamba")),
    "metrics.rules.additional": _objects("expr"),
    "metrics.rules.thresholds.noWorkersFor": _INTERVAL,
    "metrics.dashboards.labels": _LABELS,
}
