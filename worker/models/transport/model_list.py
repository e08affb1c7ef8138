"""Reads a server's list of models, which may have any form."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from worker.models.transport.completion import is_json, parse_json, unusable_document
from worker.models.transport.unusable_response import UnusableResponse, unusable

#: More models than any server offers.
MAX_MODELS = 2000
MAX_ID_CHARS = 256


@dataclass(frozen=True, slots=True)
class ModelIds:
    """The usable ids, in the server's order, and the number of entries that were left out."""

    ids: tuple[str, ...]
    left_out: int = 0


def parse_model_list(body: bytes, content_type: str | None) -> ModelIds:
    """Parse the response of `GET /models`.

    Raises:
        UnusableResponse: if it is not OpenAI's list, or none of its entries has a usable id.
    """
    value = parse_json(body)
    if not isinstance(value, dict):
        raise _not_a_list(_description(value), content_type)
    entries = cast("dict[str, object]", value).get("data")
    if not isinstance(entries, list):
        error = unusable_document(cast("object", value), content_type)
        if error.upstream.reason == "not_a_completion":
            raise _not_a_list("a JSON object without the list `data`", content_type)
        raise error
    found = cast("list[object]", entries)
    usable = [*_usable_ids(found)]
    if found and not usable:
        raise _not_a_list("a list without any usable model id", content_type)
    return ModelIds(tuple(dict.fromkeys(usable)), left_out=len(found) - len(usable))


def _usable_ids(entries: list[object]) -> Iterator[str]:
    for entry in entries[:MAX_MODELS]:
        name = cast("dict[str, object]", entry).get("id") if isinstance(entry, dict) else None
        if isinstance(name, str) and is_usable_id(name):
            yield name


def is_usable_id(name: str) -> bool:
    """Return whether a model id can be shown and sent back: short, visible, plain characters."""
    return 0 < len(name) <= MAX_ID_CHARS and name.isprintable() and name == name.strip()


def _description(value: object) -> str:
    if not is_json(value):
        return "something else than JSON"
    return "a JSON list" if isinstance(value, list) else "a JSON value"


def _not_a_list(received: str, content_type: str | None) -> UnusableResponse:
    message = f"GET /models returned {received} instead of an object with the list `data`."
    return unusable(message, content_type)
