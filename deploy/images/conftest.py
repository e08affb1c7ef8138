"""One Valkey, as in the rest of the tests."""

from tests.conftest import valkey

__all__ = ["valkey"]
