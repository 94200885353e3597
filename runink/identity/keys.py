"""Key rings: the public keys of one issuer, by which its tokens are checked.

A ring is read from a key set (JWKS, RFC 7517).  Only a key that can be nothing else than a public key for signatures gets in; what was left out is kept with the reason, for people.

    left out                                     because
    `d`, `p`, ..., `k`, or kty `oct`             a private or symmetric key in a public document: whoever reads it could sign
    `use` other than sig, `key_ops` not verify   it is for something else
    an algorithm that the issuer may not use     the list is ours, not the document's
    a curve that is not the algorithm's          RFC 7518, 3.4
    RSA of less than 2048 or more than 8192      too weak, and too slow: the time of a check grows with the square
    an RSA exponent that is even, < 2^16, > 2^32 FIPS 186-5, 5.4; a large one makes checks slow
    one kid twice for an algorithm               nobody can say which is meant: neither counts
    what comes behind the first KEYS_MAX         a bound on memory and on what a fetch costs

RSA keys without `alg` are for RS256, which RFC 7518 recommends and providers mean; those of curves are for the curve's algorithm.
"""

from __future__ import annotations

import binascii
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jose import backends, jwk
from jose.backends import cryptography_backend

from runink.errors import Broken, Invalid
from runink.identity.algorithms import ALGORITHMS, Algorithm
from runink.identity.strict_json import decode_object

KEYS_MAX: Final = 64  # a provider has two or three, and one for each algorithm
DOCUMENT_BYTES_MAX: Final = 256 * 1024  # 64 keys of 8192 bits, each with a chain of certificates
KID_CHARS_MAX: Final = 255
RSA_BITS_MIN, RSA_BITS_MAX = 2048, 8192
EXPONENT_MIN, EXPONENT_MAX = 1 << 16, 1 << 32
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


_CURVES: Final[Mapping[Algorithm, tuple[str, ec.EllipticCurve, int]]] = {
    Algorithm.ES256: ("P-256", ec.SECP256R1(), 32),
    Algorithm.ES384: ("P-384", ec.SECP384R1(), 48),
    Algorithm.ES512: ("P-521", ec.SECP521R1(), 66),
}
# What base64url has in place of `+` and `/`, and nothing for these two and for padding.
_STANDARD: Final = str.maketrans("-_+/=", "+/***")
_OF_CURVE: Final = {name: algorithm for algorithm, (name, _, _) in _CURVES.items()}


def check_backends(rsa_key: object, ec_key: object) -> None:
    """Raise Broken unless python-jose computes by cryptography: its fall-backs in plain Python are slow, and their timing tells of keys."""
    if (
        rsa_key is cryptography_backend.CryptographyRSAKey
        and ec_key is cryptography_backend.CryptographyECKey
    ):
        return
    raise Broken(
        f"python-jose would check tokens by {rsa_key} and {ec_key}, not by cryptography",
        hint="pip install --force-reinstall 'runink[server]'",
    )


check_backends(backends.RSAKey, backends.ECKey)


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key of an issuer, for one algorithm. `prepared` is python-jose's, made once: to make it costs as much as a check."""

    kid: str
    algorithm: Algorithm
    prepared: Any = field(repr=False, compare=False)

    def to_jwk(self) -> dict[str, str]:
        """Return it as a member of a key set."""
        public: dict[str, str] = self.prepared.to_dict()
        return {**public, "kid": self.kid, "use": "sig"}


class SkippedKey(msgspec.Struct, frozen=True):
    """A key that is not in a ring, and why, for people. `kid` is as much of its id as can be shown."""

    kid: str
    why: str


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys of one issuer, found by kid and algorithm: a token's header chooses among them and cannot bring one."""

    keys: Mapping[tuple[str, str], VerificationKey]
    skipped: tuple[SkippedKey, ...] = ()

    @classmethod
    def of(cls, keys: Iterable[VerificationKey]) -> KeyRing:
        """Return a ring of keys of our own, whose ids differ."""
        listed = tuple(keys)
        found: dict[tuple[str, str], VerificationKey] = {
            (key.kid, key.algorithm): key for key in listed
        }
        assert len(found) == len(listed)
        return cls(found)

    @classmethod
    def read(
        cls, document: bytes | Mapping[str, Any], algorithms: Collection[Algorithm]
    ) -> KeyRing:
        """Return the ring of a key set, as it was fetched or decoded. Raises Invalid (`invalid_keys`) for what is no key set; single keys that are no good are skipped."""
        found: dict[tuple[str, str], VerificationKey] = {}
        twice: set[tuple[str, str]] = set()
        skipped: list[SkippedKey] = []
        entries = _entries(document)
        for entry in entries[:KEYS_MAX]:
            try:
                key = _key(entry, algorithms)
            except ValueError as problem:
                skipped.append(SkippedKey(_shown(entry), str(problem)))
                continue
            name: tuple[str, str] = (key.kid, key.algorithm)
            if name in found:
                twice.add(name)
            found[name] = key
        for name in twice:
            skipped.append(SkippedKey(name[0], "its kid stands twice"))
            del found[name]
        if len(entries) > KEYS_MAX:
            skipped.append(SkippedKey("", f"{len(entries) - KEYS_MAX} keys too many"))
        return cls(found, tuple(skipped))

    def __contains__(self, kid: object) -> bool:
        """Say whether there is a key of this id, for whatever algorithm: then it is no reason to fetch anything."""
        return any(kid == name for name, _ in self.keys)

    def find(self, kid: str, algorithm: str) -> VerificationKey | None:
        """Return the key of this id for this algorithm, if there is one."""
        return self.keys.get((kid, algorithm))


