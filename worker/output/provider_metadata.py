"""What a provider attached to a part of an answer, as the AI SDK's `providerMetadata`.

The run's stream and the client's messages store it, so that later requests to the model can
contain it. Clients can change it: what it may add to a request is checked in
`worker/models/chat/assistant_message.py`.
"""

from collections.abc import Sequence
from typing import Any, cast

from pydantic_ai.messages import TextPart, ThinkingPart, ToolCallPart

from shared.provider_metadata import KEY, Metadata
from shared.streams.events import ProviderMetadata

_Part = TextPart | ThinkingPart | ToolCallPart


def metadata_of(part: _Part) -> ProviderMetadata | None:
    """Return the metadata of a part; None if it has none."""
    field = part.id if isinstance(part, ThinkingPart) else None
    values = {"provider": part.provider_name, "field": field, "details": part.provider_details}
    present = {name: value for name, value in values.items() if value}
    return {KEY: present} if field or part.provider_details else None


def joined_text(texts: Sequence[tuple[str, Metadata | None]]) -> TextPart | None:
    """Build one part from the texts of a step; None if they are empty. The last metadata counts."""
    text = "".join(text for text, _ in texts)
    metadata = next((metadata for _, metadata in reversed(texts) if metadata), None)
    if not text:
        return None
    return TextPart(text, provider_name=_provider(metadata), provider_details=_details(metadata))


def thinking_part(text: str, metadata: Metadata | None) -> ThinkingPart:
    return ThinkingPart(
        text,
        id=_text(metadata, "field"),
        provider_name=_provider(metadata),
        provider_details=_details(metadata),
    )


def tool_call_part(
    name: str, arguments: str | dict[str, Any] | None, call_id: str, metadata: Metadata | None
) -> ToolCallPart:
    return ToolCallPart(
        name,
        arguments,
        call_id,
        provider_name=_provider(metadata),
        provider_details=_details(metadata),
    )


def _provider(metadata: Metadata | None) -> str | None:
    return _text(metadata, "provider")


def _text(metadata: Metadata | None, name: str) -> str | None:
    value = (metadata or {}).get(name)
    return value if isinstance(value, str) else None


def _details(metadata: Metadata | None) -> dict[str, Any] | None:
    value = (metadata or {}).get("details")
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None
