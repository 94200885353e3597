"""Tokens: the one place where a token (a JWT, RFC 7519, signed as RFC 7515 says) is believed or refused. Nothing else calls python-jose's checks.

`verify` is `read`, which looks at nothing but the form, and `check`, which holds what was read against the policy of one issuer.  A caller with several issuers reads first, chooses by `issuer`, and checks then:
until `check` has returned, nothing else of a token may be used.

    what                        rule                                                                                     fault
    size                        8 KiB before anything else is looked at; 512 bytes of header                             SIZE
    form                        three segments of base64url in their one spelling, so a token has one spelling           FORM
    header, claims              objects of strict JSON (strict_json.py)                                                  DOCUMENT
    header                      `alg`, `kid`, `typ`, `x5t`, `x5t#S256`, all texts; nothing else (`crit`, `b64`, `jku`,   HEADER
                                `jwk`, `x5u`, `x5c`, `zip`, `enc`, ...), unless the policy names it as meaning nothing
    `typ`                       one of the policy's, without regard to case and to `application/` before it              TYPE
    `alg`                       one of the policy's                                                                      ALGORITHM
    `iss`                       the policy's, to the letter                                                              ISSUER
    `aud`                       a text or a list of texts, one of which is the policy's                                  AUDIENCE
    `sub`                       a printable text of 1 to 255 characters                                                  SUBJECT
    `exp`, `iat`                whole numbers, both there; `nbf` may be missing                                          CLAIM
    `jti`                       if it is there, as `sub`                                                                 CLAIM
    what the policy requires    is there, or has exactly the value that is expected                                      CLAIM
    time                        now < exp, iat <= now, nbf <= now, each with the leeway                                  EXPIRED, NOT_YET
    lifetime                    exp - iat is above 0 and at most the policy's                                            LIFETIME
    `nonce`, `azp`              of ID tokens, see `id_tokens`                                                            NONCE, PARTY
    key                         the ring has one of this `kid` for this `alg`                                            UNKNOWN_KEY
    signature                   is that key's                                                                            SIGNATURE

The order is by cost: a signature takes three quarters of a check, and is looked at last.  An unknown key comes behind the claims, so that only a token which is right in all else makes anybody fetch keys.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from jose import jws
from jose.exceptions import JOSEError

from runink.identity.algorithms import ALGORITHMS, Algorithm
from runink.identity.denials import Fault, Unauthenticated
from runink.identity.keys import KeyRing
from runink.identity.strict_json import decode_object

TOKEN_CHARS_MAX: Final = 8 * 1024  # what fits into a header of HTTP beside others
HEADER_BYTES_MAX: Final = 512  # joserfc's limit, too; those of providers have a hundred
TEXT_CHARS_MAX: Final = 255  # of a subject (OpenID Connect Core, 2), and of ids
AUDIENCES_MAX: Final = 64
NUMBER_MAX: Final = 1 << 53  # what JSON can carry exactly
LEEWAY_S: Final = 30  # clocks of nodes may differ by as much
LEEWAY_S_MAX: Final = 300
LIFETIME_S_MAX: Final = 24 * 3600  # of people's tokens: a working day

OF_ACCESS: Final = "at+jwt"  # RFC 9068
ABSENT: Final = ""  # in place of a type: the header has none
HEADER_MEMBERS: Final = frozenset({"alg", "kid", "typ", "x5t", "x5t#S256"})
NEVER_MEMBERS: Final = frozenset({"b64", "crit", "enc", "jku", "jwk", "x5c", "x5u", "zip"})

_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_STANDARD: Final = str.maketrans("-_", "+/")
# By a segment's length modulo 4: which letters may be its last. Others differ in bits that mean nothing.
_LAST: Final[tuple[frozenset[str] | None, ...]] = (
    None,
    frozenset(),
    frozenset("AQgw"),
    frozenset("AEIMQUYcgkosw048"),
)


class TokenPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What tokens of one issuer, for one use, must be. Whoever makes one of a configuration has checked that before."""

    issuer: str
    audience: str
    algorithms: frozenset[Algorithm]
    types: frozenset[str] = frozenset({OF_ACCESS})  # in lower case, without `application/`
    leeway_s: int = LEEWAY_S
    lifetime_s_max: int = LIFETIME_S_MAX
    required: frozenset[str] = frozenset()  # claims that must be there beside the usual ones
    # What claims must be, such as the tenant where one issuer serves many.
    expected: tuple[tuple[str, str | bool], ...] = ()
    further_header: frozenset[str] = frozenset()  # what a provider adds to headers and we ignore
    nonce: str = ""  # what was sent with the login that an ID token answers
    party: str = ""  # the client that an ID token is for

    def __post_init__(self) -> None:
        assert self.issuer
        assert self.audience
        assert self.types
        assert self.algorithms
        assert self.algorithms <= ALGORITHMS
        assert 0 <= self.leeway_s <= LEEWAY_S_MAX
        assert self.lifetime_s_max > 0
        assert not self.further_header & NEVER_MEMBERS


