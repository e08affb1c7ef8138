"""What the settings in force leave open, said once and loudly in the log."""

import structlog

from api.auth.anonymous import is_loopback
from shared.settings import Settings

log = structlog.stdlib.get_logger()

_FIX = "`mamba key NAME` makes a good one"


def warn_insecure_settings(settings: Settings) -> None:
    auth = settings.auth
    if auth.mode == "none" and not is_loopback(settings.server.host):
        log.warning("api.open_to_all", host=settings.server.host, auth="none")
    if auth.mode != "api_key":
        return
    if not auth.api_keys:
        log.warning("auth.no_keys", hint=f"auth.api_keys is empty; {_FIX}")
    for entry in auth.api_keys:
        if entry.may_be_guessed:
            log.warning("auth.weak_key", key=entry.name, hint=_FIX)
