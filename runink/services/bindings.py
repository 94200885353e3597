"""Operations on bindings, carried out. Those of a herd stand in its record, those of the cluster each under a key of its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from msgspec.structs import replace as changed

from runink.barn.keys import BINDINGS, OF_CLUSTER
from runink.clients.access import taking
from runink.clients.barn import Transaction
from runink.clients.herds import get_herd
from runink.herds.record import HerdRecord
from runink.identity.granting import check_may_bind, check_may_unbind
from runink.identity.reading import read_bindings
from runink.identity.roles import BINDINGS_MAX, NEVER, Binding
from runink.identity.vocabulary import CLUSTER, EVERYTHING, Resource
from runink.names import HerdName
from runink.operations.answers import Items
from runink.operations.calls import Caller, Context
from runink.operations.catalog import bindings
from runink.operations.catalog.bindings import (
    BindingDocument,
    CreateBinding,
    CreateClusterBinding,
    GetBinding,
    GetClusterBinding,
    ListBindings,
    ListClusterBindings,
    TakeBack,
    UpdateBinding,
    UpdateClusterBinding,
)
from runink.services.behind import Behind, not_hidden, shown_in
from runink.services.entries import Entries
from runink.services.pages import page_of_values
from runink.services.rights import Asking, change_herd, commit_decided, declared_of, refuse
from runink.services.service import Handlers

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BINDINGS: Final = Entries("binding", Binding, BINDINGS, "bindings", BINDINGS_MAX, "bind a group for many people")  # fmt: skip


class BindingService:
    """Shows bindings, and makes them for who holds what they give."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def handlers(self) -> Handlers:
        return {
            bindings.LIST: self._list,
            bindings.GET: self._get,
            bindings.CREATE: self._create,
            bindings.UPDATE: self._update,
            bindings.DELETE: self._delete,
            bindings.CLUSTER_LIST: self._list_of_cluster,
            bindings.CLUSTER_GET: self._get_of_cluster,
            bindings.CLUSTER_CREATE: self._create_of_cluster,
            bindings.CLUSTER_UPDATE: self._update_of_cluster,
            bindings.CLUSTER_DELETE: self._delete_of_cluster,
            bindings.TAKE_BACK: self._take_back,
        }

    async def _list(
        self, request: ListBindings, caller: Caller, context: Context
    ) -> Items[BindingDocument]:
        found = await get_herd(self._behind.barn, HerdName(request.herd))
        documents = [self._document(one, found.revision) for one in found.value.bindings]
        return self._shown(documents, request, caller, context, revision=found.revision)

    async def _get(
        self, request: GetBinding, _caller: Caller, _context: Context
    ) -> BindingDocument:
        found = await get_herd(self._behind.barn, HerdName(request.herd))
        return self._document(_BINDINGS.get(found.value, request.binding), found.revision)

    async def _create(
        self, request: CreateBinding, caller: Caller, context: Context
    ) -> BindingDocument:
        def change(known: HerdRecord, asking: Asking) -> HerdRecord:
            said = declared_of(known)
            roles = self._roles_for(request, said, caller)
            binding = _read(request.binding, request, request.herd, roles)
            _check_new(binding, _BINDINGS.find(known, binding.name), context)
            check_may_bind(asking.rights, asking.principal, binding, now_ms=asking.now_ms)
            return _BINDINGS.added(said, binding)

        found = await change_herd(self._behind, caller, request.herd, None, change)
        return self._document(_BINDINGS.get(found.value, request.binding), found.revision)

    async def _update(
        self, request: UpdateBinding, caller: Caller, context: Context
    ) -> BindingDocument:
        def change(known: HerdRecord, asking: Asking) -> HerdRecord:
            said = declared_of(known)
            _BINDINGS.get(said, request.binding)
            roles = self._roles_for(request, said, caller)
            binding = _read(request.binding, request, request.herd, roles)
            check_may_bind(asking.rights, asking.principal, binding, now_ms=asking.now_ms)
            return _BINDINGS.replaced(said, binding)

        found = await change_herd(self._behind, caller, request.herd, context.condition, change)
        return self._document(_BINDINGS.get(found.value, request.binding), found.revision)

    def _roles_for(
        self, request: CreateBinding | UpdateBinding, herd: HerdRecord, caller: Caller
    ) -> list[str]:
        """Return the names of a herd's roles, without those that a rule hides from the caller, unless it says them."""
        shows = not_hidden(self._behind, caller, Resource.ROLES, request.herd)
        return [one.name for one in herd.roles if one.name == request.role or shows(one.name)]

    async def _delete(self, request: GetBinding, caller: Caller, context: Context) -> None:
        await self._unbind(request.herd, request.binding, caller, context)

    async def _take_back(self, request: TakeBack, caller: Caller, context: Context) -> None:
        await self._unbind(request.in_herd, request.binding, caller, context)

    async def _unbind(self, herd: str, name: str, caller: Caller, context: Context) -> None:
        def change(known: HerdRecord, asking: Asking) -> HerdRecord:
            said = declared_of(known)
            check_may_unbind(asking.rights, asking.principal, (herd, name), now_ms=asking.now_ms)
            return _BINDINGS.without(said, name)

        await change_herd(self._behind, caller, herd, context.condition, change)

    async def _list_of_cluster(
        self, request: ListClusterBindings, caller: Caller, context: Context
    ) -> Items[BindingDocument]:
        listing = await self._behind.barn.range(BINDINGS.prefix(OF_CLUSTER), Binding)
        documents = [self._document(one.value, one.revision) for one in listing.items]
        return self._shown(documents, request, caller, context, revision=listing.revision)

    async def _get_of_cluster(
        self, request: GetClusterBinding, _caller: Caller, _context: Context
    ) -> BindingDocument:
        found = await _BINDINGS.stored(self._behind.barn, request.binding)
        return self._document(found.value, found.revision)

    async def _create_of_cluster(
        self, request: CreateClusterBinding, caller: Caller, context: Context
    ) -> BindingDocument:
        said = _read(request.binding, request, EVERYTHING, [])
        key = BINDINGS.key(OF_CLUSTER, said.name)
        kept: list[Binding] = []

        async def decide(asking: Asking) -> Transaction:
            found = await self._behind.barn.get(key, Binding)
            _check_new(said, found.value if found else None, context)
            count = sum(key[0] == EVERYTHING for key in asking.rights.bindings)
            _BINDINGS.check_room(count, "the cluster")
            check_may_bind(asking.rights, asking.principal, said, now_ms=asking.now_ms)
            kept[:] = [_signed(said, asking)]
            return Transaction().put(key, kept[0])

        revision = await commit_decided(self._behind, caller, decide)
        return self._document(kept[0], revision)

    async def _update_of_cluster(
        self, request: UpdateClusterBinding, caller: Caller, context: Context
    ) -> BindingDocument:
        said = _read(request.binding, request, EVERYTHING, [])
        kept: list[Binding] = []

        async def decide(asking: Asking) -> Transaction:
            found = await _BINDINGS.stored(self._behind.barn, said.name, context.condition)
            check_may_bind(asking.rights, asking.principal, said, now_ms=asking.now_ms)
            kept[:] = [_signed(said, asking)]
            return Transaction().put(found.key, kept[0])

        revision = await commit_decided(self._behind, caller, decide)
        return self._document(kept[0], revision)

    async def _delete_of_cluster(
        self, request: GetClusterBinding, caller: Caller, context: Context
    ) -> None:
        async def decide(asking: Asking) -> Transaction:
            found = await _BINDINGS.stored(self._behind.barn, request.binding, context.condition)
            key = EVERYTHING, request.binding
            check_may_unbind(asking.rights, asking.principal, key, now_ms=asking.now_ms)
            return taking(Transaction(), found.key)

        await commit_decided(self._behind, caller, decide)

    def _shown(
        self,
        documents: list[BindingDocument],
        request: ListBindings | ListClusterBindings,
        caller: Caller,
        context: Context,
        *,
        revision: int,
    ) -> Items[BindingDocument]:
        """Return the next part of those that the caller may read, by their names."""
        herd = request.herd if isinstance(request, ListBindings) else CLUSTER
        shows = shown_in(self._behind, caller, Resource.BINDINGS, herd)
        shown = {one.binding: one for one in documents if shows(one.binding)}
        return page_of_values(
            sorted(shown.items()),
            limit=request.limit,
            position=context.position,
            revision=revision,
        )

    def _document(self, binding: Binding, revision: int) -> BindingDocument:
        ends = binding.expires_ms != NEVER
        return BindingDocument(
            binding=binding.name,
            herd=binding.herd,
            description=binding.description,
            role=binding.role_text,
            subjects=binding.subjects,
            expires_ms=binding.expires_ms,
            has_ended=ends and binding.expires_ms <= self._behind.now_ms(),
            made_by=binding.made_by,
            made_ms=binding.made_ms,
            revision=revision,
        )


def _read(
    name: str,
    said: CreateBinding | UpdateBinding | CreateClusterBinding | UpdateClusterBinding,
    herd: str,
    roles: list[str],
) -> Binding:
    """Return the binding that is said. Raises Invalid with a finding for each mistake."""
    table: dict[str, Any] = {
        "name": name,
        "description": said.description,
        "role": said.role,
        "subjects": list(said.subjects),
    }
    if said.expires_ms != NEVER:
        table["expires"] = _EPOCH + timedelta(milliseconds=said.expires_ms)
    found, mistakes = read_bindings([table], herd=herd, roles=roles)
    refuse("the binding", mistakes)
    return found[0]


def _signed(binding: Binding, asking: Asking) -> Binding:
    return changed(binding, made_by=asking.by.who, made_ms=asking.now_ms)


def _check_new(binding: Binding, known: Binding | None, context: Context) -> None:
    """Raise Conflict (`exists`) if the binding is there, unless the same call may have made it. Who has made it, and when, is not said in it."""
    if known is not None:
        as_said = changed(known, made_by="", made_ms=0)
        _BINDINGS.check_new(binding, as_said, context, made_ms=known.made_ms or None)
