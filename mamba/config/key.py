"""The settings that let an API key in."""

import json

from shared.api_key import hash_of


def entry(name: str, key: str) -> str:
    """As YAML, in which any JSON text is a scalar."""
    return f"""auth:
  mode: api_key
  api_keys:
    - name: {json.dumps(name)}
      hash: {hash_of(key)}
"""
