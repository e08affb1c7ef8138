from typing import Any

import pytest
from structlog.testing import capture_logs

from api.auth.security_warnings import warn_insecure_settings
from shared.api_key import new_api_key
from shared.settings import Settings

WEAK, GOOD = "your-secret-key", new_api_key()
CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "everybody, from everywhere": ({"server": {"host": "0.0.0.0"}}, ["api.open_to_all"]),
    "everybody on this machine": ({}, []),
    "no key": ({"auth": {"mode": "api_key"}}, ["auth.no_keys"]),
    "a short key and a good one": (
        {
            "auth": {
                "mode": "api_key",
                "api_keys": [{"name": "a", "key": WEAK}, {"name": "b", "key": GOOD}],
            }
        },
        ["auth.weak_key"],
    ),
    "keys that are not in use": ({"auth": {"api_keys": [{"name": "a", "key": WEAK}]}}, []),
}


@pytest.mark.parametrize(("settings", "events"), CASES.values(), ids=CASES.keys())
def test_insecure_settings_are_logged_without_secrets(
    settings: dict[str, Any], events: list[str]
) -> None:
    with capture_logs() as logs:
        warn_insecure_settings(Settings(**settings))

    assert [line["event"] for line in logs] == events
    assert WEAK not in str(logs)
