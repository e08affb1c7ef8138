"""Generates files of the Helm chart from its values.yaml and the settings. `make docs` runs it.

The schema of `config` is that of the settings, so Helm rejects wrong settings before a rollout.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import SecretStr

from deploy.value_types import TYPES
from shared.agents.agent_file import FileAgent
from shared.settings import Settings
from shared.settings.names import INDEX, NAME, Key, all_keys, is_section, type_of
from shared.settings.sections.base import is_live

CHART = Path(__file__).parents[1] / "helm" / "mamba-server"
VALUES = CHART / "values.yaml"
AT_START = CHART / "at-start.json"
SECRETS = CHART / "secrets.json"
SCHEMA = CHART / "values.schema.json"
README = CHART / "README.md"

#: Settings sections that only one component reads.
_READERS = {"server": ["api"], "worker": ["worker"], "research": ["worker"]}
_TABLE = "<!-- values -->\n"
_TYPES_OF_DEFAULTS: dict[type, dict[str, Any]] = {
    bool: {"type": "boolean"},
    int: {"type": "integer", "minimum": 0},
    list: {"type": "array"},
    dict: {"type": "object"},
}
_THRESHOLDS = "metrics.rules.thresholds."


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
        "propertyNames": {"pattern": "^[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?$"},
        "additionalProperties": {"anyOf": [{"type": "null"}, worker]},
    }
    definitions = {
        **FileAgent.model_json_schema()["$defs"],
        **Settings.model_json_schema()["$defs"],
    }
    document = {"$schema": "http://json-schema.org/draft-07/schema#", **root, "$defs": definitions}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def at_start() -> str:
    """Return at-start.json: by component, the settings that take effect only at the next start."""
    read: dict[str, dict[str, list[str]]] = {"api": {}, "worker": {}}
    for section, field in Settings.model_fields.items():
        fields = field.annotation.model_fields if is_section(field.annotation) else {}
        names = [name for name, setting in fields.items() if not is_live(setting)]
        if not names:
            continue
        for component in _READERS.get(section, ["api", "worker"]):
            read[component][section] = names
    return json.dumps(read, indent=1) + "\n"


def secrets() -> str:
    """Return secrets.json: the keys of the settings that are secret. `<name>` is any name."""
    found = [key for key in all_keys(Settings) if key[-1] != NAME and _is_secret(key)]
    return "[\n" + ",\n".join(f" {json.dumps(key)}" for key in found) + "\n]\n"


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


def _is_secret(key: Key) -> bool:
    return _holds_secret(type_of(Settings, tuple("0" if name == INDEX else name for name in key)))


def _holds_secret(annotation: object) -> bool:
    """Whether it is a secret, or names one, as in dict[str, Annotated[SecretStr, check]]."""
    return annotation is SecretStr or any(_holds_secret(part) for part in get_args(annotation))


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
    if value.path in TYPES:
        return TYPES[value.path]
    if value.path == "agents":
        agent = FileAgent.model_json_schema(ref_template="#/$defs/{model}")
        return {"type": "array", "items": {k: v for k, v in agent.items() if k != "$defs"}}
    if value.path.startswith(_THRESHOLDS):
        return {"type": "number", "minimum": 0}
    if isinstance(value.default, str):
        return {"type": "string"}
    return _TYPES_OF_DEFAULTS[type(value.default)]


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
    SECRETS.write_text(secrets())
    README.write_text(readme())
