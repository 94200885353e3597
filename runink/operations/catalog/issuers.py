"""Operations on issuers: the providers whose people are known to the cluster.

What people say of one is `says`: a table of the providers' file (`identity/provider_files.py`) as JSON. No client's secret is in it: of that only a file is named.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from runink.identity.vocabulary import Resource, Verb
from runink.operations.answers import Kind
from runink.operations.declarations import Asked, AskedPage, Method, Operation
from runink.operations.patterns import IssuerText

Says = Annotated[
    dict[str, Any],
    msgspec.Meta(description="A table of providers as JSON: `id`, `issuer`, `client_id`, …"),
]


class ListProviders(Asked, frozen=True):
    """It has no fields."""


class ListIssuers(AskedPage, frozen=True):
    """Only those are listed that the caller may read."""


class GetIssuer(Asked, frozen=True):
    issuer: IssuerText


class CreateIssuer(Asked, frozen=True):
    says: Says


class UpdateIssuer(Asked, frozen=True):
    issuer: IssuerText
    says: Says


class IssuerDocument(msgspec.Struct, frozen=True):
    """A provider of identities. `issuer` is what the cluster calls it, as subjects do."""

    issuer: str
    says: dict[str, Any]
    revision: int


class LoginProvider(msgspec.Struct, frozen=True):
    """What a program needs to let somebody log in: `issuer` is the provider's URL, `scopes` are asked for."""

    id: str
    issuer: str
    client_id: str
    scopes: tuple[str, ...]


class LoginProviders(msgspec.Struct, frozen=True):
    providers: tuple[LoginProvider, ...]


_EXAMPLE: Final = {
    "says": {"id": "corp", "issuer": "https://login.example.com", "client_id": "runink"}
}
_ERRORS: Final = ("providers_invalid", "operators_only", "not_held", "exists")

PROVIDERS: Final = Operation(
    name="auth.providers",
    method=Method.GET,
    path="/auth/providers",
    request=ListProviders,
    answer=LoginProviders,
    is_public=True,
    summary="List the providers that one can log in with.",
)
LIST: Final = Operation(
    name="issuers.list",
    method=Method.GET,
    path="/issuers",
    request=ListIssuers,
    answer=IssuerDocument,
    kind=Kind.PAGE,
    verb=Verb.LIST,
    resource=Resource.ISSUERS,
    summary="List the issuers of people's tokens.",
)
GET: Final = Operation(
    name="issuers.get",
    method=Method.GET,
    path="/issuers/{issuer}",
    request=GetIssuer,
    answer=IssuerDocument,
    verb=Verb.GET,
    resource=Resource.ISSUERS,
    summary="Read an issuer.",
)
CREATE: Final = Operation(
    name="issuers.create",
    method=Method.POST,
    path="/issuers",
    request=CreateIssuer,
    answer=IssuerDocument,
    status=201,
    verb=Verb.CREATE,
    resource=Resource.ISSUERS,
    errors=_ERRORS,
    is_idempotent=True,
    summary="Have people of a provider be known to the cluster.",
    description="Files of the machine, and addresses in its own network, are said by an operator at its socket only.",
    example=_EXAMPLE,
)
UPDATE: Final = Operation(
    name="issuers.update",
    method=Method.PUT,
    path="/issuers/{issuer}",
    request=UpdateIssuer,
    answer=IssuerDocument,
    verb=Verb.UPDATE,
    resource=Resource.ISSUERS,
    errors=_ERRORS,
    is_conditional=True,
    summary="Write an issuer anew.",
    example=_EXAMPLE,
)
DELETE: Final = Operation(
    name="issuers.delete",
    method=Method.DELETE,
    path="/issuers/{issuer}",
    request=GetIssuer,
    kind=Kind.NOTHING,
    status=204,
    verb=Verb.DELETE,
    resource=Resource.ISSUERS,
    is_conditional=True,
    summary="Have people of a provider be known no more.",
    description="Their tokens are taken no more. What is bound to them stays, and is theirs again if an issuer of this name comes back.",
)
ISSUERS: Final = (PROVIDERS, LIST, GET, CREATE, UPDATE, DELETE)
