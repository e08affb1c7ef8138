"""IP addresses and host names of this machine."""

from ipaddress import IPv4Address, IPv6Address, ip_address


def parse_ip_address(host: str) -> IPv4Address | IPv6Address | None:
    """Return the host's IP address, or None if the host is a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Return whether the host can only be this machine: `localhost` or a loopback address."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = parse_ip_address(host)
    mapped = getattr(address, "ipv4_mapped", None)
    return address is not None and (mapped or address).is_loopback
