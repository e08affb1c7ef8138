"""Mode `none`: every client is the anonymous operator, and pages of other sites are rejected."""

import pytest

from api.auth.anonymous import AnonymousAuthenticator
from api.auth.auth_errors import UntrustedOrigin
from api.auth.principal import OPERATOR, owner_id
from shared.settings import AuthSettings, ServerSettings, Settings
from shared.settings.live_settings import LiveSettings
from tests.support.auth.credentials import Json, request_scope

ALLOWED_ORIGIN = "https://chat.example"
LIVE = LiveSettings(
    Settings(
        auth=AuthSettings(hosts=("mamba.test",)),
        server=ServerSettings(cors_origins=(ALLOWED_ORIGIN,)),
    )
)
AUTHENTICATOR = AnonymousAuthenticator(LIVE)


def local_scope(host: str, server: str = "127.0.0.1") -> Json:
    return request_scope(host=host, server=server)


def page_scope(site: str, origin: str, method: str = "POST") -> Json:
    return request_scope(method=method, sec_fetch_site=site, origin=origin)


async def test_every_request_has_the_anonymous_operator() -> None:
    principal = await AUTHENTICATOR.identify(request_scope())

    assert principal.owner == owner_id("none", "anonymous")
    assert OPERATOR in principal.scopes


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost:8000", "LOCALHOST", "a.localhost:1"),
        *("127.0.0.1:8000", "127.8.8.8", "[::1]:8000", "mamba.test:8000"),
    ],
)
async def test_names_of_this_machine_are_accepted(host: str) -> None:
    await AUTHENTICATOR.identify(local_scope(host))
    await AUTHENTICATOR.identify(local_scope(host, server="::1"))


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "10.0.0.1",
        "[x",
        "localhost@evil",
    ],
)
async def test_rebound_host_name_is_rejected(host: str) -> None:
    for server in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        with pytest.raises(UntrustedOrigin, match=r"auth\.hosts") as raised:
            await AUTHENTICATOR.identify(local_scope(host, server))
        assert raised.value.reason == "foreign_host"


@pytest.mark.parametrize(
    "host", ["10.0.0.1:8000", "192.168.1.7", "[fd00::7]:8000", "localhost:8000", "mamba.test"]
)
async def test_known_host_is_accepted_on_other_addresses(host: str) -> None:
    await AUTHENTICATOR.identify(local_scope(host, server="10.0.0.1"))


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("host", ["", "evil.example:8000", "10.0.0.1.evil.example", "mamba"])
async def test_rebound_host_is_rejected_on_other_addresses(host: str, method: str) -> None:
    page = request_scope(method=method, server="172.18.0.4", host=host, origin=f"http://{host}")

    with pytest.raises(UntrustedOrigin, match=r"auth\.hosts") as raised:
        await AUTHENTICATOR.identify(page)

    assert raised.value.reason == "foreign_host"


async def test_host_is_checked_on_a_unix_socket() -> None:
    with pytest.raises(UntrustedOrigin):
        await AUTHENTICATOR.identify({**request_scope(host="evil.example"), "server": None})


async def test_configured_host_matches_in_any_case() -> None:
    live = LiveSettings(Settings(auth=AuthSettings(hosts=("Chat.Example",))))

    await AnonymousAuthenticator(live).identify(request_scope(host="chat.EXAMPLE"))


@pytest.mark.parametrize(
    "scope",
    [
        request_scope(method="POST"),
        page_scope("same-origin", "https://mine.example"),
        page_scope("none", "null"),
        request_scope(method="POST", origin="https://mamba.test:8443", host="mamba.test:8443"),
        request_scope(method="POST", origin="http://app.localhost:5173"),
        page_scope("cross-site", "http://localhost:3000"),
        page_scope("cross-site", ALLOWED_ORIGIN),
        page_scope("cross-site", "https://evil.example", method="GET"),
    ],
)
async def test_write_by_a_trusted_client_is_accepted(scope: Json) -> None:
    await AUTHENTICATOR.identify(scope)


FOREIGN = [
    *(page_scope("cross-site", origin) for origin in ("https://evil.example", "null", "")),
    page_scope("same-site", "https://a.mine.example"),
    # Over plain HTTP, browsers do not send `Sec-Fetch-Site`.
    *(
        request_scope(method="POST", host="192.168.1.7:8000", origin=origin)
        for origin in ("http://evil.example", "null", "", "http://localhost.evil", "garbage")
    ),
    request_scope(method="POST", origin="http://192.168.1.7"),
]


@pytest.mark.parametrize("scope", FOREIGN)
async def test_write_by_a_page_of_another_site_is_rejected(scope: Json) -> None:
    with pytest.raises(UntrustedOrigin, match=r"cors_origins") as raised:
        await AUTHENTICATOR.identify(scope)

    assert raised.value.reason == "foreign_page"
