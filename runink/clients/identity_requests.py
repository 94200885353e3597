"""What may be asked of a member about tokens, and what it answers.

    request         for whom                                answer            raises, beside the deadline
    MintToken       who may speak for the account           MintedToken       Forbidden (`forbidden`, `not_held`), NotFound (`no_such_account`), Conflict (`account_disabled`, `too_many_tokens`), Invalid
    ClientToken     a program, with its secret              MintedToken       Refused (`invalid_client`), QuotaExceeded (`too_many_failures`), Conflict (`too_many_tokens`)
    MintForSlice    the agent of the slice's node           MintedToken       Forbidden (`no_such_attempt`)
    RevokeToken     who may delete tokens of the herd       RevokedToken      NotFound (`no_such_token`)
    RevokeAccount   the same                                int, the second   NotFound (`no_such_account`)
    SignOut         who may update issuers                  int, the second   -
    GiveBack        who has shown the token                 None              Invalid (`no_token`)
    RotateKeys      who may update the authority            SigningFacts      Conflict (`rotation_under_way`)
    RevokeKey       the same                                SigningFacts      NotFound (`no_such_key`)
    KeysOf          everybody                               PublishedKeys     -
    SigningKeysOf   who may get the authority               SigningFacts      -
    Fetch           a member that asks no provider itself   Fetched           NotFound (`issuer_unknown`), Unavailable (`issuer_unusable`), and as `HttpClient.ask`

Whether somebody may is looked at before it is asked, but for what only the roles at the moment of writing decide: whether a principal may speak for an account.
A member that knows nothing of the Barn yet, or has not heard of it for a while, answers all of it with Unavailable (`access_unknown`); where nothing can be sealed, because the cluster
has no root key, nothing is signed (Refused, `no_signing_key`).
"""

from __future__ import annotations

import msgspec

from runink.identity.issued import IssuedToken
from runink.identity.principals import Principal
from runink.names import AccountName, HerdName, NodeId, RunId, SliceId
from runink.quantities import Finite
from runink.runtime.actor import Request


class MintedToken(msgspec.Struct, frozen=True):
    """A token, which is shown to nobody again, its id, and when it expires (seconds of the Unix epoch)."""

    token: str
    id: str
    issued_s: int
    expires_s: int

    def __repr__(self) -> str:
        return f"MintedToken({self.id!r})"


class SigningKeyFacts(msgspec.Struct, frozen=True):
    """What is known of a signing key. Times are seconds of the Unix epoch, 0 where they say nothing."""

    kid: str
    state: str
    made_s: int
    signs_from_s: int
    until_s: int


class SigningFacts(msgspec.Struct, frozen=True):
    """The keys that tokens are checked by, the one that signs first. `revision` is the last at which one of them was changed."""

    keys: tuple[SigningKeyFacts, ...]
    revision: int


class PublishedKeys(msgspec.Struct, frozen=True):
    """The key set (JWKS, RFC 7517) of the issuer: public halves alone."""

    issuer: str
    audience: str
    keys: tuple[dict[str, str], ...]


class MintToken(Request[MintedToken], frozen=True):
    """Have a token of a service account, as somebody who may speak for it."""

    principal: Principal
    herd: HerdName
    account: AccountName
    lifetime_s: int
    description: str = ""


class ClientToken(Request[MintedToken], frozen=True):
    """Have a token for a client's secret. `address` is from where it is asked: who tries too often is made to wait."""

    client_id: str
    secret: str
    address: str = ""

    def __repr__(self) -> str:
        return f"ClientToken({self.client_id!r})"


class MintForSlice(Request[MintedToken], frozen=True):
    """Have a token of an attempt of a slice that runs at this node."""

    node: NodeId
    herd: HerdName
    run: RunId
    slice: SliceId
    attempt: int


class RevokedToken(msgspec.Struct, frozen=True):
    """What is kept of a token that was taken back, and the revision of that."""

    token: IssuedToken
    revision: int


class RevokeToken(Request[RevokedToken], frozen=True):
    """Let nobody take a token of an account any more."""

    by: str
    herd: HerdName
    account: AccountName
    id: str


class RevokeAccount(Request[int], frozen=True):
    """Let nobody take what an account has had up to now; what it is given later is good."""

    by: str
    herd: HerdName
    account: AccountName


class SignOut(Request[int], frozen=True):
    """Let nobody take what a person has had up to now of a provider; who signs in again is let in again."""

    by: str
    issuer: str
    subject: str


class GiveBack(Request[None], frozen=True):
    """Let nobody take the token that has proved a principal any more. One without an id takes with it what its subject had before."""

    principal: Principal


class RotateKeys(Request[SigningFacts], frozen=True):
    """Begin a rotation of the signing keys before its time."""

    by: str


class RevokeKey(Request[SigningFacts], frozen=True):
    """Let nobody take what a key has signed. If it is the one that signs, another one does at once."""

    by: str
    kid: str


class KeysOf(Request[PublishedKeys], frozen=True):
    """Ask for the public keys."""


class SigningKeysOf(Request[SigningFacts], frozen=True):
    """Ask which keys there are, and what becomes of them."""


class Fetched(msgspec.Struct, frozen=True):
    """What a provider has answered."""

    status: int
    body: bytes
    content_type: str


class Fetch(Request[Fetched], frozen=True):
    """Ask an issuer's provider for what stands at a URL, within what its settings let be reached, `within_s` seconds at most."""

    issuer: str
    url: str
    within_s: Finite


IdentityRequest = (
    MintToken
    | ClientToken
    | MintForSlice
    | RevokeToken
    | RevokeAccount
    | SignOut
    | GiveBack
    | RotateKeys
    | RevokeKey
    | KeysOf
    | SigningKeysOf
    | Fetch
)