def id_tokens(
    *,
    issuer: str,
    client_id: str,
    nonce: str,
    algorithms: frozenset[Algorithm],
    expected: tuple[tuple[str, str | bool], ...] = (),
) -> TokenPolicy:
    """Return the policy for the ID token that answers one login (OpenID Connect Core, 3.1.3.7): it has the login's nonce and is for that client, and `azp` says so if it is there or if there are more audiences.

    Its type is absent or JWT, so no access token is taken for one; API tokens have a type of their own, so no ID token is taken for those.
    """
    assert nonce
    return TokenPolicy(
        issuer=issuer,
        audience=client_id,
        algorithms=algorithms,
        types=frozenset({ABSENT, "jwt"}),
        expected=expected,
        nonce=nonce,
        party=client_id,
    )


class Claims(msgspec.Struct, frozen=True):
    """What a verified token says. `members` are all of its claims, of which those without a field here have been looked at by nobody."""

    issuer: str
    subject: str
    audiences: tuple[str, ...]
    issued_s: int
    expires_s: int
    token_id: str  # jti, empty without one
    key_id: str
    members: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class UnverifiedToken:
    """A token of the right form. What it says proves nothing: it may choose the issuer to check it by, and no more."""

    text: str = field(repr=False)  # who has it is let in: it is never logged
    header: Mapping[str, Any]
    payload: bytes
    members: Mapping[str, Any]

    @property
    def issuer(self) -> str:
        """Return what it says of its issuer, nothing if that is no text."""
        issuer = self.members.get("iss")
        return issuer if isinstance(issuer, str) else ""


def verify(token: str, ring: KeyRing, policy: TokenPolicy, *, now_s: int) -> Claims:
    """Return what the token says, if it is good. Raises Unauthenticated for every other, and no other exception for any text."""
    return check(read(token), ring, policy, now_s=now_s)


def read(token: str) -> UnverifiedToken:
    """Take a token apart. Raises Unauthenticated if its form is not the right one."""
    if len(token) > TOKEN_CHARS_MAX:
        raise Unauthenticated(Fault.SIZE, f"{len(token)} characters")
    if not _COMPACT.fullmatch(token):
        raise Unauthenticated(Fault.FORM, "it is not three segments of base64url")
    segments = token.split(".")
    for segment in segments:
        last = _LAST[len(segment) & 3]
        if last is not None and segment[-1] not in last:
            raise Unauthenticated(Fault.FORM, "a segment ends as no encoder ends it")
    header = _decoded(segments[0])
    if len(header) > HEADER_BYTES_MAX:
        raise Unauthenticated(Fault.SIZE, f"{len(header)} bytes of header")
    payload = _decoded(segments[1])
    return UnverifiedToken(
        token, _document(header, "header"), payload, _document(payload, "claims")
    )


def check(token: UnverifiedToken, ring: KeyRing, policy: TokenPolicy, *, now_s: int) -> Claims:
    """Return what the token says, if the policy allows it and its signature is of a key of the ring. Raises Unauthenticated."""
    kid, algorithm = _checked_header(token.header, policy)
    claims = _checked_claims(token.members, kid, policy)
    check_times(claims, policy, now_s)
    if policy.party:
        _check_party(claims, policy)
    key = ring.find(kid, algorithm)
    if key is None:
        raise Unauthenticated(Fault.UNKNOWN_KEY, f"no key {kid!r} for {algorithm}")
    try:
        payload = jws.verify(token.text, key.prepared, algorithms=[key.algorithm.value])
    except JOSEError:
        raise Unauthenticated(Fault.SIGNATURE, f"it is not one of key {kid!r}") from None
    assert payload == token.payload  # what was signed is what was read
    return claims


def is_id(text: str) -> bool:
    """Return whether a text can be a subject or an id: printable, and neither empty nor long."""
    return 0 < len(text) <= TEXT_CHARS_MAX and text.isprintable()


def _decoded(segment: str) -> bytes:
    # Two characters of padding are never too few, and what is too much of it is passed over.
    return binascii.a2b_base64(segment.translate(_STANDARD) + "==")


def _document(data: bytes, what: str) -> dict[str, Any]:
    try:
        return decode_object(data)
    except ValueError as problem:
        raise Unauthenticated(Fault.DOCUMENT, f"{what}: {problem}") from None


