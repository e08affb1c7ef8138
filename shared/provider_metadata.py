"""Mamba's entry in the AI SDK's `providerMetadata`."""

from collections.abc import Mapping
from typing import Any, cast

#: `providerMetadata` maps names of providers to objects. Mamba uses this name.
KEY = "mamba"

Metadata = Mapping[str, Any]


def mamba_metadata(value: object) -> Metadata | None:
    """Return Mamba's entry; None if there is none. The entries of others are ignored."""
    entry = cast("dict[str, object]", value).get(KEY) if isinstance(value, dict) else None
    return cast("Metadata", entry) if isinstance(entry, dict) else None
