"""Generates files of the Helm chart from its values.yaml and the settings. `make docs` runs it.

The schema of `config` is that of the settings, so Helm rejects wrong settings before a rollout.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from shared.settings import Settings
from shared.settings.names import is_section
from shared.settings.sections.base import is_live

CHART = Path(__file__).parents[1] / "helm" / "mamba-server"
VALUES = CHART / "values.yaml"
AT_START = CHART / "at-start.json"
SCHEMA = CHART / "values.schema.json"
README = CHART / "README.md"

#: Settings sections that only one component reads.
_READERS = {"server": ["api"], "worker": ["worker"], "research": ["worker"]}
_TABLE = "<!-- values -->\n"
_NULLABLE = {"worker.drainSeconds": "number"}
_CHOICES = {
    "image.pullPolicy": ["Always", "IfNotPresent", "Never"],
    "api.service.type": ["ClusterIP", "NodePort", "LoadBalancer"],
    "worker.autoscaling.kind": ["auto", "keda", "hpa"],
    "worker.autoscaling.trigger": ["redis", "prometheus"],
}
_PATTERNS = {
    "tracing.endpoint": r"^$|^https?://",
    "tracing.sampler": r"^$|^(parentbased_)?(always_on|always_off|traceidratio)$",
    "redis.url": r"^$|^(redis|rediss|unix)://|^sentinels?://[^/]+/[^/?]+",
    "redis.streamsUrl": r"^$|^((redis|rediss|unix)://|clusters?://[^/?]+|sentinels?://[^/]+/[^/?]+)",
    "valkey.memory": r"^[0-9]+(Mi|Gi)$",
    "worker.autoscaling.redis.address": r"^$|^[^:/]+:[0-9]+$",
    "metrics.serviceMonitor.interval": r"^([0-9]+[smh])+$",
    "metrics.podMonitor.interval": r"^([0-9]+[smh])+$",
    "metrics.rules.thresholds.noWorkersFor": r"^([0-9]+[smh])+$",
}
_TYPES: dict[type, dict[str, Any]] = {
    bool: {"type": "boolean"},
    int: {"type": "integer", "minimum": 0},
    list: {"type": "array"},
    dict: {"type": "object"},
}
_THRESHOLDS = "metrics.rules.thresholds."
#: A number of pods, or a percentage, in Kubernetes notation.
_COUNT_OR_PERCENT = {"api.pdb.maxUnavailable", "worker.pdb.maxUnavailable"}


@dataclass(frozen=True)
class Value:
    path: str
    default: Any
    description: str


def values() -> list[Value]:
    """Return every value that has a description (a comment starting with `# --`), in file order."""
    return list(_values(VALUES.read_text()))


def load_values() -> dict[str, Any]:
    """Return the parsed values.yaml."""
    return yaml.safe_load(VALUES.read_text())


def schema() -> str:
    """Return values.schema.json."""
    found = [value for value in values() if not value.path.startswith("config.")]
    root = _section(found, "")
    worker = root["properties"]["worker"]
    root["properties"] |= {"config": _settings(), "global": {"type": "object"}}
    root["properties"]["pools"] = {
        "type": "object",
        "propertyNames": {"pattern": "^[a-z0-9]([a-z0-9-]{0,14}[a-z0-9])?$"},
        "additionalProperties": {"anyOf": [{"type": "null"}, worker]},
    }
    definitions = Settings.model_json_schema()["$defs"]
    document = {"$schema": "http://json-schema.org/draft-07/schema#", **root, "$defs": definitions}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def at_start() -> str:
    """Return at-start.json: by component, the settings that take effect only at the next start."""
    read: dict[str, dict[str, list[str]]] = {"api": {}, "worker": {}}
    for section, field in Settings.model_fields.items():
        fields = field.annotation.model_fields if is_section(field.annotation) else {}
        names = [name for name, setting in fields.items() if not is_live(setting)]
        for component in _READERS.get(section, read) if names else ():
            read[component][section] = names
    return json.dumps(read, indent=1) + "\n"


def readme() -> str:
    """Return the README with an updated table of values."""
    before, _, after = README.read_text().partition(_TABLE)
    _, _, after = after.partition(_TABLE)
    return f"{before}{_TABLE}{_table()}{_TABLE}{after}"


def _values(text: str) -> Iterator[Value]:
    tree, path = yaml.safe_load(text), list[str]()
    description = ""
    for line in text.splitlines():
        if comment := re.match(r" *# -- (.*)", line):
            description = comment[1]
        elif key := re.match(r"( *)([\w.-]+):", line):
            path[len(key[1]) // 2 :] = [key[2]]
            if description:
                yield Value(".".join(path), _at(tree, path), description)
            description = ""


def _at(tree: Any, path: list[str]) -> Any:  # noqa: ANN401
    for name in path:
        tree = tree[name]
    return tree


def _section(found: list[Value], prefix: str) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for value in found:
        name, _, rest = value.path.removeprefix(prefix).partition(".")
        if rest and name not in properties:
            inner = f"{prefix}{name}."
            nested = [other for other in found if other.path.startswith(inner)]
            properties[name] = _section(nested, inner)
        elif not rest:
            properties[name] = {**_type(value), "description": value.description}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _type(value: Value) -> dict[str, Any]:
    if value.path in _NULLABLE:
        return {"type": [_NULLABLE[value.path], "null"], "minimum": 0}
    if value.path in _COUNT_OR_PERCENT:
        return {"type": ["integer", "string"]}
    if value.path.startswith(_THRESHOLDS) and not isinstance(value.default, str):
        return {"type": "number", "minimum": 0}
    if isinstance(value.default, str):
        return {"type": "string", **_constraints(value.path)}
    return _TYPES[type(value.default)]


def _constraints(path: str) -> dict[str, Any]:
    if path in _CHOICES:
        return {"enum": _CHOICES[path]}
    return {"pattern": _PATTERNS[path]} if path in _PATTERNS else {}


def _settings() -> dict[str, Any]:
    settings_schema = Settings.model_json_schema()
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": settings_schema["properties"],
        "required": ["server", "worker"],
    }


def _table() -> str:
    rows = (
        f"| `{value.path}` | {_format(value.default)} | {value.description} |" for value in values()
    )
    return "\n".join(["| value | default | description |", "|---|---|---|", *rows]) + "\n"


def _format(default: Any) -> str:  # noqa: ANN401
    if default in ("", None):
        return ""
    text = default if isinstance(default, str) else json.dumps(default)
    return f"`{text}`"


if __name__ == "__main__":
    SCHEMA.write_text(schema())
    AT_START.write_text(at_start())
    README.write_text(readme())
