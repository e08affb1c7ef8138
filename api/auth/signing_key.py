"""Keys that verify token signatures. A key's type determines its algorithms, not the token."""

import base64
import re
import textwrap
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import jwt
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

_PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

#: RFC 7518, 3.3.
_MIN_RSA_BITS = 2048
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
#: What environment variables and editors leave in a PEM text: line ends as `\n`, quotes, spaces.
_NOT_BASE64 = re.compile(r"\\[nr]|[^A-Za-z0-9+/=]")
#: What the readers of foreign key material raise.
_UNREADABLE = (
    *(ValueError, TypeError, KeyError, AttributeError, OverflowError),
    *(UnsupportedAlgorithm, jwt.PyJWTError),
)


class SigningKey(NamedTuple):
    algorithms: frozenset[str]
    material: _PublicKey | str
    #: The `kid` of a key in a key set.
    id: str | None = None


def from_secret(secret: str) -> SigningKey:
    return SigningKey(frozenset({"HS256", "HS384", "HS512"}), secret)


def from_pem(text: str) -> SigningKey:
    """Read a public key, or the public key of a certificate.

    Raises:
        ValueError: if it is not a public key. The reason does not quote the text.
    """
    if "PRIVATE KEY" in text:
        raise ValueError("it contains a private key, but verification needs the public key")
    match = _PEM.search(text)
    try:
        key = _from_pem_block(match[1], match[2]) if match else None
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if key is None:
        raise ValueError("it is not a PEM public key (-----BEGIN PUBLIC KEY-----)")
    return _wrap(key)


def _from_pem_block(label: str, content: str) -> object:
    lines = textwrap.wrap(_NOT_BASE64.sub("", content), 64)
    pem = "\n".join((f"-----BEGIN {label}-----", *lines, f"-----END {label}-----")).encode()
    if label == "CERTIFICATE":
        return x509.load_pem_x509_certificate(pem).public_key()
    return load_pem_public_key(pem)


def from_jwk(jwk: object) -> SigningKey:
    """Read a key of a key set (RFC 7517). Members that are null or empty count as absent.

    Raises:
        ValueError: if it cannot verify signatures. The reason does not quote the key.
    """
    if not isinstance(jwk, dict):
        raise ValueError("it is not an object")  # noqa: TRY004  (foreign data)
    members = {
        name: value
        for name, value in cast("dict[str, Any]", jwk).items()
        if value not in (None, "", [])
    }
    if members.get("kty") == "oct" or "d" in members:
        raise ValueError("a key set must not contain secret keys")
    if members.get("use", "sig") != "sig" or not _may_verify(members.get("key_ops")):
        raise ValueError("it is not for signatures")
    try:
        public = _public_key(members)
    except _UNREADABLE:
        raise ValueError("it is malformed, or its type is unsupported") from None
    key = _wrap(public)
    declared, kid = members.get("alg"), members.get("kid")
    algorithms = frozenset(name for name in key.algorithms if declared in (None, name))
    if not algorithms:
        raise ValueError("its algorithm is unsupported")
    return SigningKey(algorithms, key.material, kid if isinstance(kid, str) else None)


def _may_verify(operations: object) -> bool:
    return operations is None or (isinstance(operations, list | str) and "verify" in operations)


def _public_key(members: Mapping[str, Any]) -> object:
    """Return the key of a JWK, or of its certificate if it has no other."""
    if "x5c" in members and not members.keys() & {"n", "x"}:
        return x509.load_der_x509_certificate(base64.b64decode(members["x5c"][0])).public_key()
    # Without `alg`, which may name an algorithm for encryption that PyJWT does not support.
    parameters = {name: value for name, value in members.items() if name != "alg"}
    return cast("object", jwt.PyJWK(parameters).key)


def _wrap(key: object) -> SigningKey:
    match key:
        case RSAPublicKey() if key.key_size < _MIN_RSA_BITS:
            raise ValueError(f"it has {key.key_size} bits (minimum: {_MIN_RSA_BITS})")
        case RSAPublicKey():
            return SigningKey(frozenset({"RS256", "RS384", "RS512"}), key)
        case EllipticCurvePublicKey() if key.curve.name in _CURVES:
            return SigningKey(frozenset({_CURVES[key.curve.name]}), key)
        case Ed25519PublicKey():
            return SigningKey(frozenset({"EdDSA"}), key)
        case _:
            raise ValueError("its type is unsupported (use RSA, P-256, P-384, P-521 or Ed25519)")
