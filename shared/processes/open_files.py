"""The limit of open files. Each connection of a client, Redis, or a model is one."""

import resource
from contextlib import suppress
from functools import cache


def raise_open_file_limit() -> None:
    """Raise the soft limit to the hard limit. Many systems start processes with 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS refuses an infinite limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    open_file_limit.cache_clear()


@cache
def open_file_limit() -> int:
    """Return the number of files that this process may open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft
