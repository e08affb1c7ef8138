"""The files of a new deployment."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from shared.api_key import hash_of
from shared.version import installed_version

#: Name of the generated API key, and owner of its chats.
KEY_NAME = "app"

_FILES = Path(__file__).with_name("deployment_files")
_NAMES = ("compose.yaml", "config/config.yaml", "config/agents.yaml")


def deployment_files(api_key: str) -> Mapping[str, str]:
    """Return the files with their paths. They contain only the hash of the API key."""
    values = {
        "{version}": installed_version(),
        "{key_name}": KEY_NAME,
        "{key_hash}": hash_of(api_key),
    }
    return {name: _fill((_FILES / name).read_text(encoding="utf-8"), values) for name in _NAMES}


def next_steps(folder: Path, api_key: str) -> str:
    version = installed_version()
    return f"""\
Created in {folder}: {", ".join(_NAMES)}

The API key of your app. It is not shown again:
  {api_key}

Next steps:
  1. Build the images in a clone of Mamba Server, or set MAMBA_IMAGES to your registry:
       docker build -f Dockerfile.api -t mamba-server/api:{version} .
       docker build -f Dockerfile.worker -t mamba-server/worker:{version} .
  2. Start Valkey, the API, and two workers:
       cd {shlex.quote(str(folder))} && docker compose up --detach --wait
  3. Send a chat, with the API key in place of KEY. The built-in demo model answers:
       curl -N localhost:8000/chat -H 'X-API-Key: KEY' \\
         -H 'content-type: application/json' \\
         -d '{{"agent":"assistant","messages":[{{"role":"user","content":"Hello"}}]}}'
  4. Use a real model: put OPENAI_API_KEY=sk-… into the file .env, set openai.demo to false in
     config/config.yaml, and repeat step 2.
"""


def _fill(text: str, values: Mapping[str, str]) -> str:
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return text
