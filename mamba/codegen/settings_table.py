"""Generate `docs/reference/configuration.md` from the settings. `make docs` runs it."""

from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_json

from shared.settings import Settings
from shared.settings.names import INDEX, NAME, Key, dotted, is_section, variable_name
from shared.settings.renamed import RENAMED
from shared.settings.sections.base import is_live

_HEAD = """# Configuration

Made from `shared/settings/` by `make docs`; do not edit.

## Sources

Highest first; each overrides single keys of those below it:

1. environment variables: `MAMBA_`, then the section and the key, joined by two underscores, such as
   `MAMBA_SERVER__PORT`. Also `OPENAI_API_KEY` and `OPENAI_API_BASE_URL`; below our own names;
2. `~/mamba.env`: the same names, one `NAME=value` a line;
3. `config.local.yaml` in the working directory, for this machine alone;
4. `config/config.yaml`, for all;
5. the defaults below.

In a variable a list or a table is written as JSON
(`MAMBA_SERVER__CORS_ORIGINS='["https://a.example"]'`); a single entry may be named too
(`MAMBA_AUTH__API_KEYS__0__KEY`, `MAMBA_PROVIDERS__GROQ__API_KEY`). A list of a higher source
replaces that of a lower one; tables are merged. An empty variable is unset. Times are in seconds.

`mamba config` shows every setting in force and where it comes from, without secrets, and checks
them: `mamba config --changed` those that some source sets, `mamba config --json` for programs.

## Mistakes

A wrong value or an unknown key ends the process at start, with exit code 2. All of them are named
at once, each with its source and, where there is one, the name that was probably meant:

```
The settings are wrong:
  MAMBA_RUN__RETRIES: there is no such setting; did you mean MAMBA_RUN__MAX_RETRIES?
  server.port: Input should be less than or equal to 65535 (config.local.yaml)
```

OpenTelemetry's variables (`OTEL_…`) are its own, and read from the environment alone: see
[tracing.md](../operate/tracing.md).

Of the environment a variable that begins with `MAMBA_` is read as a setting if it has two
underscores in a row after that, or names a whole section. Others belong to other programs
(`MAMBA_ROOT_PREFIX`, `MAMBA_API_PORT_8000_TCP`), but for one that is a setting with too few
underscores: `MAMBA_SERVER_PORT=1` is a mistake, while Kubernetes' `MAMBA_SERVER_PORT=tcp://…` is
not.

## Changes without a restart

The settings marked ↻ change while the processes run: about a second after one of the files has
changed (an editor's replacement and the update of a mounted ConfigMap count too), or at SIGHUP,
and no stream is broken off. Both the API and the worker do it. Settings with a mistake are refused
as a whole (`settings.refused` in the log), and the old ones stay in force. `settings.reloaded`
names the keys that have changed, `settings.restart_needed` those that wait for the next start. The
environment of a process cannot change: what is set there holds.
"""

_EXAMPLES = {
    "auth": """
auth:
  mode: api_key
  api_keys:
    - name: app
      key: a-long-random-key
      owner: app
    - name: batch
      hash: sha256:…        # of the key, in hex: 64 digits
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
""",
}
_NOTES = {
    "providers": (
        "Further OpenAI-compatible endpoints. `<NAME>` is of `a-z`, `0-9`, `_` and `-`; a model\n"
        "is then `<name>/<model>`. The name `openai` is taken: that endpoint has its own\n"
        "[section](#openai)."
    ),
    "auth": "In a list `<N>` counts from 0.",
}


def page() -> str:
    sections = "\n".join(_section(name, field) for name, field in Settings.model_fields.items())
    return f"{_HEAD}\n{sections}\n{_renamed()}"


def _section(name: str, field: FieldInfo) -> str:
    rows = "\n".join(_rows((name,), field))
    note = f"{_NOTES[name]}\n\n" if name in _NOTES else ""
    table = f"| variable | default | ↻ | |\n|---|---|---|---|\n{rows}\n"
    example = f"\nAs YAML:\n\n```yaml{_EXAMPLES[name]}```\n" if name in _EXAMPLES else ""
    return f"## {name}\n\n{note}{table}{example}"


def _rows(key: Key, field: FieldInfo) -> Iterator[str]:
    """A row for a setting; those of its own settings for a section, or for a table of sections."""
    for step, section in _sections_of(field.annotation):
        for name, inner in section.model_fields.items():
            yield from _rows((*key, *step, name), inner)
        return
    mark = "↻" if is_live(field) else ""
    yield f"| `{variable_name(key)}` | {_default(field)} | {mark} | {field.description} |"


def _sections_of(annotation: Any) -> Iterator[tuple[Key, Any]]:  # noqa: ANN401  (a type, or a form of one)
    """The section that a setting is, or holds, and how a name goes on to it."""
    steps: dict[object, Key] = {dict: (NAME,), tuple: (INDEX,)}
    for kind in (annotation, *get_args(annotation)):
        if is_section(kind):
            yield steps.get(get_origin(annotation), ()), kind


def _renamed() -> str:
    rows = "\n".join(
        f"| `{dotted(old)}` | `{variable_name(old)}` | `{dotted(new)}` |"
        for old, (new, _) in RENAMED.items()
    )
    return f"""## Renamed

The old names of settings are read as today's, in every source; `mamba config` marks them. Where one
source sets both it is a mistake. `auth.api_key` is one entry of `auth.api_keys`, named `default`.

| old name | | today's |
|---|---|---|
{rows}
"""


def _default(setting: FieldInfo) -> str:
    value: Any = setting.default
    if value is None or value is PydanticUndefined:
        return ""
    return f"`{value if isinstance(value, str) else to_json(value).decode()}`"


if __name__ == "__main__":
    print(page(), end="")
