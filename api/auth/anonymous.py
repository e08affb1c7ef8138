"""Mode none: whoever reaches the API is the one `anonymous`, and may do all.

What a browser can reach is not only the browser's owner. A page of any site may send requests to
this machine, or give its own name this machine's address (DNS rebinding) and read the answers too.
Such requests say where they come from, and pages cannot forge that.
"""

import re
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.types import Scope

from api.auth.auth_errors import UntrustedOrigin
from api.auth.principal import OPERATOR, Principal, owner_id
from shared.settings.live_settings import LiveSettings

#: Pages of this machine, on any port.
LOCAL_ORIGIN = r"https?://(localhost|127\.0\.0\.1)(:\d+)?"

_ANONYMOUS = Principal(owner_id("none", "anonymous"), frozenset({OPERATOR}))
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[\w.-]+)(:\d+)?", re.ASCII)
_READS = ("GET", "HEAD", "OPTIONS")


class AnonymousAuthenticator:
    def __init__(self, live: LiveSettings) -> None:
        self._live = live

    async def identify(self, scope: Scope) -> Principal:
        headers = Headers(scope=scope)
        self._check_host(scope, headers.get("host", ""))
        if scope["method"] not in _READS:
            self._check_page(headers)
        return _ANONYMOUS

    def _check_host(self, scope: Scope, host: str) -> None:
        """Behind a connection to loopback, refuse a name that is not this machine's."""
        if not is_loopback((scope.get("server") or ("",))[0]):
            return
        match = _HOST.fullmatch(host.lower())
        name = match["name"].strip("[]") if match else ""
        if not is_loopback(name) and name not in self._live.now.auth.hosts:
            raise UntrustedOrigin(
                "foreign_host",
                "Without authentication this server answers to localhost alone. "
                "Add the name of the request's Host header to auth.hosts, or set auth.mode.",
            )

    def _check_page(self, headers: Headers) -> None:
        """`Sec-Fetch-Site` is the browser's own word; what is no browser does not send it."""
        origin = headers.get("origin", "")
        allowed = self._live.now.server.cors_origins
        known = origin in allowed or "*" in allowed or re.fullmatch(LOCAL_ORIGIN, origin)
        if headers.get("sec-fetch-site") == "cross-site" and not known:
            raise UntrustedOrigin(
                "foreign_page",
                "Without authentication this server takes no requests from other sites' pages. "
                "Add the page's origin to server.cors_origins, or set auth.mode.",
            )


def is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
