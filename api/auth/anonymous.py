"""Mode `none`: every request has the principal `anonymous`, which may do everything.

A page of any site can make a browser send requests to this machine, or resolve its own host name to
this machine's address (DNS rebinding) and read the responses. Browsers declare the origin of such
requests in headers that pages cannot forge; requests from untrusted origins are rejected.
"""

import re
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.types import Scope

from api.auth.auth_errors import UntrustedOrigin
from api.auth.principal import OPERATOR, Principal, owner_id
from api.http.cors import is_foreign_page
from shared.settings.live_settings import LiveSettings

_ANONYMOUS = Principal(owner_id("none", "anonymous"), frozenset({OPERATOR}))
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[\w.-]+)(:\d+)?", re.ASCII)
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class AnonymousAuthenticator:
    def __init__(self, live: LiveSettings) -> None:
        self._live = live

    async def identify(self, scope: Scope) -> Principal:
        headers = Headers(scope=scope)
        self._check_host(scope, headers.get("host", ""))
        if scope["method"] not in _SAFE_METHODS:
            self._check_page(headers)
        return _ANONYMOUS

    def _check_host(self, scope: Scope, host: str) -> None:
        """Reject an unknown host name on a connection to the loopback address."""
        if not is_loopback((scope.get("server") or ("",))[0]):
            return
        match = _HOST.fullmatch(host.lower())
        name = match["name"].strip("[]") if match else ""
        if not is_loopback(name) and name not in self._live.now.auth.hosts:
            raise UntrustedOrigin(
                "foreign_host",
                "Without authentication, this server accepts requests for localhost only. "
                "Add the host name of the request to auth.hosts, or set auth.mode.",
            )

    def _check_page(self, headers: Headers) -> None:
        if is_foreign_page(headers, self._live.now.server):
            raise UntrustedOrigin(
                "foreign_page",
                "Without authentication, this server rejects requests from pages of other sites. "
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
