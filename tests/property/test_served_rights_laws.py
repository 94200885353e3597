"""Rights through the services: whatever people ask for, one after the other, nobody holds in the end what neither they nor who asked held before; and the Barn has it whole."""

from __future__ import annotations

from typing import Any

import anyio
import msgspec
from access_worlds import Policy
from hypothesis import Phase, assume, event, given, settings
from hypothesis import strategies as st
from runink.barn.keys import BINDINGS, OF_CLUSTER, ROLES, herd_key
from runink.clients.access import read_index
from runink.errors import RuninkError
from runink.herds.record import Declared, HerdRecord
from runink.herds.writing import said_of
from runink.identity.access import AccessIndex
from runink.identity.principals import Principal
from runink.identity.roles import Binding, Role
from runink.identity.vocabulary import CLUSTER, EVERYTHING
from runink.names import HerdName
from runink.operations.calls import Condition
from runink.operations.catalog import bindings, herds, roles
from runink.operations.declarations import Operation
from runink.testing.served import Served, served
from test_granting_laws import BOB, CHANGES, NOW_MS, Change, declared, held, more, worlds

ANY = Condition(is_any=True)
Step = tuple[bool, Change]  # whether BOB asks, and for what


async def put(cluster: Served, policy: Policy) -> None:
    """Have the Barn hold what there is, as if it had come there before."""
    cluster.now_ms = cluster.access.now_ms = NOW_MS
    for herd in ("a", "b"):
        record = HerdRecord(
            HerdName(herd),
            roles=tuple(one for one in policy.roles if one.herd == herd),
            bindings=tuple(one for one in policy.bindings if one.herd == herd),
            declared=Declared(1, 1, "operator:root"),
        )
        await cluster.barn.put(herd_key(HerdName(herd)), record)
    for role in policy.roles:
        if role.herd == CLUSTER:
            await cluster.barn.put(ROLES.key(OF_CLUSTER, role.name), role)
    for binding in policy.bindings:
        if binding.herd == EVERYTHING:
            await cluster.barn.put(BINDINGS.key(OF_CLUSTER, binding.name), binding)
    await cluster.access.read(cluster.barn)


async def ask(cluster: Served, who: Principal, change: Change) -> bool:
    """Ask for a change as HTTP does, and say whether it was made."""
    index = await read_index(cluster.barn)
    operation, fields = asked(index, change)
    condition = ANY if operation.is_conditional else None
    try:
        await cluster.ask(operation, who, condition=condition, **fields)
    except RuninkError:
        return False
    return True


def asked(index: AccessIndex, change: Change) -> tuple[Operation, dict[str, Any]]:
    """Return the operation that a change is asked for by, and its fields."""
    kind, what = change
    match kind, what:
        case "bind", Binding():
            said = {
                "binding": what.name,
                "role": what.role_text,
                "subjects": list(what.subjects),
                "expires_ms": what.expires_ms,
            }
            ours, theirs = (bindings.UPDATE, bindings.CLUSTER_UPDATE) if what.key in index.bindings else (bindings.CREATE, bindings.CLUSTER_CREATE)  # fmt: skip
            return _placed(what.herd, ours, theirs, said)
        case "write", Role():
            plain = msgspec.to_builtins(what)
            said = {"role": what.name, "rules": plain["rules"]}
            key = what.herd, what.name
            ours, theirs = (roles.UPDATE, roles.CLUSTER_UPDATE) if key in index.roles else (roles.CREATE, roles.CLUSTER_CREATE)  # fmt: skip
            return _placed(what.herd, ours, theirs, said)
        case "declare", (kept, role, binding):
            file = declared(index, kept, role, binding)
            some = tuple(one for one in file.roles if one.rules)  # as files can say
            record = HerdRecord(HerdName("a"), roles=some, bindings=file.bindings)
            return herds.UPDATE, {"herd": "a", "says": said_of(record)}
        case "unbind", (herd, name):
            return _placed(herd, bindings.DELETE, bindings.CLUSTER_DELETE, {"binding": name})
        case _, (herd, name):
            return _placed(herd, roles.DELETE, roles.CLUSTER_DELETE, {"role": name})
    raise AssertionError(kind)


def _placed(
    herd: str, ours: Operation, theirs: Operation, said: dict[str, Any]
) -> tuple[Operation, dict[str, Any]]:
    if herd in {CLUSTER, EVERYTHING}:
        return theirs, said
    return ours, {"herd": herd, **said}


async def lived(policy: Policy, who: Principal, steps: list[Step]) -> tuple[AccessIndex, int]:
    """Return what there is after all that was asked, and how much of it was done."""
    async with served() as cluster:
        await put(cluster, policy)
        done = 0
        for is_bob, change in steps:
            done += await ask(cluster, BOB if is_bob else who, change)
        index = await read_index(cluster.barn)
        shown = cluster.access.index
        assert (shown.roles, shown.bindings) == (index.roles, index.bindings)
        for binding in index.bindings.values():
            assert index.role_of(binding) is not None or binding in policy.bindings
        return index, done


PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # to shrink takes minutes: each is a cluster


@settings(max_examples=40, deadline=None, phases=PHASES)
@given(worlds(), st.lists(st.tuples(st.booleans(), CHANGES), min_size=1, max_size=8))
def test_nobody_holds_in_the_end_what_neither_they_nor_who_asked_held(
    world: tuple[Principal, Policy], steps: list[Step]
) -> None:
    who, policy = world
    start = AccessIndex.compiled(policy.roles, policy.bindings)
    before, others = held(start, who), held(start, BOB)
    exceptions = {"bind", "escalate"}
    assume(not any(one[0] in exceptions for now in (*before, *others) for one in now if len(one) > 2))  # fmt: skip
    index, done = anyio.run(lived, policy, who, steps)
    event(f"{min(done, 4)} changes were made")
    if not done:
        assert (index.roles, index.bindings) == (start.roles, start.bindings)
    assert not any(more(held(index, who), before, others))
    assert not any(more(held(index, BOB), before, others))
