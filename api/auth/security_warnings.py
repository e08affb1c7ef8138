"""Logs warnings about insecure settings."""

import structlog

from shared.settings import Settings
from shared.settings.ip_addresses import is_loopback

log = structlog.stdlib.get_logger()

_HOSTS_HINT = "set auth.mode; without it, only IP addresses, localhost, and auth.hosts are served"
_HINT = "run `mamba key NAME` to generate a strong key"


def warn_insecure_settings(settings: Settings) -> None:
    auth = settings.auth
    if auth.mode == "none" and not is_loopback(settings.server.host):
        log.warning(
            "api.open_to_all",
            message="Anyone who can reach the API can use it: authentication is off",
            host=settings.server.host,
            auth="none",
            hosts=list(auth.hosts),
            hint=_HOSTS_HINT,
        )
    if auth.mode != "api_key":
        return
    if not auth.api_keys:
        log.warning(
            "auth.no_keys",
            message="Every request is rejected: auth.api_keys is empty",
            hint=_HINT,
        )
    for entry in auth.api_keys:
        if entry.may_be_guessed:
            log.warning(
                "auth.weak_key",
                message="API key is short enough to be guessed",
                key=entry.name,
                hint=_HINT,
            )
