"""Parses the `Accept` header (RFC 9110, 12.4.2 and 12.5.1)."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

#: Text between separators; a separator within a quoted string does not count.
_COMMA_SEPARATED = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
_SEMICOLON_SEPARATED = re.compile(r'(?:[^;"]|"(?:[^"\\]|\\.)*"?)+')
_TYPE = re.compile(r"[\w!#$&^.+*-]+/[\w!#$&^.+*-]+", re.ASCII)
_QUALITY = re.compile(r"0(?:\.\d{0,3})?|1(?:\.0{0,3})?", re.ASCII)


class MediaRange(NamedTuple):
    """A media range such as `text/*` or `text/event-stream; profile=basic`."""

    type: str
    parameters: dict[str, str]
    #: From 0 (not acceptable) to 1.
    quality: float

    def covers(self, media_type: str) -> bool:
        """Return whether the range includes this type, ignoring parameters."""
        main, _, sub = self.type.partition("/")
        return self.type in ("*/*", media_type) or (
            sub == "*" and main == media_type.partition("/")[0]
        )

    @property
    def wildcards(self) -> int:
        return self.type.count("*")


def media_ranges(headers: Sequence[str]) -> list[MediaRange]:
    """Return the ranges of all `Accept` headers in order, without invalid ones."""
    items = (item for header in headers for item in _COMMA_SEPARATED.findall(header))
    return [media_range for item in items if (media_range := _parse(item)) is not None]


def _parse(item: str) -> MediaRange | None:
    media_type, *fields = (field.strip() for field in _SEMICOLON_SEPARATED.findall(item) or [""])
    parameters = dict(_parameters(fields))
    quality = parameters.pop("q", "1")
    if not _TYPE.fullmatch(media_type) or not _QUALITY.fullmatch(quality):
        return None
    return MediaRange(media_type.lower(), parameters, float(quality))


def _parameters(fields: Sequence[str]) -> Iterator[tuple[str, str]]:
    for field in fields:
        name, _, value = (text.strip() for text in field.partition("="))
        if value.startswith('"'):
            value = re.sub(r"\\(.)", r"\1", value[1:].removesuffix('"'))
        yield name.lower(), value
