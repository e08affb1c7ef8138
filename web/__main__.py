"""`python -m web` builds the console. With `--if-possible`, a failure is not an error."""

import subprocess
import sys

from web.node import NodeMissingError
from web.page import BUILD_DIR, build


def main(*, if_possible: bool) -> int:
    try:
        if build():
            print(f"Built the console in {BUILD_DIR}.")
    except NodeMissingError as error:
        print(f"The console at /ops is not built. {error}", file=sys.stderr)
        return 0 if if_possible else 1
    except (subprocess.CalledProcessError, OSError) as error:
        print(f"The console at /ops could not be built: {error}", file=sys.stderr)
        return 0 if if_possible else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(if_possible="--if-possible" in sys.argv[1:]))
