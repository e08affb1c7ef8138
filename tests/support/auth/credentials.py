"""Signing keys, tokens, and ASGI scopes of requests that carry them."""

import json
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any, NamedTuple

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

Json = dict[str, Any]
SECRET = "a secret of more than thirty-two bytes"
_LOOPBACK = x509.IPAddress(ip_address("127.0.0.1"))
_Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class KeyPair(NamedTuple):
    algorithm: str
    private: _Private

    @property
    def public_pem(self) -> str:
        public = self.private.public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def private_pem(self) -> str:
        encoded = self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return encoded.decode()

    def jwk(self, kid: str | None = None, **more: Any) -> Json:
        algorithm = jwt.get_algorithm_by_name(self.algorithm)
        key_id = {"kid": kid} if kid else {}
        return {**algorithm.to_jwk(self.private.public_key(), as_dict=True), **key_id, **more}

    def token(self, claims: Json | None = None, *, headers: Json | None = None) -> str:
        claims = valid_claims() if claims is None else claims
        # `jwt.encode` refuses invalid claims, which some tests need.
        payload = json.dumps(claims).encode()
        return jwt.api_jws.encode(payload, self.private, self.algorithm, headers=headers)


def rsa_key_pair(bits: int = 2048, algorithm: str = "RS256") -> KeyPair:
    return KeyPair(algorithm, rsa.generate_private_key(65537, bits))


#: Shared by all tests, because generating an RSA key is slow.
RSA, OTHER_RSA = rsa_key_pair(), rsa_key_pair()
P256 = KeyPair("ES256", ec.generate_private_key(ec.SECP256R1()))
KEY_PAIRS = [
    RSA,
    KeyPair("RS384", RSA.private),
    KeyPair("RS512", RSA.private),
    P256,
    KeyPair("ES384", ec.generate_private_key(ec.SECP384R1())),
    KeyPair("ES512", ec.generate_private_key(ec.SECP521R1())),
    KeyPair("EdDSA", ed25519.Ed25519PrivateKey.generate()),
]


def certificate(pair: KeyPair) -> str:
    """Return a self-signed certificate of the key for 127.0.0.1, as PEM text."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder(name, name, pair.private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([_LOOPBACK]), critical=False)
    )
    algorithm = None if isinstance(pair.private, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(pair.private, algorithm).public_bytes(Encoding.PEM).decode()


def valid_claims(**more: Any) -> Json:
    """Return claims that are valid for one hour. A claim of None is omitted."""
    claims = {"sub": "ann", "exp": int(time.time()) + 3600, **more}
    return {name: value for name, value in claims.items() if value is not None}


def secret_token(claims: Json | None = None, algorithm: str = "HS256", secret: str = SECRET) -> str:
    return jwt.encode(valid_claims() if claims is None else claims, secret, algorithm)


def request_scope(
    *headers: tuple[str, str],
    method: str = "GET",
    server: str = "10.0.0.1",
    **named: str,
) -> Json:
    """Return the ASGI scope of a request with these headers, and by default the server's host."""
    named.setdefault("host", server)
    pairs = [*headers, *((name.replace("_", "-"), value) for name, value in named.items())]
    return {
        "type": "http",
        "method": method,
        "path": "/models",
        "server": (server, 8000),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in pairs],
        "state": {},
    }


def bearer_scope(token: str) -> Json:
    return request_scope(authorization=f"Bearer {token}")
