"""Generate `docs/reference/configuration.md` from the settings. `make docs` runs it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_json

from shared.settings import Settings
from shared.settings.names import INDEX, NAME, Key, dotted, is_section, variable_name
from shared.settings.renamed import RENAMED
from shared.settings.sections.base import is_live

_HEAD = """# Configuration

`make docs` generates this page from `shared/settings/`. Do not edit it.

## Sources

Mamba reads settings from these sources. Each overrides individual keys of the sources below it:

1. Environment variables: `MAMBA_`, then the section and the key, joined by two underscores, such as
   `MAMBA_SERVER__PORT`. Mamba also reads `OPENAI_API_KEY`, `OPENAI_BASE_URL`, `OPENAI_ORG_ID`, and
   `OPENAI_PROJECT_ID`, with lower precedence than its own variables.
2. `~/mamba.env`: the same variables, one `NAME=value` per line.
3. `config.local.yaml` in the working directory, for settings of this machine.
4. `config/config.yaml`, for settings of all machines.
5. The defaults below.

Write a list or a table in a variable as JSON
(`MAMBA_SERVER__CORS_ORIGINS='["https://a.example"]'`), or set a single entry
(`MAMBA_AUTH__API_KEYS__0__KEY`, `MAMBA_PROVIDERS__GROQ__API_KEY`). A list replaces the list of a
lower source; tables are merged. An empty variable counts as unset. Times are in seconds.

`mamba config` validates the settings and shows each effective setting with its source, without
secrets. `mamba config --changed` shows only settings that a source sets, and `mamba config --json`
prints JSON.

OpenTelemetry reads its own variables (`OTEL_…`) from the environment only; see
[tracing](../operate/tracing.md).

## Invalid settings

An invalid value or an unknown key stops the process at start with exit code 2. The error lists all
problems with their sources, and suggests a name for an unknown key:

```
The settings are invalid:
  MAMBA_RUN__RETRIES: unknown setting; did you mean MAMBA_RUN__MAX_RETRIES?
  server.port: Input should be less than or equal to 65535 (config.local.yaml)
```

A variable that starts with `MAMBA_` is a setting if it contains two consecutive underscores after
the prefix, or names a section. Mamba ignores others (`MAMBA_ROOT_PREFIX`,
`MAMBA_API_PORT_8000_TCP`), except for settings with too few underscores: `MAMBA_SERVER_PORT=1` is
an error, but `MAMBA_SERVER_PORT=tcp://…`, which Kubernetes sets, is not.

## Changes without a restart

Settings marked ↻ take effect without a restart, and without interrupting streams. The API and the
worker apply them about a second after a settings file changes (including a replaced file or an
updated ConfigMap), or on SIGHUP. If a changed setting is invalid, Mamba logs `settings.refused`
and keeps all old settings. `settings.reloaded` lists the changed keys, `settings.restart_needed`
those that take effect at the next start. A running process does not see changes of its environment
variables, which keep their precedence.
"""

_EXAMPLES = {
    "auth": """
auth:
  mode: api_key
  api_keys:
    - name: app
      key: replace-with-a-long-random-key
      owner: app
    - name: batch
      hash: sha256:…        # 64 hexadecimal digits
      expires_at: 2030-01-01T00:00:00Z
""",
    "providers": """
providers:
  groq:
    base_url: https://api.groq.com/openai/v1
    api_key: gsk-…
    models: [llama-3.3-70b-versatile]
  local:
    base_url: http://localhost:11434/v1
    profile: {images: false}
""",
    "models": """
models:
  allowed: ["openai/gpt-4*", "groq/*"]
  fallbacks:
    openai/gpt-4o: [groq/llama-3.3-70b-versatile]
  queues: {"ollama/*": local}
  prices: {"groq/*": {input: 0.59, output: 0.79}}
""",
    "limits": """
limits:
  requests_per_minute: 60
  budgets:
    default: {tokens: {day: 200000}, cost: {month: 10}}
    premium: {tokens: {day: 2000000}, cost: {month: 100}}
    "jwt::ann": {cost: {month: 500}}
