"""The limit of open files. Each connection of a client, Redis, or a model is one."""

import resource
from contextlib import suppress


def raise_open_file_limit() -> None:
    """Raise the soft limit to the hard limit. Many systems start processes with 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS refuses an infinite limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def open_file_limit() -> int:
    """Return the number of files that this process may open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft
