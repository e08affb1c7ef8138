"""Setting names from the original Mamba documentation, which Mamba still accepts."""

from collections.abc import Callable

from shared.settings.names import Key


def _api_key_list(value: object) -> object:
    return [{"name": "default", "key": value}]


def _unchanged(value: object) -> object:
    return value


#: Maps the original name to the current name and a function that converts the value.
RENAMED: dict[Key, tuple[Key, Callable[[object], object]]] = {
    ("openai", "model"): (("openai", "default_model"), _unchanged),
    ("auth", "api_key"): (("auth", "api_keys"), _api_key_list),
    ("server", "timeout_seconds"): (("run", "timeout_seconds"), _unchanged),
}
