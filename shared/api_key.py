"""An API key: 256 random bits, of which a server needs to keep the digest alone.

The digest is a plain SHA-256. Slow hashes with a salt protect what people choose and guessing
finds; nobody guesses 256 random bits, and a slow hash would be paid for by each request.
"""

import secrets
from hashlib import sha256

_PREFIX = "mk_"


def new_api_key() -> str:
    return _PREFIX + secrets.token_urlsafe(32)


def hash_of(key: str) -> str:
    """`sha256:<hex>`, as an entry of `auth.api_keys` holds it."""
    return f"sha256:{sha256(key.encode()).hexdigest()}"