def jwks(keys: Iterable[VerificationKey]) -> dict[str, list[dict[str, str]]]:
    """Return the key set of public keys, as it is published."""
    return {"keys": [key.to_jwk() for key in keys]}


def verification_key(kid: str, algorithm: Algorithm, public: PublicKey) -> VerificationKey:
    """Return a public key for checks. Raises ValueError if it is not one for that algorithm, or too weak."""
    if not (0 < len(kid) <= KID_CHARS_MAX and kid.isprintable()):
        raise ValueError("its kid is no short text")
    curve = _CURVES.get(algorithm)
    if curve is None:
        _check_rsa(public)
    elif not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name != curve[1].name:
        raise ValueError(f"{algorithm} is for {curve[0]}")
    return VerificationKey(kid, algorithm, jwk.construct(public, algorithm.value))


def _check_rsa(public: PublicKey) -> None:
    if not isinstance(public, rsa.RSAPublicKey):
        raise ValueError("its algorithm is for RSA")  # noqa: TRY004 - one kind of error for every key that is no good
    if not RSA_BITS_MIN <= public.key_size <= RSA_BITS_MAX:
        raise ValueError(f"RSA of {public.key_size} bits")
    _check_exponent(public.public_numbers().e)


def _check_exponent(exponent: int) -> None:
    if not (EXPONENT_MIN < exponent < EXPONENT_MAX and exponent & 1):
        raise ValueError("an odd RSA exponent that nobody uses")


def _entries(document: bytes | Mapping[str, Any]) -> list[Any]:
    if isinstance(document, bytes):
        if len(document) > DOCUMENT_BYTES_MAX:
            raise _no_key_set(f"{len(document)} bytes are too many")
        try:
            document = decode_object(document)
        except ValueError as problem:
            raise _no_key_set(str(problem)) from None
    entries = document.get("keys")
    if not isinstance(entries, list):
        raise _no_key_set("it has no list `keys`")
    return entries


def _no_key_set(why: str) -> Invalid:
    return Invalid(
        f"this is no set of keys: {why}",
        code="invalid_keys",
        hint="the issuer's jwks_uri must serve a JWKS (RFC 7517)",
    )


def _shown(entry: Any) -> str:
    """Return as much of a skipped key's id as can be shown."""
    kid = entry.get("kid") if isinstance(entry, Mapping) else None
    return kid[:KID_CHARS_MAX] if isinstance(kid, str) and kid.isprintable() else ""


def _key(entry: Any, algorithms: Collection[Algorithm]) -> VerificationKey:
    """Return the key that an entry of a key set is. Raises ValueError that says why it is none."""
    if not isinstance(entry, Mapping):
        raise ValueError("it is not an object")  # noqa: TRY004 - one kind of error for every key that is no good
    if entry.get("kty") not in ("RSA", "EC"):
        raise ValueError("its kind (kty) is neither RSA nor EC")
    if _PRIVATE & entry.keys():
        raise ValueError("it is private")
    if entry.get("use", "sig") != "sig":
        raise ValueError("it is not for signatures (use)")
    operations = entry.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise ValueError("it is not for checking signatures (key_ops)")
    kid = entry.get("kid")
    if not isinstance(kid, str):
        raise ValueError("it has no kid")  # noqa: TRY004 - one kind of error for every key that is no good
    algorithm = _algorithm(entry)
    if algorithm not in algorithms:
        raise ValueError(f"{algorithm} is not among the issuer's algorithms")
    if (entry["kty"] == "EC") != (algorithm in _CURVES):
        raise ValueError(f"its kind (kty) is not the one of {algorithm}")
    public = _rsa(entry) if entry["kty"] == "RSA" else _ec(entry, algorithm)
    return verification_key(kid, algorithm, public)


def _algorithm(entry: Mapping[str, Any]) -> Algorithm:
    named = entry.get("alg")
    if named is None:
        named = "RS256" if entry["kty"] == "RSA" else _OF_CURVE.get(_text(entry, "crv"), "")
    if not isinstance(named, str) or named not in ALGORITHMS:
        raise ValueError("its algorithm is none that is supported")
    return Algorithm(named)


def _rsa(entry: Mapping[str, Any]) -> rsa.RSAPublicKey:
    modulus, exponent = _number(entry, "n"), _number(entry, "e")
    # Before it is made: to make one of a million bits, or with an exponent as long, takes its time.
    if not RSA_BITS_MIN <= modulus.bit_length() <= RSA_BITS_MAX:
        raise ValueError(f"RSA of {modulus.bit_length()} bits")
    if not modulus & 1:
        raise ValueError("an even RSA modulus")
    _check_exponent(exponent)
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def _ec(entry: Mapping[str, Any], algorithm: Algorithm) -> ec.EllipticCurvePublicKey:
    name, curve, length = _CURVES[algorithm]
    if entry.get("crv") != name:
        raise ValueError(f"its curve is not the one of {algorithm}")
    x, y = _bytes(entry, "x"), _bytes(entry, "y")
    if len(x) != length or len(y) != length:
        raise ValueError("its coordinates are not as long as its curve's")
    numbers = ec.EllipticCurvePublicNumbers(
        int.from_bytes(x, "big"), int.from_bytes(y, "big"), curve
    )
    return numbers.public_key()


def _number(entry: Mapping[str, Any], name: str) -> int:
    return int.from_bytes(_bytes(entry, name), "big")


def _bytes(entry: Mapping[str, Any], name: str) -> bytes:
    text = _text(entry, name).translate(_STANDARD)
    try:
        return binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    except binascii.Error:
        raise ValueError(f"its {name} is not base64url") from None


def _text(entry: Mapping[str, Any], name: str) -> str:
    text = entry.get(name)
    if not isinstance(text, str) or not text.isascii():
        raise ValueError(f"its {name} is no text")
    return text
