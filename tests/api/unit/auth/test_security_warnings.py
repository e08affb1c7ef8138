from typing import Any

import pytest
from structlog.testing import capture_logs

from api.auth.security_warnings import warn_insecure_settings
from shared.api_key import new_api_key
from shared.settings import Settings

WEAK, STRONG = "your-secret-key", new_api_key()
CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no authentication on a public address": ({"server": {"host": "0.0.0.0"}}, ["api.open_to_all"]),
    "no authentication on localhost": ({}, []),
    "no keys": ({"auth": {"mode": "api_key"}}, ["auth.no_keys"]),
    "a weak key and a strong one": (
        {
            "auth": {
                "mode": "api_key",
                "api_keys": [{"name": "a", "key": WEAK}, {"name": "b", "key": STRONG}],
            }
        },
        ["auth.weak_key"],
    ),
    "keys that are not used": ({"auth": {"api_keys": [{"name": "a", "key": WEAK}]}}, []),
}


@pytest.mark.parametrize(("settings", "events"), CASES.values(), ids=CASES.keys())
def test_insecure_settings_are_logged_without_secrets(
    settings: dict[str, Any], events: list[str]
) -> None:
    with capture_logs() as logs:
        warn_insecure_settings(Settings(**settings))

    assert [line["event"] for line in logs] == events
    assert WEAK not in str(logs)
