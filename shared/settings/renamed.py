"""Settings that earlier releases called otherwise: the old name is read as today's."""

from collections.abc import Callable

from shared.settings.names import Key


def _one_key(value: object) -> object:
    return [{"name": "default", "key": value}]


def _same(value: object) -> object:
    return value


#: The old name: today's, and how its value is written there.
RENAMED: dict[Key, tuple[Key, Callable[[object], object]]] = {
    ("openai", "model"): (("openai", "default_model"), _same),
    ("auth", "api_key"): (("auth", "api_keys"), _one_key),
    ("server", "timeout_seconds"): (("run", "timeout_seconds"), _same),
}
