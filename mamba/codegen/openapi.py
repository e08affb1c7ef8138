"""Generate `docs/reference/openapi.json` from the routes. Its diff shows API changes."""

import json

from api.app import create_app
from shared.settings import Settings


def page() -> str:
    # Defaults only: the settings of this machine must not change the file.
    document = create_app(Settings.model_construct()).openapi()
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(page(), end="")
