"""What is kept of tokens that the cluster has signed, and of what nobody takes any more. Never a token itself, nor anything that one could be made of.

A token of a service account is recorded when it is made: under its id (jti), which sorts by time, until it has expired.  One of a slice is not: it ends with its run, which whoever checks
it looks at (`actors/access_board.py`).
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from runink.identity.principals import Principal, PrincipalKind
from runink.identity.revocations import KeyRevoked, Revocation, SubjectRevoked, TokenRevoked
from runink.names import AccountName, HerdName

OWN: Final = "-"  # in place of a provider's id: what the cluster itself has signed
TOKENS_MAX: Final = 256  # of one account that are good at once: a program that asks for each call a new one is told so


class TakenBack(msgspec.Struct, frozen=True):
    """That a token was revoked, by whom and when (milliseconds of the Unix epoch)."""

    by: str
    at_ms: int


class IssuedToken(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A token of a service account. `made_by` is the subject who has asked for it, or the account itself with `secret`, the id of the one that it has shown. `key` has signed it. Times are seconds of the Unix epoch."""

    id: str
    herd: HerdName
    account: AccountName
    made_by: str
    made_s: int
    until_s: int
    key: str
    secret: str = ""
    description: str = ""
    revoked: TakenBack | None = None

    @property
    def subject(self) -> str:
        return f"{PrincipalKind.SERVICE_ACCOUNT.value}:{self.herd}/{self.account}"


class RevocationRecord(msgspec.Struct, frozen=True):
    """Who has revoked what, and when (milliseconds of the Unix epoch)."""

    what: Revocation
    by: str
    at_ms: int


def revocation_id(revocation: Revocation) -> str:
    """Return what a revocation is kept under: one of the same thing takes its place."""
    match revocation:
        case TokenRevoked(issuer, name):
            kind = "token"
        case SubjectRevoked(issuer, name):
            kind = "subject"
        case KeyRevoked(issuer, name):
            kind = "key"
    return hashlib.sha256(f"{kind}\0{issuer}\0{name}".encode()).hexdigest()[:32]


def issuer_of(principal: Principal) -> str:
    """Return who has signed what proved a principal, as revocations have it: a provider's id, or OWN."""
    if principal.kind is PrincipalKind.USER:
        return principal.name.partition(":")[0]
    return OWN
