"""Two members with one log, of which one starts anew from snapshots all the time: same answers, same past, same bytes."""

from __future__ import annotations

from random import Random

import pytest
from runink.barn import image
from runink.barn.checks import check_proposal
from runink.barn.commands import (
    Applied,
    ClearAlarm,
    Command,
    Compact,
    Compare,
    Delete,
    DeleteRange,
    ExpireLease,
    GrantLease,
    Is,
    KeepAlive,
    Of,
    Proposal,
    Put,
    Range,
    RevokeLease,
    SetLimits,
    Txn,
    Want,
)
from runink.barn.keyvalue import KeyValue, Span
from runink.barn.store import Store
from runink.barn.watching import Bounds, Interest
from runink.errors import Invalid

ENTRIES = 250
ALL = Span("", "")


def a_command(chance: Random, leases: list[int], revision: int) -> Command:
    key = f"/{chance.randrange(6)}/{chance.randrange(12)}"
    other = f"/{chance.randrange(6)}/{chance.randrange(12)}"
    inner = Txn(
        (Compare("/", Of.LEASE, Is.EQUAL, 0, "/3"),),
        (DeleteRange("/4", "/5"),),
        (Put("/9", b""),),
    )
    lease = chance.choice(leases)
    return chance.choice(
        [
            Put(key, chance.randbytes(chance.choice([0, 5, 400])), lease),
            Put(key, b"x"),
            Delete(key),
            DeleteRange(key, other),
            Txn(
                (Compare(key, Of.MOD_REVISION, Is.LESS, revision - 3),),
                (Put(key + "q", b"1"), inner),
                (Range("/", ""), Delete(other)),
            ),
            GrantLease(1000),
            KeepAlive(lease),
            ExpireLease(lease, chance.randrange(3)),
            RevokeLease(lease),
            Compact(max(revision - chance.randrange(40), 0)),
            SetLimits(1 << 20, chance.randrange(3, 60), chance.randrange(1000, 40000)),
            ClearAlarm(),
        ]
    )


def bytes_of(store: Store) -> bytes:
    return b"".join(image.encode(store.image()))


def keys_of(store: Store, revision: int = 0) -> dict[str, KeyValue]:
    page = store.select(Range("", "", revision=revision))
    return {item.key: item for item in page.items}


def check_past(store: Store, revision: int, states: dict[int, dict[str, KeyValue]]) -> None:
    """Compare a kept revision, and what was told behind it, with what was seen then."""
    if revision:
        assert keys_of(store, revision) == states[revision]
        count = store.select(Range("", "", revision=revision, want=Want.COUNT)).count
        assert count == len(states[revision])
    watched = store.changes_after(revision, Interest(("/3",), want_before=True), Bounds(5))
    for change in watched.changes:
        assert change.before == states[change.revision - 1].get(change.key)
        assert change.now == states[change.revision].get(change.key)


@pytest.mark.parametrize("seed", range(12))
def test_a_member_that_starts_anew_all_the_time_is_like_one_that_never_does(seed: int):
    chance = Random(seed)
    stays, returns = Store(), Store()
    leases = [0]
    states: dict[int, dict[str, KeyValue]] = {0: {}}
    for index in range(1, ENTRIES + 1):
        command = a_command(chance, leases, stays.revision)
        proposal = Proposal(f"c{chance.randrange(5)}", chance.randrange(1, 80), command)
        try:
            check_proposal(proposal)
        except Invalid:
            proposal = Proposal("", 0, KeepAlive(1))
        answer = stays.apply(proposal, term=1, index=index)
        assert returns.apply(proposal, term=1, index=index) == answer
        if isinstance(answer, Applied) and isinstance(proposal.command, GrantLease):
            leases.append(answer.lease)
        states[stays.revision] = keys_of(stays)
        if chance.random() < 0.1:
            returns = Store.restore(image.decode(bytes_of(returns)))
        if chance.random() < 0.15:
            revision = chance.randrange(stays.compacted, stays.revision + 1)
            for store in (stays, returns):
                check_past(store, revision, states)
    assert bytes_of(stays) == bytes_of(returns)
    assert (stays.digest, stays.size_bytes) == (returns.digest, returns.size_bytes)
