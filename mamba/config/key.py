"""The settings that accept an API key."""

import json

from shared.api_key import hash_of


def key_settings(name: str, key: str) -> str:
    """Return the settings as YAML. Every JSON string is a valid YAML scalar."""
    return f"""auth:
  mode: api_key
  api_keys:
    - name: {json.dumps(name)}
      hash: {hash_of(key)}
"""
