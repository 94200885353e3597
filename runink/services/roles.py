"""Operations on roles, carried out. Those of a herd stand in its record, those of the cluster each under a key of its own."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from runink.barn.keys import OF_CLUSTER, ROLES
from runink.clients.access import taking
from runink.clients.barn import Transaction
from runink.clients.herds import get_herd
from runink.herds.record import HerdRecord
from runink.identity.granting import check_may_delete_role, check_may_write_role
from runink.identity.reading import read_roles
from runink.identity.roles import BUILT_IN, ROLES_MAX, Role
from runink.identity.vocabulary import CLUSTER, Resource
from runink.names import HerdName
from runink.operations.answers import Items
from runink.operations.calls import Caller, Context
from runink.operations.catalog import roles
from runink.operations.catalog.roles import (
    CreateClusterRole,
    CreateRole,
    GetClusterRole,
    GetRole,
    ListClusterRoles,
    ListRoles,
    RoleDocument,
    RuleDocument,
    UpdateClusterRole,
    UpdateRole,
)
from runink.services.behind import Behind, shown_in
from runink.services.entries import Entries
from runink.services.pages import page_of_values
from runink.services.rights import Asking, change_herd, commit_decided, declared_of, refuse
from runink.services.service import Handlers

_BUILT_IN_REVISION: Final = 0
_ROLES: Final = Entries("role", Role, ROLES, "roles", ROLES_MAX, "one role has several rules")


class RoleService:
    """Shows roles, and writes them for who holds what is in them."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def handlers(self) -> Handlers:
        return {
            roles.LIST: self._list,
            roles.GET: self._get,
            roles.CREATE: self._create,
            roles.UPDATE: self._update,
            roles.DELETE: self._delete,
            roles.CLUSTER_LIST: self._list_of_cluster,
            roles.CLUSTER_GET: self._get_of_cluster,
            roles.CLUSTER_CREATE: self._create_of_cluster,
            roles.CLUSTER_UPDATE: self._update_of_cluster,
            roles.CLUSTER_DELETE: self._delete_of_cluster,
        }

    async def _list(
        self, request: ListRoles, caller: Caller, context: Context
    ) -> Items[RoleDocument]:
        found = await get_herd(self._behind.barn, HerdName(request.herd))
        documents = [_document(one, found.revision) for one in found.value.roles]
        return self._shown(documents, request, caller, context, revision=found.revision)

    async def _get(self, request: GetRole, _caller: Caller, _context: Context) -> RoleDocument:
        found = await get_herd(self._behind.barn, HerdName(request.herd))
        return _document(_ROLES.get(found.value, request.role), found.revision)

    async def _create(self, request: CreateRole, caller: Caller, context: Context) -> RoleDocument:
        role = _read(request.role, request, request.herd)

        def change(known: HerdRecord, asking: Asking) -> HerdRecord:
            said = declared_of(known)
            _ROLES.check_new(role, _ROLES.find(said, role.name), context)
            check_may_write_role(asking.rights, asking.principal, role, now_ms=asking.now_ms)
            return _ROLES.added(said, role)

        found = await change_herd(self._behind, caller, request.herd, None, change)
        return _document(role, found.revision)

    async def _update(self, request: UpdateRole, caller: Caller, context: Context) -> RoleDocument:
        role = _read(request.role, request, request.herd)

        def change(known: HerdRecord, asking: Asking) -> HerdRecord:
            said = declared_of(known)
            after = _ROLES.replaced(said, role)
            check_may_write_role(asking.rights, asking.principal, role, now_ms=asking.now_ms)
            return after

        found = await change_herd(self._behind, caller, request.herd, context.condition, change)
        return _document(role, found.revision)

    async def _delete(self, request: GetRole, caller: Caller, context: Context) -> None:
        def change(known: HerdRecord, asking: Asking) -> HerdRecord:
            said = declared_of(known)
            key = request.herd, request.role
            check_may_delete_role(asking.rights, asking.principal, key, now_ms=asking.now_ms)
            return _ROLES.without(said, request.role)

        await change_herd(self._behind, caller, request.herd, context.condition, change)

    async def _list_of_cluster(
        self, request: ListClusterRoles, caller: Caller, context: Context
    ) -> Items[RoleDocument]:
        listing = await self._behind.barn.range(ROLES.prefix(OF_CLUSTER), Role)
        documents = [_document(one.value, one.revision) for one in listing.items]
        documents += [_document(one, _BUILT_IN_REVISION) for one in BUILT_IN.values()]
        return self._shown(documents, request, caller, context, revision=listing.revision)

    async def _get_of_cluster(
        self, request: GetClusterRole, _caller: Caller, _context: Context
    ) -> RoleDocument:
        if request.role in BUILT_IN:
            return _document(BUILT_IN[request.role], _BUILT_IN_REVISION)
        found = await _ROLES.stored(self._behind.barn, request.role)
        return _document(found.value, found.revision)

    async def _create_of_cluster(
        self, request: CreateClusterRole, caller: Caller, context: Context
    ) -> RoleDocument:
        role = _read(request.role, request, CLUSTER)
        key = ROLES.key(OF_CLUSTER, role.name)

        async def decide(asking: Asking) -> Transaction:
            found = await self._behind.barn.get(key, Role)
            _ROLES.check_new(role, found.value if found else None, context)
            _ROLES.check_room(sum(key[0] == CLUSTER for key in asking.rights.roles), "the cluster")
            check_may_write_role(asking.rights, asking.principal, role, now_ms=asking.now_ms)
            return Transaction().put(key, role)

        return _document(role, await commit_decided(self._behind, caller, decide))

    async def _update_of_cluster(
        self, request: UpdateClusterRole, caller: Caller, context: Context
    ) -> RoleDocument:
        role = _read(request.role, request, CLUSTER)

        async def decide(asking: Asking) -> Transaction:
            found = await _ROLES.stored(self._behind.barn, role.name, context.condition)
            check_may_write_role(asking.rights, asking.principal, role, now_ms=asking.now_ms)
            return Transaction().put(found.key, role)

        return _document(role, await commit_decided(self._behind, caller, decide))

    async def _delete_of_cluster(
        self, request: GetClusterRole, caller: Caller, context: Context
    ) -> None:
        async def decide(asking: Asking) -> Transaction:
            key = CLUSTER, request.role
            if request.role not in BUILT_IN:
                await _ROLES.stored(self._behind.barn, request.role, context.condition)
            check_may_delete_role(asking.rights, asking.principal, key, now_ms=asking.now_ms)
            return taking(Transaction(), ROLES.key(OF_CLUSTER, request.role))

        await commit_decided(self._behind, caller, decide)

    def _shown(
        self,
        documents: list[RoleDocument],
        request: ListRoles | ListClusterRoles,
        caller: Caller,
        context: Context,
        *,
        revision: int,
    ) -> Items[RoleDocument]:
        """Return the next part of those that the caller may read, by their names."""
        herd = request.herd if isinstance(request, ListRoles) else CLUSTER
        shows = shown_in(self._behind, caller, Resource.ROLES, herd)
        shown = {one.role: one for one in documents if shows(one.role)}
        return page_of_values(
            sorted(shown.items()),
            limit=request.limit,
            position=context.position,
            revision=revision,
        )


def _read(
    name: str,
    said: CreateRole | UpdateRole | CreateClusterRole | UpdateClusterRole,
    herd: str,
) -> Role:
    """Return the role that is said. Raises Invalid with a finding for each mistake."""
    rules: list[dict[str, Any]] = [msgspec.to_builtins(one) for one in said.rules]
    table = {"name": name, "description": said.description, "rules": [_table(one) for one in rules]}
    found, mistakes = read_roles([table], herd=herd)
    refuse("the role", mistakes)
    return found[0]


def _table(rule: dict[str, Any]) -> dict[str, Any]:
    """Return a rule as a file has it: lists, and no key for what is not said."""
    return {
        key: list(one) if isinstance(one, list | tuple) else one for key, one in rule.items() if one
    }


def _document(role: Role, revision: int) -> RoleDocument:
    rules = tuple(
        RuleDocument(one.verbs, one.resources, one.names, one.effect, one.fields)
        for one in role.rules
    )
    is_built_in = BUILT_IN.get(role.name) is role
    return RoleDocument(role.name, role.herd, role.description, rules, is_built_in, revision)
