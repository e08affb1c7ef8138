"""Mode `none`: every request has the principal `anonymous`, which may do everything.

A page of any site can make a browser send requests to this machine, or resolve its own host name to
this machine's address (DNS rebinding) and read the responses. Browsers declare the origin of such
requests in headers that pages cannot forge; requests from untrusted origins are rejected.
"""

import re

from starlette.datastructures import Headers
from starlette.types import Scope

from api.auth.auth_errors import UntrustedOrigin
from api.auth.principal import OPERATOR, Principal, owner_id
from api.http.cors import is_foreign_page
from shared.settings.ip_addresses import is_loopback, parse_ip_address
from shared.settings.live_settings import LiveSettings

_ANONYMOUS = Principal(owner_id("none", "anonymous"), frozenset({OPERATOR}))
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[\w.-]+)(:\d+)?", re.ASCII)
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class AnonymousAuthenticator:
    def __init__(self, live: LiveSettings) -> None:
        self._live = live

    async def identify(self, scope: Scope) -> Principal:
        headers = Headers(scope=scope)
        server, _ = scope.get("server") or ("", None)
        self._check_host(_name_of(headers.get("host", "")), server)
        if scope["method"] not in _SAFE_METHODS:
            self._check_page(headers)
        return _ANONYMOUS

    def _check_host(self, name: str, server: str) -> None:
        """Reject an unknown host name: it may be a website's that resolves to this address.

        An IP address needs no DNS lookup, so it is accepted. On a loopback address it is rejected
        too, because no client needs another address there.
        """
        is_known = is_loopback(name) or name in self._live.now.auth.hosts
        if not is_known and (is_loopback(server) or parse_ip_address(name) is None):
            raise UntrustedOrigin(
                "foreign_host",
                "Without authentication, this server accepts requests to known hosts only. "
                "Add the host name of the request to auth.hosts, or set auth.mode.",
            )

    def _check_page(self, headers: Headers) -> None:
        if is_foreign_page(headers, self._live.now.server):
            raise UntrustedOrigin(
                "foreign_page",
                "Without authentication, this server rejects requests from pages of other sites. "
                "Add the page's origin to server.cors_origins, or set auth.mode.",
            )


def _name_of(host: str) -> str:
    match = _HOST.fullmatch(host.lower())
    return match["name"].strip("[]") if match else ""
