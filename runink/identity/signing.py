"""Tokens that the cluster signs itself, with ES256: of service accounts, and of slices.

    of                typ               claims beside iss, aud, sub, iat, exp, jti          lives at most
    service account   at+jwt            herd, client_id                                     1 h
    slice             runink-slice+jwt  herd, run, slice, attempt, node                     15 min

`sub` is the principal's name (principals.py), made of the other claims: a token whose parts do not agree is refused.  The types differ, so that neither is taken for the other, whatever else is in it.

To sign takes no chance: the nonce of a signature follows from key and text (RFC 6979), so the same token is signed to the same characters, and a weak source of random numbers gives no key away.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Annotated, ClassVar, Final, Self, TypeVar

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from runink.errors import Invalid
from runink.identity.algorithms import Algorithm
from runink.identity.denials import Fault, Unauthenticated
from runink.identity.keys import VerificationKey, verification_key
from runink.identity.tokens import OF_ACCESS, TEXT_CHARS_MAX, Claims, TokenPolicy, is_id

SERVICE_ACCOUNT_LIFETIME_S_MAX: Final = 3600  # what a program that was cut off keeps, at most
SLICE_LIFETIME_S_MAX: Final = 900  # its agent asks for the next one while the slice runs
OF_SLICES: Final = "runink-slice+jwt"
SCALAR_BYTES: Final = 32
ATTEMPT_MAX: Final = 1 << 32

_CURVE: Final = ec.SECP256R1()
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # FIPS 186-5 D.1
_ECDSA: Final = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]{0,62}\Z")]  # as names.py has it
Part = Annotated[str, msgspec.Meta(pattern=r"^[^/]{1,200}\Z")]  # of a Barn key
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_CHARS_MAX)]
Seconds = Annotated[int, msgspec.Meta(gt=0, lt=1 << 53)]
Attempt = Annotated[int, msgspec.Meta(ge=1, le=ATTEMPT_MAX)]


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key for ES256. Its kid is the thumbprint of its public half (RFC 7638), so that two keys never share one."""

    private: ec.EllipticCurvePrivateKey = field(repr=False, compare=False)
    verification: VerificationKey

    @classmethod
    def of(cls, private: ec.EllipticCurvePrivateKey) -> Self:
        """Return a private key of P-256 as one that signs tokens. Raises ValueError for another curve."""
        public = private.public_key()
        if public.curve.name != _CURVE.name:
            raise ValueError("only keys of P-256 sign tokens")
        kid = _thumbprint(public)
        return cls(private, verification_key(kid, Algorithm.ES256, public))

    @classmethod
    def from_entropy(cls, entropy: bytes) -> Self:
        """Make a key of 32 random bytes, which are of no use behind that."""
        assert len(entropy) == SCALAR_BYTES
        # More bits than the order has, so that all keys are as likely (FIPS 186-5, A.2.1).
        wide = HKDF(hashes.SHA256(), 48, salt=None, info=b"runink token signing key").derive(
            entropy
        )
        scalar = int.from_bytes(wide, "big") % (_ORDER - 1) + 1
        return cls.of(ec.derive_private_key(scalar, _CURVE))

    @classmethod
    def from_bytes(cls, scalar: bytes) -> Self:
        """Return the key that `to_bytes` told. Raises ValueError for what it cannot have told."""
        number = int.from_bytes(scalar, "big")
        if len(scalar) != SCALAR_BYTES or not 0 < number < _ORDER:
            raise ValueError("these bytes are no private key of P-256")
        return cls.of(ec.derive_private_key(number, _CURVE))

    @property
    def kid(self) -> str:
        return self.verification.kid

    def to_bytes(self) -> bytes:
        """Return the private key itself, 32 bytes, to be sealed by whoever keeps it."""
        return self.private.private_numbers().private_value.to_bytes(SCALAR_BYTES, "big")


class _OwnToken(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={
        "issuer": "iss",
        "audience": "aud",
        "issued_s": "iat",
        "expires_s": "exp",
        "token_id": "jti",
    },
):
    issuer: Text
    audience: Text
    issued_s: Seconds
    expires_s: Seconds
    token_id: Text
    herd: Name


class ServiceAccountToken(_OwnToken, frozen=True, kw_only=True):
    """What a service account shows."""

    TYPE: ClassVar[str] = OF_ACCESS
    LIFETIME_S_MAX: ClassVar[int] = SERVICE_ACCOUNT_LIFETIME_S_MAX

    account: Name

    @property
    def subject(self) -> str:
        return f"{self.herd}/{self.account}"


