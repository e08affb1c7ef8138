import pytest

from shared.settings.ip_addresses import is_loopback


@pytest.mark.parametrize(
    "host", ["localhost", "app.localhost", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"]
)
def test_loopback_hosts(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["", "0.0.0.0", "::", "10.0.0.5", "::ffff:10.0.0.5", "notlocalhost", "127.0.0.1.org"],
)
def test_other_hosts_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)
