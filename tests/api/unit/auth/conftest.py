"""Fixtures of the tests of key sets."""

from collections.abc import AsyncGenerator

import pytest

from tests.support.auth.credentials import RSA
from tests.support.auth.token_issuer import TokenIssuer, open_issuer


@pytest.fixture
async def issuer() -> AsyncGenerator[TokenIssuer]:
    """An HTTP server with the key set of an issuer."""
    async with open_issuer() as issuer:
        issuer.serve(RSA.jwk("a"))
        yield issuer
