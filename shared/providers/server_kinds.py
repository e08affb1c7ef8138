"""Detects the server software of a provider from its name and its base URL."""

from collections.abc import Mapping
from typing import get_args
from urllib.parse import urlsplit

from shared.settings.sections.models import Kind

_KINDS: tuple[Kind, ...] = get_args(Kind)
#: Names of servers, with all characters but letters and digits removed.
_NAMES: Mapping[str, Kind] = {
    **{kind: kind for kind in _KINDS},
    "alibaba": "qwen",
    "azureopenai": "azure",
    "claude": "anthropic",
    "dashscope": "qwen",
    "fireworksai": "fireworks",
    "google": "gemini",
    "grok": "xai",
    "kimi": "moonshot",
    "mistralai": "mistral",
    "moonshotai": "moonshot",
    "togetherai": "together",
    "zhipu": "zai",
}

#: Servers by the end of their host name.
_HOSTS: Mapping[str, Kind] = {
    "api.anthropic.com": "anthropic",
    "aliyuncs.com": "qwen",
    "api.cerebras.ai": "cerebras",
    "api.deepseek.com": "deepseek",
    "api.fireworks.ai": "fireworks",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral",
    "api.moonshot.ai": "moonshot",
    "api.moonshot.cn": "moonshot",
    "api.openai.com": "openai",
    "api.together.ai": "together",
    "api.together.xyz": "together",
    "api.x.ai": "xai",
    "api.z.ai": "zai",
    "bigmodel.cn": "zai",
    "cognitiveservices.azure.com": "azure",
    "generativelanguage.googleapis.com": "gemini",
    "openai.azure.com": "azure",
    "openrouter.ai": "openrouter",
    "services.ai.azure.com": "azure",
}

#: Default ports that no other common server uses.
_PORTS: Mapping[int, Kind] = {1234: "lmstudio", 11434: "ollama"}


def detect_kind(name: str, base_url: str) -> Kind:
    """Return the kind that the host, the provider's name, or the port implies, in this order."""
    return _by_host(base_url) or kind_named(name) or _by_port(base_url) or "compatible"


def kind_named(name: str) -> Kind | None:
    """Return the kind with this name or one of its other names; None if there is none."""
    plain = "".join(filter(str.isalnum, name.lower()))
    return _NAMES.get(plain)


def _by_host(base_url: str) -> Kind | None:
    host = f".{urlsplit(base_url).hostname or ''}"
    return next((kind for end, kind in _HOSTS.items() if host.endswith(f".{end}")), None)


def _by_port(base_url: str) -> Kind | None:
    try:
        return _PORTS.get(urlsplit(base_url).port or 0)
    except ValueError:
        return None
