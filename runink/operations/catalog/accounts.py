"""Operations on service accounts: the programs of a herd, and the secrets by which they get tokens."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from runink.identity.accounts import (
    DESCRIPTION_CHARACTERS_MAX,
    SECRET_LIFETIME_MS,
    SECRET_LIFETIME_MS_MAX,
)
from runink.identity.vocabulary import Resource, Verb
from runink.operations.answers import Kind
from runink.operations.declarations import Asked, AskedPage, Method, Operation
from runink.operations.patterns import AccountText, HerdText, exact

DescriptionText = Annotated[str, msgspec.Meta(max_length=DESCRIPTION_CHARACTERS_MAX)]
SecretIdText = Annotated[
    str, msgspec.Meta(pattern=exact("[0-9a-f]{8}"), description="Which secret of an account.")
]
LifetimeMs = Annotated[
    int,
    msgspec.Meta(
        ge=60_000,
        le=SECRET_LIFETIME_MS_MAX,
        description="For how long the secret is good, milliseconds.",
    ),
]


class ListAccounts(AskedPage, frozen=True):
    herd: HerdText


class OfAccount(Asked, frozen=True, kw_only=True):
    herd: HerdText
    account: AccountText


class CreateAccount(OfAccount, frozen=True, kw_only=True):
    description: DescriptionText = ""


class UpdateAccount(OfAccount, frozen=True, kw_only=True):
    """One that is `disabled` gets no tokens, and those that it has are not taken."""

    description: DescriptionText = ""
    disabled: bool = False


class CreateSecret(OfAccount, frozen=True, kw_only=True):
    lifetime_ms: LifetimeMs = SECRET_LIFETIME_MS


class OfSecret(OfAccount, frozen=True, kw_only=True):
    secret: SecretIdText


class SecretSummary(msgspec.Struct, frozen=True):
    """A secret as it is known: `last` are its last characters."""

    secret: str
    last: str
    made_by: str
    made_ms: int
    until_ms: int


class AccountDocument(msgspec.Struct, frozen=True):
    """A program. `client_id` is what it names itself by when it asks for a token; `made_by` is the subject who made it."""

    account: str
    herd: str
    client_id: str
    description: str
    disabled: bool
    secrets: tuple[SecretSummary, ...]
    made_by: str
    made_ms: int
    revision: int


class NewSecret(msgspec.Struct, frozen=True):
    """A secret that was just made. `client_secret` is told here and nowhere else."""

    secret: str
    client_id: str
    client_secret: str
    until_ms: int
    revision: int


LIST: Final = Operation(
    name="accounts.list",
    method=Method.GET,
    path="/herds/{herd}/service-accounts",
    request=ListAccounts,
    answer=AccountDocument,
    kind=Kind.PAGE,
    verb=Verb.LIST,
    resource=Resource.SERVICE_ACCOUNTS,
    summary="List the programs of a herd.",
)
GET: Final = Operation(
    name="accounts.get",
    method=Method.GET,
    path="/herds/{herd}/service-accounts/{account}",
    request=OfAccount,
    answer=AccountDocument,
    verb=Verb.GET,
    resource=Resource.SERVICE_ACCOUNTS,
    errors=("no_such_account",),
    summary="Read a program.",
)
CREATE: Final = Operation(
    name="accounts.create",
    method=Method.POST,
    path="/herds/{herd}/service-accounts",
    request=CreateAccount,
    answer=AccountDocument,
    status=201,
    verb=Verb.CREATE,
    resource=Resource.SERVICE_ACCOUNTS,
    errors=("exists", "too_many_accounts", "herd_not_declared", "herd_deleted"),
    is_idempotent=True,
    example={"account": "nightly", "description": "loads what the night has brought"},
    summary="Make a program known.",
)
UPDATE: Final = Operation(
    name="accounts.update",
    method=Method.PUT,
    path="/herds/{herd}/service-accounts/{account}",
    request=UpdateAccount,
    answer=AccountDocument,
    verb=Verb.UPDATE,
    resource=Resource.SERVICE_ACCOUNTS,
    errors=("no_such_account",),
    is_conditional=True,
    example={"description": "", "disabled": True},
    summary="Write what is said of a program anew, disable it or let it in again.",
)
DELETE: Final = Operation(
    name="accounts.delete",
    method=Method.DELETE,
    path="/herds/{herd}/service-accounts/{account}",
    request=OfAccount,
    kind=Kind.NOTHING,
    status=204,
    verb=Verb.DELETE,
    resource=Resource.SERVICE_ACCOUNTS,
    errors=("no_such_account",),
    is_conditional=True,
    summary="Take a program away, and all tokens that it has.",
)
CREATE_SECRET: Final = Operation(
    name="accounts.secrets.create",
    method=Method.POST,
    path="/herds/{herd}/service-accounts/{account}/secrets",
    request=CreateSecret,
    answer=NewSecret,
    status=201,
    verb=Verb.CREATE,
    resource=Resource.TOKENS,
    subject="account",
    errors=("no_such_account", "too_many_secrets", "not_held"),
    summary="Make another secret of a program; it is told once.",
    description="Who has the secret gets tokens of the program, so it is for who holds what the program may. Those that there are stay good.",
)
DELETE_SECRET: Final = Operation(
    name="accounts.secrets.delete",
    method=Method.DELETE,
    path="/herds/{herd}/service-accounts/{account}/secrets/{secret}",
    request=OfSecret,
    kind=Kind.NOTHING,
    status=204,
    verb=Verb.UPDATE,
    resource=Resource.SERVICE_ACCOUNTS,
    subject="account",
    errors=("no_such_account", "no_such_secret"),
    summary="Take a secret back. Tokens that it has brought stay good until they expire.",
)
ACCOUNTS: Final = (LIST, GET, CREATE, UPDATE, DELETE, CREATE_SECRET, DELETE_SECRET)
