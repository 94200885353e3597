"""What services are given: the cluster, who may what, the time, chance."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from runink.clients.access import read_index
from runink.clients.barn import BarnClient
from runink.clients.cluster import Cluster
from runink.errors import Forbidden
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


def check_may_make(
    behind: Behind, caller: Caller, resource: Resource, herd: str, name: str
) -> None:
    """Raise Forbidden unless the caller may make a thing of this name, which the body says: that it may make some was looked at before it was read."""
    principal = principal_of(caller)
    if not behind.access.allows(principal, Verb.CREATE, resource, herd=herd, name=name):
        raise Forbidden(
            f"you may not create {resource} of this name",
            hint="a role that allows it must be bound to you",
        )


Shows = Callable[[str], bool]


def shown_in(
    behind: Behind, caller: Caller, resource: Resource, herd: str, verb: Verb = Verb.LIST
) -> Shows:
    """Return what says whether a list (or what is watched) shows a thing of this name: what the caller may read, unless a rule hides it from `verb`. A rule may speak of some names only."""
    principal, access = principal_of(caller), behind.access

    def shows(name: str) -> bool:
        return access.allows(
            principal, Verb.GET, resource, herd=herd, name=name
        ) and not access.hides(principal, verb, resource, herd=herd, name=name)

    return shows


def not_hidden(behind: Behind, caller: Caller, resource: Resource, herd: str) -> Shows:
    """Return what says whether no rule hides a thing of this name from the caller, where something else that the caller may read tells of it."""
    principal, hides = principal_of(caller), behind.access.hides
    return lambda name: not hides(principal, Verb.GET, resource, herd=herd, name=name)


def shows_herd(behind: Behind, caller: Caller, herd: str) -> bool:
    """Say whether a herd is among those that the caller is told of: it may do something there, and no rule hides the herd by its name."""
    sees = behind.access.sees(principal_of(caller), herd)
    return sees and not_hidden(behind, caller, Resource.HERDS, herd)(herd)


def not_hidden_slice(behind: Behind, caller: Caller, herd: str) -> Callable[[str, str], bool]:
    """Return what says the same of a run and a slice of it, which roles name RUN/SLICE."""
    shows_run = not_hidden(behind, caller, Resource.RUNS, herd)
    shows = not_hidden(behind, caller, Resource.SLICES, herd)
    return lambda run, name: shows_run(run) and shows(f"{run}/{name}")
