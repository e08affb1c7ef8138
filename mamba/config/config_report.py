"""The report of `mamba config`: each setting in force and its source."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pydantic import BaseModel, SecretStr
from pydantic_core import to_jsonable_python

from shared.settings import LoadedSettings
from shared.settings.names import Key, dotted
from shared.settings.sections.base import is_live

MASK = "**********"
#: Width of the value column. Longer values overflow it.
_MAX_VALUE_WIDTH = 40
#: URL parameters to mask, such as `sentinel_password`.
_MASKED_PARAMETER = r"(?:\w*password|\w*token|\w*secret|(?:\w*_)?key)"
_BOLD, _DIM, _RESET = "\x1b[1m", "\x1b[2m", "\x1b[0m"


@dataclass(frozen=True)
class ConfigRow:
    key: str
    #: JSON-compatible, with secrets masked.
    value: object
    #: A variable or a file; None for the default.
    source: str | None
    #: The old name under which the source sets it, if any.
    renamed: str | None
    #: Whether a change takes effect without a restart.
    live: bool

    @property
    def origin(self) -> str:
        old = f"; the old name is {self.renamed}" if self.renamed else ""
        return (self.source or "default") + old


def config_rows(reading: LoadedSettings) -> Iterator[ConfigRow]:
    for key, value, live in _settings(reading.settings):
        old = reading.renamed_from(key)
        yield ConfigRow(
            key=dotted(key),
            value=masked(value),
            source=reading.origin(key),
            renamed=dotted(old) if old else None,
            live=live,
        )


def in_json(rows: Iterable[ConfigRow]) -> str:
    settings = [
        {"key": r.key, "value": r.value, "source": r.source, "old_name": r.renamed, "live": r.live}
        for r in rows
    ]
    return json.dumps({"settings": settings}, indent=2, ensure_ascii=False)


def in_columns(rows: list[ConfigRow], *, color: bool) -> str:
    """Return aligned columns of key, value and source. With `color`, changed settings are bold."""
    if not rows:
        return "All settings are the defaults."
    keys = max(len(row.key) for row in rows)
    values = min(_MAX_VALUE_WIDTH, max(len(_text(row.value)) for row in rows))
    return "\n".join(_line(row, keys, values, color=color) for row in rows)


def masked(value: object) -> object:
    """Return a JSON-compatible value with secrets masked: keys, headers and credentials in URLs."""
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, dict):
        table = cast("dict[str, object]", value)
        return {name: masked(inner) for name, inner in table.items()}
    if isinstance(value, tuple):
        return [masked(inner) for inner in cast("tuple[object, ...]", value)]
    if isinstance(value, Path):
        return str(value)
    return _mask_credentials(value) if isinstance(value, str) else to_jsonable_python(value)


def _settings(
    value: object, prefix: Key = (), *, live: bool = True
) -> Iterator[tuple[Key, object, bool]]:
    """Yield key, value and live flag of each setting, including those in tables and lists."""
    if isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            yield from _settings(getattr(value, name), (*prefix, name), live=is_live(field))
    elif rows := _sections_in(value):
        for name, row in rows.items():
            yield from _settings(row, (*prefix, name), live=live)
    else:
        yield prefix, value, live


def _sections_in(value: object) -> dict[str, BaseModel]:
    if isinstance(value, dict):
        found = cast("dict[str, object]", value)
    elif isinstance(value, tuple):
        found = {str(index): row for index, row in enumerate(cast("tuple[object, ...]", value))}
    else:
        return {}
    return {name: row for name, row in found.items() if isinstance(row, BaseModel)}


def _mask_credentials(text: str) -> str:
    # A password may contain an @, so match up to the last one.
    text = re.sub(r"://.*@", f"://{MASK}@", text, flags=re.DOTALL)
    return re.sub(rf"([?&]{_MASKED_PARAMETER}=)[^&]*", rf"\1{MASK}", text, flags=re.IGNORECASE)


def _line(row: ConfigRow, keys: int, values: int, *, color: bool) -> str:
    line = f"{row.key:{keys}}  {_text(row.value):{values}}  "
    if not color:
        return line + row.origin
    return (
        f"{_BOLD if row.source else _DIM}{line}{_RESET if row.source else ''}{row.origin}{_RESET}"
    )


def _text(value: object) -> str:
    if value is None:
        return "-"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.replace("\n", " ")
