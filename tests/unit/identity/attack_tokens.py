"""Tokens that must not be believed, by name, each with what is wrong with it. All are signed by the issuer's own keys where an attacker could have come by that."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64decode
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from runink.identity.denials import Fault
from runink.testing.tokens import (
    AUDIENCE,
    EC_KID,
    NOW_S,
    RSA_KID,
    URL,
    Issuer,
    base64url,
    claims,
    document,
    ec_header,
    ec_key,
    header,
)

ISSUER = Issuer()
OTHER = Issuer(rsa=rsa.generate_private_key(65537, 2048), ec=ec_key(2))
GOOD, GOOD_EC = ISSUER.token(claims(), header()), ISSUER.token(claims(), ec_header())
HEAD, BODY, SIGNATURE = GOOD.split(".")
EC_HEAD, EC_BODY, EC_SIGNATURE = GOOD_EC.split(".")
RSA_PUBLIC, EC_PUBLIC = ISSUER.rsa.public_key(), ISSUER.ec.public_key()
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def with_claims(**changes: object) -> str:
    return ISSUER.token(claims(**changes), header())


def with_claims_as(data: bytes) -> str:
    return ISSUER.token(data, header())


def with_header(**changes: object) -> str:
    return ISSUER.token(claims(), header(**changes))


def with_header_as(data: bytes) -> str:
    return ISSUER.token(claims(), data)


def by_secret(secret: bytes, kid: str = RSA_KID) -> str:
    """Sign with HS256, as who takes a public key for a secret."""
    signed = f"{base64url(document(header(alg='HS256', kid=kid)))}.{BODY}"
    return f"{signed}.{base64url(hmac.digest(secret, signed.encode(), 'sha256'))}"


def unsigned(algorithm: str, signature: str = "AAAA") -> str:
    return f"{base64url(document(header(alg=algorithm)))}.{BODY}.{signature}"


def respelt(segment: str) -> str:
    """Return a segment whose last letter differs in bits that mean nothing."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert len(segment) % 4
    return segment[:-1] + alphabet[alphabet.index(segment[-1]) + 1]


def with_spare_bits() -> str:
    """Return a segment of good claims that has spare bits at its end."""
    for filler in ("x", "xx"):
        segment = base64url(document(claims(x=filler)))
        if len(segment) % 4:
            return segment
    raise AssertionError


