"""Removes all span attributes that are not on an allowlist, and all user content.

pydantic-ai's spans contain content that its own switch does not remove (tool descriptions, the
structure of the conversation), and each release may add more. Hence an allowlist.
"""

import re
from collections.abc import Mapping
from itertools import chain

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Status
from opentelemetry.util.types import AttributeValue

from shared.telemetry.tracing.tracer import SCOPE

#: Attributes that Mamba sets.
MAMBA_ATTRIBUTES = frozenset(
    {
        "error.type",
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "mamba.agent",
        "mamba.attempt",
        "mamba.model",
        "mamba.outcome",
        "mamba.request.id",
        "mamba.run.error",
        "mamba.run.id",
        "mamba.run.state",
        "mamba.stream.bytes",
        "mamba.stream.outcome",
        "messaging.destination.name",
        "messaging.message.id",
        "messaging.operation.name",
        "messaging.operation.type",
        "messaging.system",
        "network.protocol.version",
        "url.scheme",
    }
)
#: Allowed attributes of pydantic-ai.
GEN_AI_ATTRIBUTES = frozenset(
    {
        "error.type",
        "gen_ai.agent.name",
        "gen_ai.aggregated_usage.cache_read.input_tokens",
        "gen_ai.aggregated_usage.input_tokens",
        "gen_ai.aggregated_usage.output_tokens",
        "gen_ai.client.operation.time_to_first_chunk",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.response.finish_reasons",
        "gen_ai.response.id",
        "gen_ai.response.model",
        "gen_ai.tool.call.id",
        "gen_ai.tool.name",
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
        "operation.cost",
        "server.address",
        "server.port",
    }
)
_LISTED = {SCOPE: MAMBA_ATTRIBUTES, "pydantic-ai": GEN_AI_ATTRIBUTES}

#: A single identifier. A model may invent a tool name, an endpoint may return any text as an id.
_IDENTIFIER = re.compile(r"[\w.:/@+{}*\[\],-]{1,128}")


def redact(span: ReadableSpan) -> ReadableSpan:
    """Return the span with allowed attributes only. Spans of other scopes stay unchanged."""
    scope = span.instrumentation_scope
    listed = _LISTED.get(scope.name) if scope else None
    if listed is None:
        return span
    events = [_exception(event) for event in span.events if event.name == "exception"]
    attributes = _of(span.attributes or {}, listed)
    for event in events:
        for kind in (event.attributes or {}).values():
            attributes.setdefault("error.type", kind)
    return ReadableSpan(
        _name(span.name),
        span.context,
        span.parent,
        span.resource,
        attributes,
        events,
        span.links,
        span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=scope,
    )


def _of(
    attributes: Mapping[str, AttributeValue], listed: frozenset[str]
) -> dict[str, AttributeValue]:
    named = {name: value for name, value in attributes.items() if name in listed}
    return {name: value for name, value in named.items() if _is_plain(value)}


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return _IDENTIFIER.fullmatch(value) is not None
    if isinstance(value, tuple | list):
        return all(map(_is_plain, chain(value)))  # pyright: ignore[reportUnknownArgumentType]
    return True


def _name(name: str) -> str:
    """Return the name, such as `chat gpt-4o`, without its target if that is not an identifier."""
    verb, _, target = name.partition(" ")
    return name if _IDENTIFIER.fullmatch(target) else verb


def _exception(event: Event) -> Event:
    kind = (event.attributes or {}).get("exception.type", "")
    attributes = {"exception.type": kind} if _is_plain(kind) else {}
    return Event(event.name, attributes, event.timestamp)
