"""Revocations: tokens that are good in themselves, and that nobody takes any more.

    revoked         by                   refuses                                              is of use until
    one token       issuer and jti       that token                                           it has expired
    a subject       issuer and sub       what was made for it up to a moment, to the second   the last of these has expired
    a key           issuer and kid       all that it has signed                               the last of these has expired

The set is filled by whoever follows the Barn, which holds the same values; how many there may be is checked where they are written.  Nothing is ever left out for want of room: that would let in who was
shut out.  What is of no use any more is taken out by `prune`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

import msgspec

from runink.identity.denials import Fault, Unauthenticated

if TYPE_CHECKING:  # who only writes revocations needs no python-jose
    from runink.identity.tokens import Claims


class TokenRevoked(msgspec.Struct, frozen=True, tag="token"):
    """One token, by its jti. `until_s` is when it has expired, with the leeway."""

    issuer: str
    token_id: str
    until_s: int


class SubjectRevoked(msgspec.Struct, frozen=True, tag="subject"):
    """All tokens of a subject that were made at `last_s` or before; later ones are good. `until_s` is when the last of them has expired, with the leeway."""

    issuer: str
    subject: str
    last_s: int
    until_s: int


class KeyRevoked(msgspec.Struct, frozen=True, tag="key"):
    """All tokens that a key has signed. `until_s` is when the last of them has expired, or when the key is out of every ring."""

    issuer: str
    key_id: str
    until_s: int


Revocation = TokenRevoked | SubjectRevoked | KeyRevoked


class Revocations:
    """The set. Its answers do not depend on the order in which it was filled."""

    def __init__(self) -> None:
        self._tokens: dict[tuple[str, str], TokenRevoked] = {}
        self._subjects: dict[tuple[str, str], SubjectRevoked] = {}
        self._keys: dict[tuple[str, str], KeyRevoked] = {}

    def __len__(self) -> int:
        return len(self._tokens) + len(self._subjects) + len(self._keys)

    def add(self, revocation: Revocation) -> None:
        """Take a revocation in. Of two of the same thing each counts for as far as it reaches."""
        match revocation:
            case TokenRevoked(issuer, token_id, until_s):
                one = self._tokens.get((issuer, token_id), revocation)
                until_s = max(one.until_s, until_s)
                self._tokens[issuer, token_id] = TokenRevoked(issuer, token_id, until_s)
            case SubjectRevoked(issuer, subject, last_s, until_s):
                other = self._subjects.get((issuer, subject), revocation)
                last_s, until_s = max(other.last_s, last_s), max(other.until_s, until_s)
                self._subjects[issuer, subject] = SubjectRevoked(issuer, subject, last_s, until_s)
            case KeyRevoked(issuer, key_id, until_s):
                key = self._keys.get((issuer, key_id), revocation)
                until_s = max(key.until_s, until_s)
                self._keys[issuer, key_id] = KeyRevoked(issuer, key_id, until_s)
            case _:
                assert_never(revocation)

    def lift(self, revocation: Revocation) -> None:
        """Take a revocation of this thing out, whatever its times are."""
        match revocation:
            case TokenRevoked(issuer, token_id):
                self._tokens.pop((issuer, token_id), None)
            case SubjectRevoked(issuer, subject):
                self._subjects.pop((issuer, subject), None)
            case KeyRevoked(issuer, key_id):
                self._keys.pop((issuer, key_id), None)
            case _:
                assert_never(revocation)

    def check(self, claims: Claims) -> None:
        """Raise Unauthenticated if what was verified has been revoked."""
        why = self.refusal(
            claims.issuer,
            token_id=claims.token_id,
            subject=claims.subject,
            issued_s=claims.issued_s,
            key_id=claims.key_id,
        )
        if why:
            raise Unauthenticated(Fault.REVOKED, why)

    def refusal(
        self, issuer: str, *, token_id: str, subject: str, issued_s: int, key_id: str
    ) -> str:
        """Return what of a token has been revoked, empty if nothing has. Without an id, or without a key's, `token_id` or `key_id` is empty."""
        if token_id and (issuer, token_id) in self._tokens:
            return f"token {token_id!r}"
        found = self._subjects.get((issuer, subject))
        if found is not None and issued_s <= found.last_s:
            return f"what {subject!r} had up to {found.last_s}"
        if (issuer, key_id) in self._keys:
            return f"what key {key_id!r} has signed"
        return ""

    def last_s(self, issuer: str, subject: str) -> int:
        """Return the second up to which all of a subject's tokens are revoked, 0 if none are."""
        found = self._subjects.get((issuer, subject))
        return found.last_s if found is not None else 0

    def prune(self, now_s: int) -> tuple[Revocation, ...]:
        """Take out what refuses nothing any more, because all of it has expired; return that, for whoever keeps it elsewhere."""
        gone: list[Revocation] = [
            one
            for kept in (self._tokens, self._subjects, self._keys)
            for one in kept.values()
            if one.until_s <= now_s
        ]
        for one in gone:
            self.lift(one)
        return tuple(gone)
