"""Plans that are stale: whatever has changed of what a unit was decided on, nothing of that is done; where nothing has, all of it is."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "scheduling"))

from runink.actors.placement_sight import PREFIXES, PlacementSight
from runink.actors.placing import TURN_KEY, Placing, together
from runink.actors.tables import Loaded
from runink.barn.commands import Applied, Command, Delete, Proposal, Put, Txn
from runink.barn.keys import (
    SLICES,
    health_key,
    herd_key,
    node_key,
    reservation_key,
    slice_key,
    standing_key,
)
from runink.barn.keyvalue import KeyValue, key_prefix
from runink.barn.store import Store
from runink.clients.barn import Transaction, encode_value
from runink.herds.record import HerdRecord
from runink.names import NodeId
from runink.placement.demands import UnitKey
from runink.runs.health import NodeHealth
from runink.runs.records import (
    NodeStanding,
    SliceState,
    Standing,
    Turn,
)
from runink.scheduling.keeping import kept
from slice_tables import HERD, node, one_slice

NOW_MS = 1_000_000
NODES = ("n1", "n2", "n3")


class Barn:
    """What the Barn holds, and the plan that the scheduler makes of it."""

    def __init__(self) -> None:
        self.store = Store()

    def do(self, command: Command) -> Applied:
        index = self.store.applied_index + 1
        answer = self.store.apply(Proposal("", 0, command), term=1, index=index)
        assert isinstance(answer, Applied)
        return answer

    def put(self, key: str, value: Any) -> None:
        self.do(Put(key, encode_value(value)))

    def commit(self, transaction: Transaction) -> bool:
        return self.do(Txn(transaction.compares, transaction.operations)).succeeded

    def items(self) -> tuple[KeyValue, ...]:
        return self.store.range(key_prefix("/")).items

    def transactions(self) -> dict[UnitKey, tuple[Transaction, set[str]]]:
        """Return what a plan changes, by unit, and the keys of all that this was decided on."""
        sight = PlacementSight()
        pages = (self.store.range(key_prefix(prefix)).items for prefix in PREFIXES)
        items = tuple(item for page in pages for item in page)
        sight.load(Loaded(items, self.store.revision))
        sight.view.look(now_ms=NOW_MS, revision=sight.seen)
        plan = sight.view.plan()
        keeping = kept(plan, sight.view)
        turn = self.store.get(TURN_KEY)
        assert turn is not None
        placing = Placing(sight, keeping, now_ms=NOW_MS, turn=turn.mod_revision)
        found: dict[UnitKey, tuple[Transaction, set[str]]] = {}
        for placed in plan.placed:
            key = placed.unit.key
            keys = {*_of(sight, key), *_where(placed.nodes)}
            found[key] = placing.placed(placed, decision=plan.base_revision), keys
        for unplaced in plan.unplaced:
            key = unplaced.unit.key
            told = placing.waits(unplaced, is_told=True)
            keys = _of(sight, key)
            record, before = keeping.get(key), sight.view.reservations.get(key)
            if record is not None and record == before:
                keys -= {reservation_key(*key)}  # it stays, and only why the unit waits is said
            elif record is not None:
                victims = (_of(sight, victim.key) for victim in record.victims)
                keys |= {reservation_key(*key), *_where(record.nodes)}.union(*victims)
            if told is not None:
                found[key] = told, keys
        return found


def _of(sight: PlacementSight, unit: UnitKey) -> set[str]:
    """Return the keys of a unit: its slices, what is kept for it, and that nobody else decides."""
    reserved = {reservation_key(*unit)} if unit in sight.view.reservations else set()
    return {TURN_KEY, *reserved, *(one.key for one in sight.members(unit))}


def _where(nodes: tuple[NodeId, ...]) -> set[str]:
    keys = {key(one) for one in nodes for key in (node_key, standing_key, health_key)}
    return {herd_key(HERD), *keys}


def made(seed: int) -> Barn:
    """Return a small cluster, the same for the same seed: nodes that are nearly full of what may be stopped, and gangs that wait. In some of them a plan was carried out before, and what it stops has ended."""
    random = Random(seed)
    barn = Barn()
    barn.put(TURN_KEY, 0)
    barn.put(herd_key(HERD), HerdRecord(HERD, cpu_m=random.choice([0, 6000, 12_000])))
    for name in NODES[: random.randint(1, 3)]:
        streams = random.choice(["", "10.0.0.1:7500"])
        barn.put(node_key(NodeId(name)), node(name, cpu_m=4000, streams=streams))
        if random.random() < 0.2:
            said = NodeStanding(NodeId(name), Standing.CORDONED, 1)
            barn.put(standing_key(said.node), said)
        if random.random() < 0.3:
            barn.put(health_key(NodeId(name)), NodeHealth(NodeId(name), troubles=1000))
        for at in range(random.randint(0, 3)):
            size = random.choice([500, 1000, 2000])
            turn = Turn(priority=random.randint(0, 1), placed_ms=1, estimate_ms=0)
            _put(barn, f"old{at}", run=name, cpu_m=size, turn=turn, on=name)
    for run in range(random.randint(1, 3)):
        turn = Turn(priority=random.choice([0, 5]), submitted_ms=run, since_ms=1)
        size = random.choice([500, 1000, 3000])
        for at in range(random.choice([1, 1, 2])):
            _put(barn, f"new{at}", run=f"r{run}", gang="g", cpu_m=size, turn=turn)
    if random.random() < 0.5:
        for transaction, _ in barn.transactions().values():
            assert barn.commit(transaction)
        for item in barn.items():
            if item.key.startswith(SLICES.prefix(HERD, "n1")):
                barn.do(Delete(item.key))
    return barn


def _put(barn: Barn, name: str, *, on: str = "", **fields: Any) -> None:
    if on:
        fields |= {"node": NodeId(on), "state": SliceState.RUNNING}
    one = one_slice(name, **fields)
    barn.put(slice_key(one.herd, one.run, one.slice), one)


def is_changed(barn: Barn, key: str, *, by_deleting: bool) -> None:
    """Let somebody else change a key before the plan is committed: even to what it was."""
    item = barn.store.get(key)
    if item is not None and by_deleting:
        barn.do(Delete(key))
    else:
        barn.do(Put(key, item.value if item is not None else b"{}"))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1 << 32), by_deleting=st.booleans())
def test_a_plan_changes_nothing_where_anything_has_changed_that_it_was_decided_on(
    seed: int, *, by_deleting: bool
) -> None:
    for unit, (transaction, keys) in made(seed).transactions().items():
        for key in sorted(keys):
            barn = made(seed)
            is_changed(barn, key, by_deleting=by_deleting)
            before, digest = barn.items(), barn.store.digest
            assert not barn.commit(transaction), f"{unit} does not depend on {key}"
            assert (barn.items(), barn.store.digest) == (before, digest)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32))
def test_a_plan_is_carried_out_whole_where_nothing_else_has_changed(seed: int) -> None:
    barn = made(seed)
    for transaction, _ in barn.transactions().values():
        assert barn.commit(transaction)
    for transaction, _ in made(seed).transactions().values():
        assert not barn.commit(transaction), "a plan is carried out once"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32))
def test_units_that_share_a_transaction_get_what_each_would_get_by_itself(seed: int) -> None:
    parts = [transaction for transaction, _ in made(seed).transactions().values()]
    alone, shared = made(seed), made(seed)
    assert all(alone.commit(one) for one in parts)
    assert all(shared.commit(one) for one in together(parts))
    first, second = ({one.key: one.value for one in barn.items()} for barn in (alone, shared))
    assert first == second
    assert len(list(together(parts))) == min(len(parts), 1)


def test_among_these_clusters_are_all_kinds_of_plans() -> None:
    """What is changed above are places, victims, what is kept, and what is kept no more."""
    keys: set[str] = set()
    sizes: set[int] = set()
    for seed in range(40):
        for transaction, found in made(seed).transactions().values():
            keys.update(key.split("/")[1] for key in found)
            sizes.add(len(transaction.operations))
    assert keys == {"turns", "herds", "nodes", "standings", "health", "slices", "reservations"}
    assert len(sizes) > 3
