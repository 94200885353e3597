"""Operations called within a process that reaches the cluster already: no HTTP and no wire between, the same services, rights and audit.

Who runs a command at a state folder owns what is in it, as at the state folder's socket: it is the operator who calls.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from runink.clients.access import read_index
from runink.clients.cluster import Cluster
from runink.clock import now_ms
from runink.identity.access import AccessIndex
from runink.identity.principals import Principal
from runink.identity.vocabulary import Resource, Verb
from runink.operations.calls import Caller, Condition, Context, Position
from runink.operations.declarations import Operation
from runink.operations.decoding import converted, path_among
from runink.operations.permission import check_may
from runink.services.all import LoadedServices
from runink.services.auditing import Auditing
from runink.services.behind import Behind

_ID_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class IndexAccess:
    """Decides by roles and bindings as they were when it was made."""

    index: AccessIndex

    def allows(
        self, principal: Principal, verb: Verb, resource: Resource, *, herd: str, name: str
    ) -> bool:
        """Say whether it may be done. `herd` is empty for what belongs to none, `name` for what is a list."""
        at_ms = now_ms()
        if not name:
            return self.index.allows_some(principal, verb, resource, herd, now_ms=at_ms)
        return self.index.allows(principal, verb, resource, herd, name, now_ms=at_ms)

    def hides(
        self, principal: Principal, verb: Verb, resource: Resource, *, herd: str, name: str
    ) -> bool:
        """Say whether rules that speak of names keep this from the principal."""
        return self.index.hides(principal, verb, resource, herd, name, now_ms=now_ms())

    def sees(self, principal: Principal, herd: str) -> bool:
        """Say whether the principal may know that a herd is there."""
        return bool(self.index.herds_visible(principal, (herd,), now_ms=now_ms()))


class Inside:
    """Calls operations of a cluster for one principal. Made by `inside`."""

    def __init__(self, behind: Behind, principal: Principal) -> None:
        self._behind = behind
        self._caller = Caller(principal)
        self._services = Auditing(LoadedServices(behind), behind)

    async def call(
        self,
        operation: Operation,
        fields: Mapping[str, Any],
        *,
        condition: Condition | None = None,
        position: Position | None = None,
    ) -> Any:
        """Return what the operation's kind says: a page is Items. Raises Refused and Unavailable, as its service does, and for fields that it does not have."""
        said = {name: value for name, value in fields.items() if value is not None}
        plain = msgspec.to_builtins(said, builtin_types=(bytes,))
        path = path_among(operation, plain)
        check_may(self._behind.access, operation, self._caller.principal, path)
        asked = converted(operation, path, plain)
        request_id = os.urandom(_ID_BYTES).hex()
        context = Context(request_id=request_id, condition=condition, position=position)
        return await self._services.call(operation, asked, self._caller, context)


async def inside(cluster: Cluster, principal: Principal) -> Inside:
    """Return what calls a cluster's operations for a principal, by the roles and bindings that there are now."""
    access = IndexAccess(await read_index(cluster.barn))
    behind = Behind(cluster=cluster, access=access, now_ms=now_ms, entropy=os.urandom)
    return Inside(behind, principal)
