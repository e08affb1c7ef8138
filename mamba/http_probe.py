"""A minimal HTTP health check of an API on this machine."""

from http.client import HTTPConnection, HTTPException

_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def responds_ok(host: str, port: int, path: str, *, timeout: float) -> bool:
    """Return whether GET responds with 200. `host` is the address that the API listens on."""
    connection = HTTPConnection(_LOOPBACK.get(host, host), port, timeout=timeout)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
