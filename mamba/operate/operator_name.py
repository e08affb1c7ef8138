"""The operator whose name commands record."""

import getpass
import os
import socket
from urllib.parse import quote


def current_operator() -> str:
    """Return the name of the user of this terminal, written like an owner: `cli:<host>:<user>`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        user = str(os.getuid())
    return ":".join(("cli", quote(socket.gethostname(), safe=""), quote(user, safe="")))
