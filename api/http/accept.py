"""The `Accept` header: what a client takes, and how gladly (RFC 9110, 12.4.2 and 12.5.1)."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

#: What stands between commas or semicolons; those in a quoted string separate nothing.
_ITEMS = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
_FIELDS = re.compile(r'(?:[^;"]|"(?:[^"\\]|\\.)*"?)+')
_TYPE = re.compile(r"[\w!#$&^.+*-]+/[\w!#$&^.+*-]+", re.ASCII)
_QUALITY = re.compile(r"0(?:\.\d{0,3})?|1(?:\.0{0,3})?", re.ASCII)


class MediaRange(NamedTuple):
    """`text/*`, `text/event-stream; profile=basic`: with its quality, 0 for what is refused."""

    type: str
    parameters: dict[str, str]
    quality: float

    def covers(self, media_type: str) -> bool:
        """Whether it takes this type, parameters aside."""
        main, _, sub = self.type.partition("/")
        return self.type in ("*/*", media_type) or (
            sub == "*" and main == media_type.partition("/")[0]
        )

    @property
    def wildcards(self) -> int:
        return self.type.count("*")


def media_ranges(headers: Sequence[str]) -> list[MediaRange]:
    """The ranges of all `Accept` headers, in order; what is none is left out."""
    items = (item for header in headers for item in _ITEMS.findall(header))
    return [media_range for item in items if (media_range := _range(item)) is not None]


def _range(item: str) -> MediaRange | None:
    media_type, *fields = (field.strip() for field in _FIELDS.findall(item) or [""])
    parameters = dict(_parameters(fields))
    quality = parameters.pop("q", "1")
    if not _TYPE.fullmatch(media_type) or not _QUALITY.fullmatch(quality):
        return None
    return MediaRange(media_type.lower(), parameters, float(quality))


def _parameters(fields: Sequence[str]) -> Iterator[tuple[str, str]]:
    for field in fields:
        name, _, value = (piece.strip() for piece in field.partition("="))
        if value.startswith('"'):
            value = re.sub(r"\\(.)", r"\1", value[1:].removesuffix('"'))
        yield name.lower(), value
