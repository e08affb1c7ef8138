"""`docs/reference/openapi.json`, made from the routes: `make docs` writes it, a test compares it.

For client teams: what changes in the API shows in its difference.
"""

import json

from api.app import create_app
from shared.settings import Settings


def page() -> str:
    # As it is by default, whatever this machine's settings say.
    document = create_app(Settings.model_construct()).openapi()
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(page(), end="")
