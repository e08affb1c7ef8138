"""Differences between two settings, and the part of them that takes effect without a restart."""

from collections.abc import Iterator
from typing import TypeVar

from pydantic import BaseModel

from shared.settings.names import Key
from shared.settings.sections.base import is_live

_Model = TypeVar("_Model", bound=BaseModel)


def changed_keys(old: object, new: object, parent: Key = (), *, live: bool) -> Iterator[Key]:
    """Yield the keys whose values differ: only the live ones, or only those that need a restart."""
    if old == new:
        return
    if isinstance(old, BaseModel) and isinstance(new, BaseModel):
        for name, field in type(new).model_fields.items():
            before, after = getattr(old, name), getattr(new, name)
            if isinstance(after, BaseModel) or is_live(field) is live:
                yield from changed_keys(before, after, (*parent, name), live=live)
    else:
        yield parent


def apply_live_changes(old: _Model, new: _Model) -> _Model:
    """Return the new settings with the old values of all settings that need a restart."""
    update: dict[str, object] = {}
    for name, field in type(new).model_fields.items():
        before, after = getattr(old, name), getattr(new, name)
        if isinstance(before, BaseModel) and isinstance(after, BaseModel):
            update[name] = apply_live_changes(before, after)
        elif not is_live(field):
            update[name] = before
    return new.model_copy(update=update)