class SliceToken(_OwnToken, frozen=True, kw_only=True):
    """What a slice shows: whoever checks it also asks whether that attempt is the latest, and on that node."""

    TYPE: ClassVar[str] = OF_SLICES
    LIFETIME_S_MAX: ClassVar[int] = SLICE_LIFETIME_S_MAX

    run: Part
    slice: Part
    attempt: Attempt
    node: Name

    @property
    def subject(self) -> str:
        return f"{self.herd}/{self.run}/{self.slice}/{self.attempt}"


OwnToken = ServiceAccountToken | SliceToken
_Kind = TypeVar("_Kind", ServiceAccountToken, SliceToken)


def mint(token: OwnToken, key: SigningKey) -> str:
    """Return the token, signed. Raises Invalid (`invalid_token`) for a name that is none, or if it would live for too long."""
    claims = msgspec.to_builtins(token)
    try:
        msgspec.convert(claims, type(token))
    except msgspec.ValidationError as problem:
        raise Invalid(f"no such token can be made: {problem}", code="invalid_token") from None
    if not is_id(token.subject):
        raise Invalid(f"{token.subject!r} is no subject", code="invalid_token")
    lifetime_s = token.expires_s - token.issued_s
    if not 0 < lifetime_s <= token.LIFETIME_S_MAX:
        raise Invalid(
            f"a token for {lifetime_s} s cannot be made",
            code="invalid_token",
            hint=f"at most {token.LIFETIME_S_MAX} s; a new one can be had before it ends",
        )
    claims["sub"] = token.subject
    if isinstance(token, ServiceAccountToken):
        claims["client_id"] = token.subject  # RFC 9068 asks for it
    header = {"alg": Algorithm.ES256.value, "kid": key.kid, "typ": token.TYPE}
    signed = b".".join(_segment(msgspec.json.encode(one)) for one in (header, claims))
    return b".".join((signed, _segment(_signature(key, signed)))).decode()


def service_account_tokens(issuer: str, audience: str) -> TokenPolicy:
    """Return the policy for tokens of the cluster's service accounts."""
    return _own_tokens(issuer, audience, ServiceAccountToken)


def slice_tokens(issuer: str, audience: str) -> TokenPolicy:
    """Return the policy for tokens of slices."""
    return _own_tokens(issuer, audience, SliceToken)


def service_account_of(claims: Claims) -> ServiceAccountToken:
    """Return what a verified token of a service account says. Raises Unauthenticated if its parts do not agree."""
    return _own(claims, ServiceAccountToken)


def slice_of(claims: Claims) -> SliceToken:
    """Return what a verified token of a slice says. Raises Unauthenticated if its parts do not agree."""
    return _own(claims, SliceToken)


def _own_tokens(issuer: str, audience: str, kind: type[OwnToken]) -> TokenPolicy:
    return TokenPolicy(
        issuer=issuer,
        audience=audience,
        algorithms=frozenset({Algorithm.ES256}),
        types=frozenset({kind.TYPE}),
        lifetime_s_max=kind.LIFETIME_S_MAX,
        required=frozenset({"jti"}),
    )


def _own(claims: Claims, kind: type[_Kind]) -> _Kind:
    try:
        token = msgspec.convert(claims.members, kind)
    except msgspec.ValidationError as problem:
        raise Unauthenticated(Fault.CLAIM, str(problem)) from None
    if token.subject != claims.subject:
        raise Unauthenticated(Fault.SUBJECT, "sub is not what the other claims make")
    return token


def _segment(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def _signature(key: SigningKey, signed: bytes) -> bytes:
    numbers = decode_dss_signature(key.private.sign(signed, _ECDSA))
    return b"".join(number.to_bytes(SCALAR_BYTES, "big") for number in numbers)


def _thumbprint(public: ec.EllipticCurvePublicKey) -> str:
    """Return the SHA-256 of the key's required members in their order (RFC 7638, 3)."""
    numbers = public.public_numbers()
    x, y = (_segment(one.to_bytes(SCALAR_BYTES, "big")).decode() for one in (numbers.x, numbers.y))
    members = {"crv": "P-256", "kty": "EC", "x": x, "y": y}
    return _segment(sha256(msgspec.json.encode(members)).digest()).decode()