def _checked_header(header: Mapping[str, Any], policy: TokenPolicy) -> tuple[str, str]:
    """Return the id of the key, and the algorithm."""
    for name, value in header.items():
        if name not in HEADER_MEMBERS and name not in policy.further_header:
            raise Unauthenticated(Fault.HEADER, f"{name[:TEXT_CHARS_MAX]!r} is not understood")
        if type(value) is not str or not value:
            raise Unauthenticated(Fault.HEADER, f"{name} is no text")
    kind = header.get("typ", ABSENT).lower().removeprefix("application/")
    if kind not in policy.types:
        raise Unauthenticated(Fault.TYPE, f"{kind!r} is not one of {sorted(policy.types)}")
    algorithm = header.get("alg")
    if algorithm not in policy.algorithms:
        raise Unauthenticated(Fault.ALGORITHM, f"{algorithm!r} is not one of the issuer's")
    kid = header.get("kid")
    if kid is None:
        raise Unauthenticated(Fault.HEADER, "it names no key")
    return kid, algorithm


def _checked_claims(members: Mapping[str, Any], kid: str, policy: TokenPolicy) -> Claims:
    if members.get("iss") != policy.issuer:
        raise Unauthenticated(Fault.ISSUER, f"it is not of {policy.issuer}")
    subject = members.get("sub")
    if type(subject) is not str or not is_id(subject):
        raise Unauthenticated(Fault.SUBJECT, "sub is no short printable text")
    token_id = ""
    if "jti" in members:
        token_id = members["jti"]
        if type(token_id) is not str or not is_id(token_id):
            raise Unauthenticated(Fault.CLAIM, "jti is no short printable text")
    for name in policy.required:
        if members.get(name) is None:
            raise Unauthenticated(Fault.CLAIM, f"{name} is missing")
    for name, value in policy.expected:
        found = members.get(name)
        if type(found) is not type(value) or found != value:
            raise Unauthenticated(Fault.CLAIM, f"{name} is not {value!r}")
    return Claims(
        policy.issuer,
        subject,
        _audiences(members.get("aud"), policy),
        _seconds(members, "iat"),
        _seconds(members, "exp"),
        token_id,
        kid,
        members,
    )


def _audiences(value: Any, policy: TokenPolicy) -> tuple[str, ...]:
    listed = [value] if type(value) is str else value
    if type(listed) is not list or len(listed) > AUDIENCES_MAX:
        raise Unauthenticated(Fault.AUDIENCE, "aud is neither a text nor a short list")
    for one in listed:
        if type(one) is not str:
            raise Unauthenticated(Fault.AUDIENCE, "aud holds more than texts")
    if policy.audience not in listed:
        raise Unauthenticated(Fault.AUDIENCE, f"it is not for {policy.audience}")
    return tuple(listed)


def _seconds(members: Mapping[str, Any], name: str) -> int:
    value = members.get(name)
    if type(value) is not int or not 0 < value < NUMBER_MAX:  # a bool is no int here
        raise Unauthenticated(Fault.CLAIM, f"{name} is no time in whole seconds")
    return value


def check_times(claims: Claims, policy: TokenPolicy, now_s: int) -> None:
    """Raise Unauthenticated unless claims that the policy allows hold at a moment (seconds of the Unix epoch)."""
    if claims.expires_s <= now_s - policy.leeway_s:
        raise Unauthenticated(Fault.EXPIRED, f"{now_s - claims.expires_s} s ago")
    latest_s = now_s + policy.leeway_s
    if claims.issued_s > latest_s:
        raise Unauthenticated(Fault.NOT_YET, f"it was made {claims.issued_s - now_s} s from now")
    if "nbf" in claims.members:
        ahead_s = _seconds(claims.members, "nbf") - now_s
        if ahead_s > policy.leeway_s:
            raise Unauthenticated(Fault.NOT_YET, f"it is good from {ahead_s} s from now on")
    lifetime_s = claims.expires_s - claims.issued_s
    if not 0 < lifetime_s <= policy.lifetime_s_max:
        raise Unauthenticated(Fault.LIFETIME, f"{lifetime_s} s")


def _check_party(claims: Claims, policy: TokenPolicy) -> None:
    """Hold an ID token against the login that it answers."""
    if claims.members.get("nonce") != policy.nonce:
        raise Unauthenticated(Fault.NONCE, "it does not answer this login")
    party = claims.members.get("azp", policy.party if len(claims.audiences) == 1 else None)
    if party != policy.party:
        raise Unauthenticated(Fault.PARTY, "azp does not name this client")
