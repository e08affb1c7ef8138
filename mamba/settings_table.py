"""`docs/configuration.md`, made from the settings: `make docs` writes it, a test compares it."""

from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_json

from shared.settings import Settings

_HEAD = """# Configuration

Made from `shared/settings/` by `make docs`; do not edit.

Highest first: the environment variables below, the same names in `~/mamba.env`, then
`config.local.yaml` and `config/config.yaml` (nested: `server: {port: 8000}`), then the defaults. A
wrong value or an unknown key of a section ends the process at start, with exit code 2 and the name
of the key. Times are in seconds.

| variable | default | |
|---|---|---|
"""

#: How a variable's name goes on below a table, and a list, of sections.
_STEPS: dict[object, str] = {dict: "__<NAME>", tuple: "__<N>"}


def page() -> str:
    return _HEAD + "\n".join(_rows()) + "\n"


def _rows() -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        yield from _of(f"MAMBA_{name}".upper(), field)


def _of(variable: str, field: FieldInfo) -> Iterator[str]:
    """A row for a setting; those of its own settings for a section, or for a table of sections."""
    section = _section(field.annotation)
    if section is None:
        yield f"| `{variable}` | {_default(field)} | {field.description} |"
        return
    step = _STEPS.get(get_origin(field.annotation), "")
    for name, inner in section.model_fields.items():
        yield from _of(f"{variable}{step}__{name.upper()}", inner)


def _section(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401  (a type, or a form of one)
    """The section that a setting is, or holds in a dict or a tuple."""
    kinds = [annotation, *get_args(annotation)]
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)


def _default(setting: FieldInfo) -> str:
    value: Any = setting.default
    if value is None or value is PydanticUndefined:
        return ""
    return f"`{value if isinstance(value, str) else to_json(value).decode()}`"


if __name__ == "__main__":
    print(page(), end="")
