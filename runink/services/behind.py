"""What services are given: the cluster, who may what, the time, chance."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from runink.clients.access import read_index
from runink.clients.barn import BarnClient
from runink.clients.cluster import Cluster
from runink.identity.access import AccessIndex
from runink.identity.principals import Principal
from runink.identity.vocabulary import Resource, Verb
from runink.operations.calls import Authorize, Caller
from runink.services.compiling import Compile, Confined


class Access(Authorize, Protocol):
    """Decides, and shows by what. The index is a value: who changes roles decides on one, and compares its revision when it writes."""

    @property
    def index(self) -> AccessIndex: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """What is behind the services. `now_ms` is the wall clock (Unix epoch), `entropy` returns so many random bytes.

    `access` answers at once, by what it has heard of; `index_of` reads roles and bindings anew, for who is to decide about giving them. `compile` makes what is
    asked of a project that came from outside.
    """

    cluster: Cluster
    access: Access
    now_ms: Callable[[], int]
    entropy: Callable[[int], bytes]
    index_of: Callable[[BarnClient], Awaitable[AccessIndex]] = read_index
    compile: Compile = field(default_factory=Confined)

    @property
    def barn(self) -> BarnClient:
        return self.cluster.barn

    async def rights(self) -> AccessIndex:
        """Return roles and bindings as they are now: who gives rights decides on these, and writes by `clients.access.if_rights`."""
        return await self.index_of(self.barn)


def principal_of(caller: Caller) -> Principal:
    """Return who asks, of an operation that is not for everybody."""
    assert caller.principal is not None, "somebody was let in unknown"
    return caller.principal


def shown_in(
    behind: Behind, caller: Caller, resource: Resource, herd: str
) -> Callable[[str], bool]:
    """Return what says whether a list shows a thing of this name: a rule may speak of some names only."""
    principal, allows = principal_of(caller), behind.access.allows
    return lambda name: allows(principal, Verb.GET, resource, herd=herd, name=name)
