"""`docs/configuration.md`, made from the settings: `make docs` writes it, a test compares it."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_json

from shared.settings import Settings

_HEAD = """# Configuration

Made from `shared/settings.py` by `make docs`; do not edit.

Highest first: the environment variables below, the same names in `~/mamba.env`, then
`config.local.yaml` and `config/config.yaml` (nested: `server: {port: 8000}`), then the defaults. A
wrong value or an unknown key of a section ends the process at start, with exit code 2 and the name
of the key. Times are in seconds.

| variable | default | |
|---|---|---|
"""


def page() -> str:
    return _HEAD + "\n".join(_rows()) + "\n"


def _rows() -> Iterator[str]:
    for section, field in Settings.model_fields.items():
        model = field.annotation
        assert isinstance(model, type)  # noqa: S101  (each section is a model)
        assert issubclass(model, BaseModel)  # noqa: S101
        for name, setting in model.model_fields.items():
            variable = f"MAMBA_{section}__{name}".upper()
            yield f"| `{variable}` | {_default(setting)} | {setting.description} |"


def _default(setting: FieldInfo) -> str:
    value: Any = setting.default
    return (
        "" if value is None else f"`{value if isinstance(value, str) else to_json(value).decode()}`"
    )


if __name__ == "__main__":
    print(page(), end="")
