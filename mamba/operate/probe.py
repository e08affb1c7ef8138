"""`mamba probe`: the container health check for Docker and Kubernetes.

It reads the health file of the process and imports nothing that takes long to load.
"""

import sys

from shared.processes.health_file import Role, find_problem

_TIMEOUT_SECONDS = 4.0


def run(role: Role) -> int | None:
    """Check the processes of this container, print what is wrong, and return the exit code.

    Returns None for an API without a health file: `is_api_healthy` checks it.
    """
    try:
        problem = find_problem(role)
    except FileNotFoundError as error:
        if role == "api":
            return None
        problem = str(error)
    if problem:
        print(problem, file=sys.stderr)
    return int(problem is not None)


def is_api_healthy() -> bool:
    """Return whether the API responds. Its dependencies are ignored: a restart cannot fix them."""
    from mamba.http_probe import responds_ok  # noqa: PLC0415
    from shared.settings import load_settings  # noqa: PLC0415

    server = load_settings().server
    return responds_ok(server.host, server.port, "/health/live", timeout=_TIMEOUT_SECONDS)