def deep(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


def member(text: str, of: dict[str, object]) -> bytes:
    """Return an object with one more member, written as it is."""
    return f"{json.dumps(of)[:-1]}, {text}}}".encode()


def der_signature() -> str:
    numbers = base64url_bytes(EC_SIGNATURE)
    r, s = (one.lstrip(b"\0") for one in (numbers[:32], numbers[32:]))
    parts = b"".join(
        bytes((2, len(one) + (one[0] >> 7))) + b"\0" * (one[0] >> 7) + one for one in (r, s)
    )
    return base64url(bytes((0x30, len(parts))) + parts)


def base64url_bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def rsa_public(encoding: Encoding, form: PublicFormat) -> bytes:
    return RSA_PUBLIC.public_bytes(encoding, form)


def ec_public(encoding: Encoding, form: PublicFormat) -> bytes:
    return EC_PUBLIC.public_bytes(encoding, form)


SPKI = PublicFormat.SubjectPublicKeyInfo
CONFUSED: dict[str, Callable[[], str]] = {
    "HS256 by the RSA key as PEM": lambda: by_secret(rsa_public(Encoding.PEM, SPKI)),
    "HS256 by the RSA key as PKCS1": lambda: by_secret(
        rsa_public(Encoding.PEM, PublicFormat.PKCS1)
    ),
    "HS256 by the RSA key as DER": lambda: by_secret(rsa_public(Encoding.DER, SPKI)),
    "HS256 by the RSA key as OpenSSH": lambda: by_secret(
        rsa_public(Encoding.OpenSSH, PublicFormat.OpenSSH)
    ),
    "HS256 by the curve's key as PEM": lambda: by_secret(ec_public(Encoding.PEM, SPKI), EC_KID),
    "HS256 by the curve's key as DER": lambda: by_secret(ec_public(Encoding.DER, SPKI), EC_KID),
    "HS256 by the curve's key as a point": lambda: by_secret(
        ec_public(Encoding.X962, PublicFormat.UncompressedPoint), EC_KID
    ),
    "HS256 by the key set": lambda: by_secret(document(ISSUER.key_set())),
    "HS256 by nothing": lambda: by_secret(b""),
    "alg none": lambda: unsigned("none"),
    "alg nOnE": lambda: unsigned("nOnE"),
    "alg None with the good signature": lambda: unsigned("None", SIGNATURE),
    "alg that holds a good one": lambda: unsigned("RS256HS256", SIGNATURE),
    "alg in lower case": lambda: with_header(alg="rs256"),
    "alg PS256": lambda: with_header(alg="PS256"),
    "alg EdDSA": lambda: with_header(alg="EdDSA"),
    "no alg": lambda: with_header(alg=None),
}
ALGORITHM_ATTACKS = {name: (make, Fault.ALGORITHM) for name, make in CONFUSED.items()}

KEY_ATTACKS = {
    "RS512 by the key for RS256": (lambda: with_header(alg="RS512"), Fault.UNKNOWN_KEY),
    "ES256 by the id of the RSA key": (
        lambda: ISSUER.token(claims(), header(alg="ES256")),
        Fault.UNKNOWN_KEY,
    ),
    "RS256 by the id of the curve's key": (
        lambda: ISSUER.token(claims(), header(kid=EC_KID)),
        Fault.UNKNOWN_KEY,
    ),
    "an unknown kid": (lambda: with_header(kid="rsa-2"), Fault.UNKNOWN_KEY),
    "a kid that is a path": (lambda: with_header(kid="../../dev/null"), Fault.UNKNOWN_KEY),
    "a kid that is SQL": (lambda: with_header(kid="x' UNION SELECT 'k"), Fault.UNKNOWN_KEY),
    "a kid with NUL": (lambda: with_header(kid="rsa-1\0"), Fault.UNKNOWN_KEY),
    "no kid": (lambda: with_header(kid=None), Fault.HEADER),
    "another's RSA key under the same id": (
        lambda: OTHER.token(claims(), header()),
        Fault.SIGNATURE,
    ),
    "another's curve key under the same id": (
        lambda: OTHER.token(claims(), ec_header()),
        Fault.SIGNATURE,
    ),
    "the signature of another token": (
        lambda: f"{HEAD}.{base64url(document(claims(sub='root')))}.{SIGNATURE}",
        Fault.SIGNATURE,
    ),
    "the signature under another header": (
        lambda: f"{base64url(document(header(x5t='AA')))}.{BODY}.{SIGNATURE}",
        Fault.SIGNATURE,
    ),
    "a signature cut by a byte": (
        lambda: f"{HEAD}.{BODY}.{base64url(base64url_bytes(SIGNATURE)[:-1])}",
        Fault.SIGNATURE,
    ),
    "a signature with a byte before it": (
        lambda: f"{HEAD}.{BODY}.{base64url(b'x' + base64url_bytes(SIGNATURE))}",
        Fault.SIGNATURE,
    ),
    "a signature of zeros": (
        lambda: f"{EC_HEAD}.{EC_BODY}.{base64url(bytes(64))}",
        Fault.SIGNATURE,
    ),
    "a signature of the curve's order": (
        lambda: f"{EC_HEAD}.{EC_BODY}.{base64url(ORDER.to_bytes(32, 'big') * 2)}",
        Fault.SIGNATURE,
    ),
    "a curve's signature as DER": (
        lambda: f"{EC_HEAD}.{EC_BODY}.{der_signature()}",
        Fault.SIGNATURE,
    ),
}

HEADER_ATTACKS = {
    "crit": (lambda: with_header(crit=["x"], x="1"), Fault.HEADER),
    "crit of exp": (lambda: with_header(crit=["exp"]), Fault.HEADER),
    "b64": (lambda: with_header(crit=["b64"], b64=False), Fault.HEADER),
    "jku": (lambda: with_header(jku="https://evil.example/keys"), Fault.HEADER),
    "jwk": (lambda: OTHER.token(claims(), header(jwk=OTHER.key_set()["keys"][0])), Fault.HEADER),
    "x5u": (lambda: with_header(x5u="https://evil.example/chain"), Fault.HEADER),
    "x5c": (lambda: with_header(x5c=["MIIB"]), Fault.HEADER),
    "zip": (lambda: with_header(zip="DEF"), Fault.HEADER),
    "enc": (lambda: with_header(enc="A256GCM"), Fault.HEADER),
    "cty JWT": (lambda: with_header(cty="JWT"), Fault.HEADER),
    "a member that nobody knows": (lambda: with_header(foo="bar"), Fault.HEADER),
    "alg as a list": (lambda: with_header(alg=["RS256"]), Fault.HEADER),
    "kid as a number": (lambda: with_header(kid=1), Fault.HEADER),
    "kid as a list": (lambda: with_header(kid=[RSA_KID]), Fault.HEADER),
    "typ as a number": (lambda: with_header(typ=7), Fault.HEADER),
    "typ empty": (lambda: with_header(typ=""), Fault.HEADER),
    "typ null": (
        lambda: with_header_as(member('"typ": null', header(typ=None))),
        Fault.HEADER,
    ),
    "an ID token": (lambda: with_header(typ=None), Fault.TYPE),
    "typ JWT": (lambda: with_header(typ="JWT"), Fault.TYPE),
    "typ of slices": (lambda: with_header(typ="runink-slice+jwt"), Fault.TYPE),
    "typ of a logout token": (lambda: with_header(typ="logout+jwt"), Fault.TYPE),
    "alg twice": (
        lambda: with_header_as(member('"alg": "RS256"', header(alg="none"))),
        Fault.DOCUMENT,
    ),
    "kid twice, once escaped": (
        lambda: with_header_as(member('"\\u006bid": "rsa-1"', header(kid="x"))),
        Fault.DOCUMENT,
    ),
    "a header that is a list": (lambda: with_header_as(b'[["alg","RS256"]]'), Fault.DOCUMENT),
    "a header that is null": (lambda: with_header_as(b"null"), Fault.DOCUMENT),
    "a header that is nested": (lambda: with_header_as(deep(80)), Fault.DOCUMENT),
    "a header in UTF-16": (
        lambda: with_header_as(json.dumps(header()).encode("utf-16")),
        Fault.DOCUMENT,
    ),
    "a long header": (lambda: with_header(x5t="A" * 512), Fault.SIZE),
}

CLAIM_ATTACKS = {
    "no exp": (lambda: with_claims(exp=None), Fault.CLAIM),
    "exp null": (lambda: with_claims_as(member('"exp": null', claims(exp=None))), Fault.CLAIM),
    "exp a text": (lambda: with_claims(exp=str(NOW_S + 300)), Fault.CLAIM),
    "exp a fraction": (lambda: with_claims(exp=NOW_S + 300.5), Fault.CLAIM),
    "exp true": (lambda: with_claims(exp=True), Fault.CLAIM),
    "exp a list": (lambda: with_claims(exp=[NOW_S + 300]), Fault.CLAIM),
    "exp 10^30": (lambda: with_claims(exp=10**30), Fault.CLAIM),
    "exp negative": (lambda: with_claims(exp=-1), Fault.CLAIM),
    "exp NaN": (lambda: with_claims(exp=float("nan")), Fault.DOCUMENT),
    "exp Infinity": (lambda: with_claims(exp=float("inf")), Fault.DOCUMENT),
    "exp 1e999": (lambda: with_claims_as(member('"exp": 1e999', claims(exp=None))), Fault.DOCUMENT),
    "exp of 5000 digits": (
        lambda: with_claims_as(member(f'"exp": {"9" * 5000}', claims(exp=None))),
        Fault.DOCUMENT,
    ),
    "expired": (lambda: with_claims(exp=NOW_S - 31, iat=NOW_S - 60), Fault.EXPIRED),
    "no iat": (lambda: with_claims(iat=None), Fault.CLAIM),
    "iat a text": (lambda: with_claims(iat=str(NOW_S)), Fault.CLAIM),
    "iat from tomorrow": (lambda: with_claims(iat=NOW_S + 31), Fault.NOT_YET),
    "iat behind exp": (lambda: with_claims(iat=NOW_S + 20, exp=NOW_S + 10), Fault.LIFETIME),
    "for two days": (lambda: with_claims(exp=NOW_S + 2 * 86400), Fault.LIFETIME),
    "nbf from tomorrow": (lambda: with_claims(nbf=NOW_S + 31), Fault.NOT_YET),
    "nbf a text": (lambda: with_claims(nbf="0"), Fault.CLAIM),
    "nbf null": (lambda: with_claims_as(member('"nbf": null', claims())), Fault.CLAIM),
    "no aud": (lambda: with_claims(aud=None), Fault.AUDIENCE),
    "another's aud": (lambda: with_claims(aud="https://mail.example.org"), Fault.AUDIENCE),
    "the beginning of aud": (lambda: with_claims(aud=AUDIENCE[:-1]), Fault.AUDIENCE),
    "more than aud": (lambda: with_claims(aud=AUDIENCE + "/"), Fault.AUDIENCE),
    "aud an empty list": (lambda: with_claims(aud=[]), Fault.AUDIENCE),
    "aud a list of others": (lambda: with_claims(aud=["a", "b"]), Fault.AUDIENCE),
    "aud with a number": (lambda: with_claims(aud=[AUDIENCE, 7]), Fault.AUDIENCE),
    "aud an object": (lambda: with_claims(aud={AUDIENCE: 1}), Fault.AUDIENCE),
    "aud of many": (lambda: with_claims(aud=[AUDIENCE] * 65), Fault.AUDIENCE),
    "no iss": (lambda: with_claims(iss=None), Fault.ISSUER),
    "another's iss": (lambda: with_claims(iss="https://evil.example"), Fault.ISSUER),
    "iss with a slash more": (lambda: with_claims(iss=URL + "/"), Fault.ISSUER),
    "iss in capitals": (lambda: with_claims(iss=URL.upper()), Fault.ISSUER),
    "iss a list": (lambda: with_claims(iss=[URL]), Fault.ISSUER),
    "no sub": (lambda: with_claims(sub=None), Fault.SUBJECT),
    "sub a number": (lambda: with_claims(sub=7), Fault.SUBJECT),
    "sub empty": (lambda: with_claims(sub=""), Fault.SUBJECT),
    "sub of 256": (lambda: with_claims(sub="a" * 256), Fault.SUBJECT),
    "sub of two lines": (lambda: with_claims(sub="ada\nroot"), Fault.SUBJECT),
    "sub that turns round": (lambda: with_claims(sub="\u202etoor"), Fault.SUBJECT),
    "jti a number": (lambda: with_claims(jti=1), Fault.CLAIM),
    "jti empty": (lambda: with_claims(jti=""), Fault.CLAIM),
    "sub twice": (lambda: with_claims_as(member('"sub": "root"', claims())), Fault.DOCUMENT),
    "a member twice, far inside": (
        lambda: with_claims_as(member('"a": {"b": {"c": 1, "c": 2}}', claims())),
        Fault.DOCUMENT,
    ),
    "NaN in what nobody reads": (lambda: with_claims(x=float("nan")), Fault.DOCUMENT),
    "half of a surrogate pair": (
        lambda: with_claims_as(member('"x": "\\ud83d"', claims())),
        Fault.DOCUMENT,
    ),
    "claims nested by 17": (
        lambda: with_claims_as(member('"x": ' + "[" * 16 + "]" * 16, claims())),
        Fault.DOCUMENT,
    ),
    "claims nested by 2500": (
        lambda: with_claims_as(member('"x": ' + "[" * 2500 + "]" * 2500, claims())),
        Fault.DOCUMENT,
    ),
    "claims that are a list": (lambda: with_claims_as(b"[]"), Fault.DOCUMENT),
    "claims that are a token": (lambda: with_claims_as(GOOD.encode()), Fault.DOCUMENT),
    "claims that are not UTF-8": (lambda: with_claims_as(b'{"sub":"\xff"}'), Fault.DOCUMENT),
    "claims in UTF-16": (
        lambda: with_claims_as(json.dumps(claims()).encode("utf-16")),
        Fault.DOCUMENT,
    ),
    "claims behind a mark of order": (
        lambda: with_claims_as(b"\xef\xbb\xbf" + document(claims())),
        Fault.DOCUMENT,
    ),
    "two objects": (lambda: with_claims_as(document(claims()) * 2), Fault.DOCUMENT),
    "claims of nothing but spaces": (lambda: with_claims_as(b"   "), Fault.DOCUMENT),
}

FORM_ATTACKS = {
    "nothing": (lambda: "", Fault.FORM),
    "two dots": (lambda: "..", Fault.FORM),
    "no signature": (lambda: f"{HEAD}.{BODY}.", Fault.FORM),
    "alg none without a signature": (lambda: unsigned("none", ""), Fault.FORM),
    "two segments": (lambda: f"{HEAD}.{BODY}", Fault.FORM),
    "four segments": (lambda: f"{GOOD}.AAAA", Fault.FORM),
    "five segments, as what is encrypted": (lambda: f"{HEAD}..AAAA.{BODY}.AAAA", Fault.FORM),
    "the JSON form": (
        lambda: json.dumps({"protected": HEAD, "payload": BODY, "signature": SIGNATURE}),
        Fault.FORM,
    ),
    "padding": (lambda: f"{GOOD}==", Fault.FORM),
    "a newline behind it": (lambda: GOOD + "\n", Fault.FORM),
    "a space before it": (lambda: " " + GOOD, Fault.FORM),
    "Bearer before it": (lambda: "Bearer " + GOOD, Fault.FORM),
    "plus in place of minus": (lambda: f"{HEAD}.{BODY}.++++", Fault.FORM),
    "letters of other scripts": (lambda: GOOD.replace("e", "\u0435"), Fault.FORM),
    "half of a surrogate pair in it": (lambda: GOOD + "\ud83d", Fault.FORM),
    "NUL": (lambda: GOOD + "\0", Fault.FORM),
    "a signature spelt otherwise": (lambda: f"{HEAD}.{BODY}.{respelt(SIGNATURE)}", Fault.FORM),
    "a curve's signature spelt otherwise": (
        lambda: f"{EC_HEAD}.{EC_BODY}.{respelt(EC_SIGNATURE)}",
        Fault.FORM,
    ),
    "claims spelt otherwise": (lambda: f"{HEAD}.{respelt(with_spare_bits())}.AAAA", Fault.FORM),
    "a segment of one letter": (lambda: f"{HEAD}.A.AAAA", Fault.FORM),
    "more than 8 KiB": (lambda: with_claims(x="x" * 6000), Fault.SIZE),
    "1 MB": (lambda: with_claims(x="x" * 700_000), Fault.SIZE),
    "a header nested by 100,000": (lambda: with_header_as(deep(100_000)), Fault.SIZE),
}

ATTACKS = {**ALGORITHM_ATTACKS, **KEY_ATTACKS, **HEADER_ATTACKS, **CLAIM_ATTACKS, **FORM_ATTACKS}
