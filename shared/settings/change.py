"""What differs between two settings, and what of it may take effect without a restart."""

from collections.abc import Iterator
from typing import TypeVar

from pydantic import BaseModel

from shared.settings.names import Key
from shared.settings.sections.base import is_live

_Model = TypeVar("_Model", bound=BaseModel)


def changed_keys(old: object, new: object, above: Key = (), *, live: bool) -> Iterator[Key]:
    """The keys whose values differ: those that are live, or those that are not."""
    if old == new:
        return
    if isinstance(old, BaseModel) and isinstance(new, BaseModel):
        for name, field in type(new).model_fields.items():
            was, now = getattr(old, name), getattr(new, name)
            if isinstance(now, BaseModel) or is_live(field) is live:
                yield from changed_keys(was, now, (*above, name), live=live)
    else:
        yield above


def apply_live_changes(old: _Model, new: _Model) -> _Model:
    """The new settings, but for those that wait for a restart: these stay as they are."""
    update: dict[str, object] = {}
    for name, field in type(new).model_fields.items():
        was, now = getattr(old, name), getattr(new, name)
        if isinstance(was, BaseModel) and isinstance(now, BaseModel):
            update[name] = apply_live_changes(was, now)
        elif not is_live(field):
            update[name] = was
    return new.model_copy(update=update)
