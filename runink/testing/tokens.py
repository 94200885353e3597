"""An issuer of tests: it has keys of every kind that tokens are signed with, and signs whatever it is given, however wrong that is."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from runink.identity.algorithms import ALGORITHMS, Algorithm
from runink.identity.keys import KeyRing, jwks, verification_key
from runink.identity.tokens import TokenPolicy

URL: Final = "https://login.example.org/realms/airline"
AUDIENCE: Final = "https://runink.example.org"
NOW_S: Final = 1_800_000_000
RSA_KID, EC_KID = "rsa-1", "ec-1"


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return a key that all tests of a process share: to make one takes a tenth of a second."""
    return rsa.generate_private_key(65537, bits)


def ec_key(number: int = 1) -> ec.EllipticCurvePrivateKey:
    """Return the private key of P-256 with this number, the same in every process."""
    return ec.derive_private_key(number * 0x9E3779B97F4A7C15F39CC0605CEDC835, ec.SECP256R1())


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def document(value: Any) -> bytes:
    """Return bytes as they are, everything else as JSON (with NaN, as Python writes it)."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()


@dataclass(frozen=True)
class Issuer:
    """An issuer with one RSA key for RS256 and one of P-256 for ES256."""

    rsa: rsa.RSAPrivateKey = field(default_factory=rsa_key)
    ec: ec.EllipticCurvePrivateKey = field(default_factory=ec_key)

    def key_set(self) -> dict[str, Any]:
        """Return its public keys as a JWKS."""
        return jwks(self.ring().keys.values())

    def ring(self) -> KeyRing:
        return KeyRing.of(
            (
                verification_key(RSA_KID, Algorithm.RS256, self.rsa.public_key()),
                verification_key(EC_KID, Algorithm.ES256, self.ec.public_key()),
            )
        )

    def token(self, claims: Any, header: Any, *, key: str = "") -> str:
        """Sign claims by RS256, or by ES256 where that key is asked for or the header has its id. Both are objects, or bytes that go in as they are."""
        signed = f"{base64url(document(header))}.{base64url(document(claims))}"
        of_curve = isinstance(header, Mapping) and header.get("kid") == EC_KID
        sign = self.es256 if key == "ec" or of_curve else self.rs256
        return f"{signed}.{base64url(sign(signed.encode()))}"

    def rs256(self, signed: bytes) -> bytes:
        return self.rsa.sign(signed, padding.PKCS1v15(), hashes.SHA256())

    def es256(self, signed: bytes) -> bytes:
        numbers = decode_dss_signature(self.ec.sign(signed, ec.ECDSA(hashes.SHA256())))
        return b"".join(number.to_bytes(32, "big") for number in numbers)


def policy(**changes: Any) -> TokenPolicy:
    """Return a policy for API tokens of the issuer, all algorithms allowed."""
    return TokenPolicy(**{"issuer": URL, "audience": AUDIENCE, "algorithms": ALGORITHMS, **changes})


def header(**changes: Any) -> dict[str, Any]:
    """Return the header of a good token for RS256 with members changed; None takes one out."""
    return _changed({"alg": "RS256", "kid": RSA_KID, "typ": "at+jwt"}, changes)


def ec_header(**changes: Any) -> dict[str, Any]:
    """Return the header of a good token for ES256 with members changed; None takes one out."""
    return header(**{"alg": "ES256", "kid": EC_KID, **changes})


def claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of a good token, such as a provider makes, with some changed; None takes one out."""
    good = {
        "iss": URL,
        "sub": "248289761001",
        "aud": AUDIENCE,
        "exp": NOW_S + 300,
        "iat": NOW_S - 5,
        "jti": "a1b2c3d4-e5f6-7890-abcd-ef0123456789",
        "client_id": "runi",
        "scope": "openid profile email",
        "email": "ada@example.org",
        "groups": ["pilots", "crew-planning"],
    }
    return _changed(good, changes)


def _changed(members: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**members, **changes}.items() if value is not None}
