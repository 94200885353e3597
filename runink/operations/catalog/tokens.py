"""Operations on tokens of programs: made for who may speak for them, or for a secret; listed; taken back."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import msgspec

from runink.identity.accounts import DESCRIPTION_CHARACTERS_MAX
from runink.identity.vocabulary import Resource, Verb
from runink.operations.answers import Kind
from runink.operations.declarations import Asked, AskedPage, Method, Operation
from runink.operations.patterns import AccountText, HerdText, IssuerText, exact

LIFETIME_S_MAX: Final = 3600  # as `identity/signing.py` has it, which loads python-jose
FORM: Final = "application/x-www-form-urlencoded"
FORM_BYTES_MAX: Final = 4_096

TokenIdText = Annotated[
    str,
    msgspec.Meta(pattern=exact("[0-9A-HJKMNP-TV-Z]{26}"), description="A token's id (jti)."),
]
AnyAccountText = Annotated[
    str,
    msgspec.Meta(
        pattern=exact("([a-z][a-z0-9_-]{0,62})?"), description="Of one program only; empty: of all."
    ),
]


class MintToken(Asked, frozen=True, kw_only=True):
    herd: HerdText
    account: AccountText
    lifetime_s: Annotated[
        int, msgspec.Meta(ge=1, le=LIFETIME_S_MAX, description="For how long it is good, seconds.")
    ] = LIFETIME_S_MAX
    description: Annotated[str, msgspec.Meta(max_length=DESCRIPTION_CHARACTERS_MAX)] = ""


class ListTokens(AskedPage, frozen=True, kw_only=True):
    herd: HerdText
    account: AnyAccountText = ""


class OfToken(Asked, frozen=True, kw_only=True):
    herd: HerdText
    account: AccountText
    token: TokenIdText


class OfAccountsTokens(Asked, frozen=True, kw_only=True):
    herd: HerdText
    account: AccountText


class IssueToken(Asked, frozen=True, kw_only=True):
    """The form of RFC 6749, 4.4: `grant_type=client_credentials`, `client_id` and `client_secret`; the last two may be in the header Authorization instead (Basic)."""

    form: bytes


class GiveTokenBack(Asked, frozen=True):
    """Asks for nothing but that."""


class SignOut(Asked, frozen=True, kw_only=True):
    """`subject` is the person as the provider calls it: what stands behind the issuer in `user:ISSUER:SUBJECT`."""

    issuer: IssuerText
    subject: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class TokenState(StrEnum):
    GOOD = "good"
    REVOKED = "revoked"
    EXPIRED = "expired"


class TokenDocument(msgspec.Struct, frozen=True):
    """What is known of a token: never the token itself. `secret` is the id of the secret that has brought it; empty: `made_by` has asked for it. `revoked_ms` is 0 for one that was not taken back by itself, but with all that the program had, or with the key that has signed it."""

    token: str
    herd: str
    account: str
    state: TokenState
    description: str
    made_by: str
    secret: str
    made_ms: int
    until_ms: int
    revoked_by: str
    revoked_ms: int
    revision: int


class MintedDocument(msgspec.Struct, frozen=True):
    """A token that was just made. `access_token` is told here and nowhere else; `token` is its id."""

    token: str
    access_token: str
    account: str
    herd: str
    until_ms: int


class IssuedDocument(msgspec.Struct, frozen=True):
    """What OAuth 2.0 has a token endpoint answer (RFC 6749, 5.1). `expires_in` is seconds."""

    access_token: str
    token_type: str
    expires_in: int


class SignedOut(msgspec.Struct, frozen=True):
    """What was made up to then is not taken any more."""

    until_ms: int


MINT: Final = Operation(
    name="tokens.mint",
    method=Method.POST,
    path="/herds/{herd}/service-accounts/{account}/tokens",
    request=MintToken,
    answer=MintedDocument,
    status=201,
    verb=Verb.CREATE,
    resource=Resource.TOKENS,
    subject="account",
    errors=("no_such_account", "account_disabled", "too_many_tokens", "not_held"),
    example={"lifetime_s": 900, "description": "a look at last night"},
    summary="Make a token of a program; it is told once.",
    description="For who holds all that the program may, for as long as the token is good.",
)
LIST: Final = Operation(
    name="tokens.list",
    method=Method.GET,
    path="/herds/{herd}/tokens",
    request=ListTokens,
    answer=TokenDocument,
    kind=Kind.PAGE,
    verb=Verb.LIST,
    resource=Resource.TOKENS,
    summary="List tokens of a herd's programs, the oldest first. Those that have expired are forgotten after a while.",
)
REVOKE: Final = Operation(
    name="tokens.revoke",
    method=Method.DELETE,
    path="/herds/{herd}/service-accounts/{account}/tokens/{token}",
    request=OfToken,
    answer=TokenDocument,
    verb=Verb.DELETE,
    resource=Resource.TOKENS,
    subject="account",
    errors=("no_such_token",),
    summary="Take a token back: within two seconds no member takes it.",
)
REVOKE_ALL: Final = Operation(
    name="tokens.revoke-all",
    method=Method.DELETE,
    path="/herds/{herd}/service-accounts/{account}/tokens",
    request=OfAccountsTokens,
    answer=SignedOut,
    verb=Verb.DELETE,
    resource=Resource.TOKENS,
    subject="account",
    errors=("no_such_account",),
    summary="Take back all tokens that a program has had up to now.",
)
ISSUE: Final = Operation(
    name="tokens.issue",
    method=Method.POST,
    path="/token",
    request=IssueToken,
    answer=IssuedDocument,
    takes=FORM,
    body_bytes_max=FORM_BYTES_MAX,
    is_public=True,
    is_sign_in=True,
    errors=("invalid_client", "too_many_failures", "too_many_tokens"),
    summary="Give a program a token for its secret (OAuth 2.0, client credentials).",
)
SIGN_OUT: Final = Operation(
    name="issuers.sign-out",
    method=Method.POST,
    path="/issuers/{issuer}/sign-out",
    request=SignOut,
    answer=SignedOut,
    verb=Verb.UPDATE,
    resource=Resource.ISSUERS,
    example={"subject": "248289761001"},
    summary="Take no token of a person any more that was made up to now.",
    description="Who signs in again is let in again: bindings are taken away apart.",
)
GIVE_BACK: Final = Operation(
    name="auth.sign-out",
    method=Method.POST,
    path="/auth/sign-out",
    request=GiveTokenBack,
    kind=Kind.NOTHING,
    status=204,
    is_for_known=True,
    errors=("no_token",),
    summary="Take back the token that you show, so that nobody is let in by it any more.",
    description="Whoever has the token may do that, also who has found it. Of a provider's token that has no `jti` what its person had before goes with it.",
)
TOKENS: Final = (GIVE_BACK, MINT, LIST, REVOKE, REVOKE_ALL, ISSUE, SIGN_OUT)