""",
}
_NOTES = {
    "providers": (
        "Additional OpenAI-compatible endpoints. `<NAME>` consists of `a-z`, `0-9`, `_` and `-`.\n"
        "Models are named `<name>/<model>`. The name `openai` is reserved for the endpoint in the\n"
        "section [openai](#openai)."
    ),
    "auth": "`<N>` is the index of a list entry, starting at 0.",
    "models": (
        "`<NAME>` in `prices` is a model pattern, such as `groq/*`. The first match applies, else\n"
        "the public price of the model, if it is known."
    ),
    "limits": (
        "`<NAME>` in `budgets` is a plan (`plan` of an API key, `auth.jwt.plan_claim`), an owner\n"
        "(`<mode>:<tenant>:<owner>`, such as `jwt::ann`), or `default`. See\n"
        "[budgets](limits.md#budgets)."
    ),
    "research": "Settings of the built-in agent `research`.",
    "webhooks": (
        "Destinations of [webhooks](../frontend/webhooks.md). `<NAME>` consists of `a-z`, `0-9`,\n"
        "`_` and `-`."
    ),
}


def page() -> str:
    sections = "\n".join(_section(name, field) for name, field in Settings.model_fields.items())
    return f"{_HEAD}\n{sections}\n{_renamed()}"


def _section(name: str, field: FieldInfo) -> str:
    rows = "\n".join(_rows((name,), field))
    note = f"{_NOTES[name]}\n\n" if name in _NOTES else ""
    table = f"| variable | default | ↻ | description |\n|---|---|---|---|\n{rows}\n"
    example = f"\nAs YAML:\n\n```yaml{_EXAMPLES[name]}```\n" if name in _EXAMPLES else ""
    return f"## {name}\n\n{note}{table}{example}"


def _rows(key: Key, field: FieldInfo) -> Iterator[str]:
    """Yield a row per setting, including those of nested sections."""
    for step, section in _sections_of(field.annotation):
        for name, inner in section.model_fields.items():
            yield from _rows((*key, *step, name), inner)
        return
    mark = "↻" if is_live(field) else ""
    description = f"{field.description}{_values(field)}"
    yield f"| `{variable_name(key)}` | {_default(field)} | {mark} | {description} |"


def _sections_of(annotation: Any) -> Iterator[tuple[Key, Any]]:  # noqa: ANN401  (a type or a type form)
    """Yield the sections in a type, and the placeholder before their keys."""
    steps: dict[object, Key] = {dict: (NAME,), tuple: (INDEX,)}
    for kind in (annotation, *get_args(annotation)):
        if is_section(kind):
            yield steps.get(get_origin(annotation), ()), kind


def _renamed() -> str:
    rows = "\n".join(
        f"| `{dotted(old)}` | `{variable_name(old)}` | `{dotted(new)}` |"
        for old, (new, _) in RENAMED.items()
    )
    return f"""## Alternative names

Mamba also accepts these names from the original Mamba documentation in every source, and
`mamba config` marks them. A source must not set both names. `auth.api_key` defines an entry of
`auth.api_keys` named `default`.

| alternative name | variable | setting |
|---|---|---|
{rows}
"""


def _default(setting: FieldInfo) -> str:
    value: Any = setting.default
    if value in (None, "", PydanticUndefined):
        return ""
    return f"`{value if isinstance(value, str | Path) else to_json(value).decode()}`"


def _values(setting: FieldInfo) -> str:
    """Return the sentence that lists the accepted values of a setting, if it has such a list."""
    values = ", ".join(f"`{value}`" for value in _literals(setting.annotation))
    return f". Values: {values}" if values else ""


def _literals(annotation: Any) -> Iterator[object]:  # noqa: ANN401  (a type or a type form)
    """Yield the values of the literals in a type."""
    is_literal = get_origin(annotation) is Literal
    for argument in get_args(annotation):
        yield from [argument] if is_literal else _literals(argument)


if __name__ == "__main__":
    print(page(), end="")
