"""API keys: 256 random bits, of which a server stores only the digest.

The digest is a plain SHA-256. Slow, salted hashes protect passwords that can be guessed. A key of
256 random bits cannot be, and a slow hash would delay every request.
"""

import secrets
from hashlib import sha256

_PREFIX = "mk_"


def new_api_key() -> str:
    return _PREFIX + secrets.token_urlsafe(32)


def hash_of(key: str) -> str:
    """Return `sha256:<hex>`, the form of an entry of `auth.api_keys`."""
    return f"sha256:{sha256(key.encode()).hexdigest()}"
