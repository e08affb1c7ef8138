"""The limit of open files is raised to the hard limit."""

import resource

from shared.processes.open_files import open_file_limit, raise_open_file_limit


def test_soft_limit_is_raised_to_the_hard_limit() -> None:
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard - 1, hard))
    try:
        raise_open_file_limit()

        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
        assert open_file_limit() == hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))
