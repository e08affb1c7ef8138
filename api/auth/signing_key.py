"""Keys that verify token signatures. A key's type determines its algorithms, not the token."""

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
        ValueError: with a reason that contains nothing of the text.
    """
    if "PRIVATE KEY" in text:
        raise ValueError("it contains a private key, but verification needs the public key")
    try:
        if "BEGIN CERTIFICATE" in text:
            key = x509.load_pem_x509_certificate(text.encode()).public_key()
        else:
            key = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("it is not a PEM public key (-----BEGIN PUBLIC KEY-----)") from None
    return _wrap(key)


def from_jwk(jwk: Mapping[str, Any]) -> SigningKey:
    """Read a key of a key set (RFC 7517).

    Raises:
        ValueError: if the key is not for signatures, or its type is unsupported.
    """
    if jwk.get("kty") == "oct" or "d" in jwk:
        raise ValueError("a key set must not contain secret keys")
    if jwk.get("use", "sig") != "sig" or "verify" not in jwk.get("key_ops", ["verify"]):
        raise ValueError("it is not for signatures")
    try:
        key = _wrap(cast("object", jwt.PyJWK(dict(jwk)).key))
    except jwt.PyJWTError:
        raise ValueError("its type is unsupported") from None
    declared = frozenset({jwk["alg"]}) if "alg" in jwk else key.algorithms
    kid = jwk.get("kid")
    return SigningKey(
        key.algorithms & declared, key.material, kid if isinstance(kid, str) else None
    )


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
