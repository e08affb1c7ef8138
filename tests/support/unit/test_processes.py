"""Ports of the servers that tests start."""

import socket

import pytest

from tests.support.processes import free_port


def test_free_port_is_reserved_for_a_server() -> None:
    port = free_port()

    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    socket.create_server(("127.0.0.1", port)).close()
