"""Operations on issuers, carried out.

A provider's settings may name files of the machine, and let the cluster ask addresses in its own network. Who may change issuers from afar owns neither: what has such
settings, before or after, is changed by an operator only, who reaches the machine itself. Otherwise the secret of one provider could be sent to another, or any private file.

Who says where the people of an issuer come from may come as any of them.  So he must hold all that they have.
"""

from __future__ import annotations

from typing import Any, Final

from runink.barn.keys import ISSUERS
from runink.clients.access import if_rights
from runink.clients.barn import Found, Transaction
from runink.errors import Conflict, Finding, Forbidden, Invalid, NotFound
from runink.identity.granting import check_may_vouch
from runink.identity.principals import PrincipalKind
from runink.identity.provider_files import PROVIDERS_MAX, provider_table, read_provider
from runink.identity.providers import Provider
from runink.identity.vocabulary import CLUSTER, Resource
from runink.operations.answers import Items
from runink.operations.calls import Caller, Condition, Context
from runink.operations.catalog import issuers
from runink.operations.catalog.issuers import (
    CreateIssuer,
    GetIssuer,
    IssuerDocument,
    ListIssuers,
    ListProviders,
    LoginProvider,
    LoginProviders,
    UpdateIssuer,
)
from runink.services.behind import Behind, check_may_make, principal_of, shown_in
from runink.services.pages import page_of_keys
from runink.services.service import Handlers

TURNS_MAX: Final = 20  # each is one in which somebody else changed an issuer


class IssuerService:
    """Shows providers of identities, and changes them for who may."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def handlers(self) -> Handlers:
        return {
            issuers.PROVIDERS: self._providers,
            issuers.LIST: self._list,
            issuers.GET: self._get,
            issuers.CREATE: self._create,
            issuers.UPDATE: self._update,
            issuers.DELETE: self._delete,
        }

    async def _providers(
        self, _request: ListProviders, _caller: Caller, _context: Context
    ) -> LoginProviders:
        listing = await self._behind.barn.range(ISSUERS.prefix(), Provider)
        found = (one.value for one in listing.items)
        return LoginProviders(
            tuple(LoginProvider(one.id, one.issuer, one.client_id, one.scopes) for one in found)
        )

    async def _list(
        self, request: ListIssuers, caller: Caller, context: Context
    ) -> Items[IssuerDocument]:
        shows = shown_in(self._behind, caller, Resource.ISSUERS, CLUSTER)

        def show(found: Found[Provider]) -> IssuerDocument | None:
            return _document(found.value, found.revision) if shows(found.value.id) else None

        return await page_of_keys(
            self._behind.barn,
            ISSUERS.prefix(),
            Provider,
            limit=request.limit,
            position=context.position,
            show=show,
        )

    async def _get(self, request: GetIssuer, _caller: Caller, _context: Context) -> IssuerDocument:
        found = await self._stored(request.issuer, None)
        return _document(found.value, found.revision)

    async def _create(
        self, request: CreateIssuer, caller: Caller, context: Context
    ) -> IssuerDocument:
        said = read_provider(request.says, where="says")
        check_may_make(self._behind, caller, Resource.ISSUERS, CLUSTER, said.id)
        _check_may(caller, said)
        key = ISSUERS.key(said.id)
        for _ in range(TURNS_MAX):
            known = await self._behind.barn.get(key, Provider)
            if known is not None:
                if context.once and known.value == said:
                    return _document(said, known.revision)
                text = f"there is an issuer {said.id} already"
                raise Conflict(text, code="exists", hint="update it")
            change = await self._vouched(Transaction().if_absent(key), said.id, caller)
            revision = await self._put(said, change)
            if revision:
                return _document(said, revision)
        raise _busy()

    async def _update(
        self, request: UpdateIssuer, caller: Caller, context: Context
    ) -> IssuerDocument:
        said = read_provider({"id": request.issuer, **request.says}, where="says")
        if said.id != request.issuer:
            text = f"says.id is {said.id}, and the path says {request.issuer}"
            raise Invalid(
                text, code="providers_invalid", findings=(Finding("invalid_field", text),)
            )
        for _ in range(TURNS_MAX):
            found = await self._stored(request.issuer, context.condition)
            _check_may(caller, said, found.value)
            change = Transaction().if_revision(found.key, found.revision)
            revision = await self._put(said, await self._vouched(change, said.id, caller))
            if revision:
                return _document(said, revision)
        raise _busy()

    async def _delete(self, request: GetIssuer, _caller: Caller, context: Context) -> None:
        for _ in range(TURNS_MAX):
            found = await self._stored(request.issuer, context.condition)
            change = Transaction().if_revision(found.key, found.revision).delete(found.key)
            if (await self._behind.barn.commit(change)).succeeded:
                return
        raise _busy()

    async def _vouched(self, change: Transaction, issuer: str, caller: Caller) -> Transaction:
        """Return the change, to be made while rights are as they are now. Raises Forbidden (`not_held`) unless the caller holds what people of the issuer have."""
        rights, now_ms = await self._behind.rights(), self._behind.now_ms()
        check_may_vouch(rights, principal_of(caller), issuer, now_ms=now_ms)
        return if_rights(change, rights)

    async def _put(self, said: Provider, change: Transaction) -> int:
        """Write an issuer if no other has its URL, and return the revision; 0 if others have changed meanwhile. Raises Conflict (`exists`), Invalid."""
        listing = await self._behind.barn.range(ISSUERS.prefix(), Provider)
        others = [one.value for one in listing.items if one.value.id != said.id]
        if any(one.issuer == said.issuer for one in others):
            text = f"another issuer has the URL {said.issuer}"
            hint = "tokens are told apart by it: one provider is one issuer"
            raise Conflict(text, code="exists", hint=hint)
        if len(others) >= PROVIDERS_MAX:
            raise Invalid(f"there are {PROVIDERS_MAX} issuers, and may be no more")
        change = change.if_unchanged(ISSUERS.prefix(), listing.revision)
        committed = await self._behind.barn.commit(change.put(ISSUERS.key(said.id), said))
        return committed.revision if committed.succeeded else 0

    async def _stored(self, name: str, condition: Condition | None) -> Found[Provider]:
        """Return an issuer. Raises NotFound, and Conflict if it is not as the condition says."""
        found = await self._behind.barn.get(ISSUERS.key(name), Provider)
        if found is None:
            raise NotFound(f"there is no issuer {name}", code="no_such_issuer")
        if condition is not None:
            condition.check(found.revision, what=f"issuer {name}")
        return found


def _check_may(caller: Caller, *providers: Provider) -> None:
    """Raise Forbidden (`operators_only`) if one of these reaches into the machine, and somebody else than its operator asks."""
    if principal_of(caller).kind is PrincipalKind.OPERATOR:
        return
    for one in providers:
        if one.client_secret_file or one.authority_file or one.reach.private or one.reach.loopback:
            raise Forbidden(
                f"issuer {one.id} names files or private addresses, which an operator says only",
                code="operators_only",
                hint="do it by the socket in the state folder of a machine of the control plane",
            )


def _busy() -> Conflict:
    return Conflict("others change issuers at this moment", hint="ask again in a moment")


def _document(provider: Provider, revision: int) -> IssuerDocument:
    says: dict[str, Any] = provider_table(provider)
    return IssuerDocument(provider.id, says, revision)
