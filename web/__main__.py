"""`python -m web [NAME …]` builds the pages with these names, by default all of them.

With `--if-possible`, a failure is not an error.
"""

import subprocess
import sys

from web.node import NodeMissingError
from web.page import CONSOLE, PLAYGROUND

_PAGES = {"console": CONSOLE, "playground": PLAYGROUND}


def main(names: list[str], *, if_possible: bool) -> int:
    failed = [name for name in names or _PAGES if not _build(name)]
    return 1 if failed and not if_possible else 0


def _build(name: str) -> bool:
    page = _PAGES[name]
    try:
        if not page.is_current():
            print(f"Building the {name} …", flush=True)
            page.build()
            print(f"Built the {name} in {page.built}.")
    except NodeMissingError as error:
        print(f"The {name} is not built. {error}", file=sys.stderr)
        return False
    except (subprocess.CalledProcessError, OSError) as error:
        print(f"The {name} could not be built: {error}", file=sys.stderr)
        return False
    return True


if __name__ == "__main__":
    arguments = sys.argv[1:]
    chosen = [argument for argument in arguments if not argument.startswith("--")]
    sys.exit(main(chosen, if_possible="--if-possible" in arguments))
