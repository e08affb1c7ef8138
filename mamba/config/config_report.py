"""What `mamba config` shows: each setting in force, and where it comes from."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pydantic import BaseModel, SecretStr
from pydantic_core import to_jsonable_python

from shared.settings import Reading
from shared.settings.names import Key, dotted
from shared.settings.sections.base import is_live

MASK = "**********"
#: A longer value shifts its own line alone.
_WIDEST = 40
#: A parameter of a URL, such as `sentinel_password`.
_HIDDEN = r"(?:\w*password|\w*token|\w*secret|(?:\w*_)?key)"
_BOLD, _DIM, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"


@dataclass(frozen=True)
class ConfigRow:
    key: str
    #: As JSON; what is secret in it is masked.
    value: object
    #: A variable or a file; None: the default.
    source: str | None
    #: The old name that it was set by.
    renamed: str | None
    #: Whether a change of it takes effect without a restart.
    live: bool

    @property
    def origin(self) -> str:
        old = f"; the old name is {self.renamed}" if self.renamed else ""
        return (self.source or "default") + old


def config_rows(reading: Reading) -> Iterator[ConfigRow]:
    for key, value, live in _leaves(reading.settings):
        old = reading.old_name(key)
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
    """Key, value and source, aligned; those that are not the default stand out on a terminal."""
    if not rows:
        return "All settings are the defaults."
    keys = max(len(row.key) for row in rows)
    values = min(_WIDEST, max(len(_text(row.value)) for row in rows))
    return "\n".join(_line(row, keys, values, color=color) for row in rows)


def masked(value: object) -> object:
    """A value as JSON, without anything secret: keys, headers, and who logs in by a URL."""
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, dict):
        table = cast("dict[str, object]", value)
        return {name: masked(inner) for name, inner in table.items()}
    if isinstance(value, tuple):
        return [masked(inner) for inner in cast("tuple[object, ...]", value)]
    if isinstance(value, Path):
        return str(value)
    return _without_login(value) if isinstance(value, str) else to_jsonable_python(value)


def _leaves(
    value: object, above: Key = (), *, live: bool = True
) -> Iterator[tuple[Key, object, bool]]:
    """Each setting; those of tables and lists of sections one by one."""
    if isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            yield from _leaves(getattr(value, name), (*above, name), live=is_live(field))
    elif rows := _sections_in(value):
        for name, row in rows.items():
            yield from _leaves(row, (*above, name), live=live)
    else:
        yield above, value, live


def _sections_in(value: object) -> dict[str, BaseModel]:
    if isinstance(value, dict):
        found = cast("dict[str, object]", value)
    elif isinstance(value, tuple):
        found = {str(place): row for place, row in enumerate(cast("tuple[object, ...]", value))}
    else:
        return {}
    return {name: row for name, row in found.items() if isinstance(row, BaseModel)}


def _without_login(text: str) -> str:
    # A password may hold an @ itself: the last one ends it.
    text = re.sub(r"://.*@", f"://{MASK}@", text, flags=re.DOTALL)
    return re.sub(rf"([?&]{_HIDDEN}=)[^&]*", rf"\1{MASK}", text, flags=re.IGNORECASE)


def _line(row: ConfigRow, keys: int, values: int, *, color: bool) -> str:
    line = f"{row.key:{keys}}  {_text(row.value):{values}}  "
    if not color:
        return line + row.origin
    return (
        f"{_BOLD if row.source else _DIM}{line}{_PLAIN if row.source else ''}{row.origin}{_PLAIN}"
    )


def _text(value: object) -> str:
    if value is None:
        return "-"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.replace("\n", " ")
