"""`python -m mamba`: the `mamba` command, with `api` as the default subcommand."""

import sys

from mamba.cli import main

if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.argv.append("api")
    main()
