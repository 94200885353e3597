"""What must be true of places, whatever happens: by counting, by asking `feasible` on the revision on which something is placed, and by making decisions again.

of what                what is checked
amounts                no node has more on it than it has, no herd more than it may have: by plain sums, after every revision
a gang that is placed  it waited and was due, and each of its nodes takes what it gets: by `feasible`, on what stood there the revision before, and on the gangs before it
a decision             made again of the tables of its revision it is the same, byte by byte
whom it leaves         no node takes him beside what it places, but those that are kept for others
whom nobody places     when nothing goes wrong any more, nobody who would be placed waits for longer than PLACED_MS
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from msgspec.structs import replace as changed
from runink.barn.keys import HEALTH, HERDS, NODES, RESERVATIONS, SLICES, STANDINGS, slice_key
from runink.herds.record import HerdRecord
from runink.names import HerdName, NodeId, RunId
from runink.placement.cluster import NOTHING, HerdView, NodeView
from runink.placement.demands import Part, Unit, UnitKey
from runink.placement.feasible import Reason, feasible, refused_by_quota
from runink.placement.plans import Plan, Running, Snapshot
from runink.placement.solver import decide
from runink.runs.records import (
    NodeRecord,
    RunRecord,
    RunState,
    SliceRecord,
    Task,
)
from runink.scheduling.decisions import DecisionRecord
from runink.scheduling.snapshots import Tables, snapshot_of
from runink.scheduling.units import parts_for
from runink.scheduling.why import decided_again

State = Mapping[str, Any]  # what keys hold, decoded
REVISIONS_MAX = (
    512  # that are remembered: a decision comes in soon behind the revision that it was made on
)
PLACED_MS = (
    90_000  # longer than a member is away or cut off, and than another needs to take its office
)


def tables_of(state: State, revision: int = 0) -> Tables:
    """Return what placement is told of, as it stands."""
    found: dict[str, list[Any]] = {
        keys.prefix(): [] for keys in (NODES, STANDINGS, HERDS, SLICES, RESERVATIONS, HEALTH)
    }
    for key, value in state.items():
        prefix = f"/{key.split('/')[1]}/"
        if prefix in found:
            found[prefix].append(value)
    nodes, standings, herds, slices, reservations, health = map(tuple, found.values())
    return Tables(nodes, standings, herds, slices, reservations, revision, health)


class Past:
    """The last revisions: what each of them was, as far as it is watched."""

    def __init__(self) -> None:
        self._revisions: list[int] = []
        self._states: list[State] = []
        self._is_cut = False

    def add(self, revision: int, state: State) -> None:
        self._revisions.append(revision)
        self._states.append(dict(state))
        if len(self._revisions) > 2 * REVISIONS_MAX:
            del self._revisions[:REVISIONS_MAX], self._states[:REVISIONS_MAX]
            self._is_cut = True

    def at(self, revision: int) -> State:
        """Return what the newest revision was that is not behind this one."""
        place = bisect_right(self._revisions, revision)
        assert place or not self._is_cut, f"revision {revision} is not remembered"
        return self._states[place - 1] if place else {}


# Amounts.


def check_amounts(state: State) -> None:
    """No node has more on it than it has, no herd more than it may have. What ends runs takes nothing."""
    of_nodes: dict[str, Counter[str]] = {}
    of_herds: dict[str, Counter[str]] = {}
    for key, one in state.items():
        if not key.startswith(SLICES.prefix()) or not one.state.is_on_node:
            continue
        if one.task is Task.CHAIN:
            asked = _asked(one)
            of_nodes.setdefault(NODES.key(one.node), Counter()).update(asked)
            of_herds.setdefault(HERDS.key(one.herd), Counter()).update(asked)
    for key, taken in of_nodes.items():
        if key in state:
            _check_within(key, taken, _room(state[key]))
    for key, taken in of_herds.items():
        _check_within(key, taken, _quota(state[key]))
    _check_runs(state)


def _asked(one: SliceRecord) -> dict[str, int]:
    return {
        "cpu_m": one.resources.cpu_m,
        "memory_bytes": one.resources.memory_bytes,
        "disk_bytes": one.limits.disk.amount if one.limits.disk is not None else 0,
        "gpus": one.wants.gpus,
        "slices": 1,
    }


def _room(node: NodeRecord) -> dict[str, int]:
    room = {
        "cpu_m": node.capacity.cpu_m,
        "memory_bytes": node.capacity.memory_bytes,
        "gpus": node.gpus,
    }
    told = {"disk_bytes": node.disk_bytes, "slices": node.slices_max}
    return room | {name: most for name, most in told.items() if most}


def _quota(herd: HerdRecord) -> dict[str, int]:
    names = ("cpu_m", "memory_bytes", "disk_bytes", "gpus", "slices")
    quota = {name: getattr(herd, name) for name in names}
    return {name: most for name, most in quota.items() if most}


def _check_within(key: str, taken: Counter[str], most: Mapping[str, int]) -> None:
    over = {name: taken[name] for name in most if taken[name] > most[name]}
    assert not over, f"{key} has {over} of {most}"


def _check_runs(state: State) -> None:
    """No herd has more runs at a time than it may have: those that are submitted wait for others to end."""
    found: Counter[HerdName] = Counter()
    for one in state.values():
        if isinstance(one, RunRecord) and not one.state.is_over:
            found[one.herd] += one.state is not RunState.SUBMITTED
    for herd, count in found.items():
        most = state[HERDS.key(herd)].runs
        assert count <= most or not most, f"{herd} has {count} of {most} runs"


# What is placed.


def check_placed(before: State, placed: Iterable[SliceRecord]) -> None:
    """Gangs are placed in one revision: each waited and was due, and its nodes take it by the rules, as they were the revision before and with the gangs before it."""
    gangs: dict[tuple[RunId, str, int], list[SliceRecord]] = {}
    for one in placed:
        gangs.setdefault((one.run, one.gang, one.attempt), []).append(one)
    state = dict(before)
    for gang in gangs.values():
        _check_gang(state, gang)
        state |= {slice_key(one.herd, one.run, one.slice): one for one in gang}


def _check_gang(before: State, placed: Sequence[SliceRecord]) -> None:
    first = placed[0]
    snapshot = snapshot_of(tables_of(before), now_ms=first.turn.placed_ms)
    key = (first.run, first.gang)
    unit = next((one for one in snapshot.waiting if one.key == key), None)
    assert unit is not None, f"{key} did not wait, or was not due"
    groups: dict[NodeId, list[SliceRecord]] = {}
    for one in placed:
        assert one.node is not None
        groups.setdefault(one.node, []).append(one)
    nodes = tuple(sorted(groups))
    parts = parts_for([groups[node] for node in nodes])
    for reason in refusals(snapshot, changed(unit, parts=parts), nodes):
        raise AssertionError(f"{key} is placed on {nodes}: {reason.text}")


def refusals(snapshot: Snapshot, unit: Unit, nodes: Sequence[NodeId]) -> list[Reason]:
    """Say why the nodes do not take the unit beside what stands there, each the part that is meant for it; the quota of its herd is asked for all of it."""
    herd = herd_of(snapshot, unit.herd)
    whole = refused_by_quota(herd, unit.needs)
    found = [whole] if whole is not None else []
    views = views_of(snapshot)
    for part, node in zip(unit.parts, nodes, strict=True):
        reason = feasible(views[node], part, herd)
        if reason is not None:
            found.append(reason)
        views[node] = beside(views[node], part)
    return found


def views_of(snapshot: Snapshot) -> dict[NodeId, NodeView]:
    """Return the nodes, with what stands on them."""
    views = {view.node: view for view in snapshot.nodes}
    for one in snapshot.placed:
        for part, node in zip(one.unit.parts, one.nodes, strict=True):
            if node in views:
                views[node] = beside(views[node], part)
    return views


def beside(view: NodeView, part: Part) -> NodeView:
    """Return the node as it is with the part on it."""
    return changed(
        view,
        used=view.used + part.needs,
        groups=view.groups | set(part.groups),
        shunned=view.shunned | set(part.anti),
    )


def herd_of(snapshot: Snapshot, name: HerdName) -> HerdView:
    """Return a herd, with what it has."""
    herd = snapshot.herds.get(name) or HerdView(name)
    used = (one.unit.needs for one in snapshot.placed if one.unit.herd == name)
    return changed(herd, used=sum(used, NOTHING))


# What is decided.


def check_decision(tables: Tables, record: DecisionRecord) -> None:
    """What was decided comes out again, and leaves nobody waiting whom a node takes that is kept for nobody."""
    decided = decided_again(tables, record)
    assert decided.plan.digest == record.digest, f"another plan comes out of {record}"
    for one in idle(decided.snapshot, decided.plan):
        raise AssertionError(f"{one} waits beside a node that takes it: {decided.plan}")


def idle(snapshot: Snapshot, plan: Plan) -> list[UnitKey]:
    """Return the units that a plan leaves waiting, though nodes take them that are kept for nobody, and their herd has room beside what is kept for it: by trying all nodes for all parts."""
    new = tuple(Running(one.unit, one.nodes) for one in plan.placed)
    after = changed(snapshot, placed=snapshot.placed + new)
    held = {node for one in plan.reservations for node in one.nodes}
    free = sorted(view.node for view in snapshot.nodes if view.node not in held)
    waiting = {one.unit.key: one.unit for one in plan.unplaced}
    kept = [waiting[one.unit] for one in plan.reservations if one.unit in waiting]
    found = []
    for unit in waiting.values():
        herd = herd_of(after, unit.herd)
        mates = [one.needs for one in kept if one.herd == unit.herd and one.key != unit.key]
        if any(refused_by_quota(herd, unit.needs + needs) is not None for needs in mates):
            continue
        ways = product(free, repeat=len(unit.parts))
        if any(not refusals(after, unit, nodes) for nodes in ways):
            found.append(unit.key)
    return found


class Waits:
    """Who would be placed, and since when: told now and then while nothing goes wrong."""

    def __init__(self) -> None:
        self._since_ms: dict[tuple[RunId, str, int], int] = {}

    def look(self, state: State, now_ms: int) -> None:
        """Raise AssertionError for who has waited for too long."""
        tables = tables_of(state)
        plan = decide(snapshot_of(tables, now_ms=now_ms))
        placed = {one.unit.key for one in plan.placed}
        found = set(_attempts(tables.slices, placed))
        self._since_ms = {one: self._since_ms.get(one, now_ms) for one in sorted(found)}
        for one, since_ms in self._since_ms.items():
            waited_ms = now_ms - since_ms
            assert waited_ms <= PLACED_MS, f"{one} would be placed, and waits for {waited_ms} ms"


def _attempts(
    slices: Iterable[SliceRecord], units: set[UnitKey]
) -> Iterable[tuple[RunId, str, int]]:
    for one in slices:
        if (one.run, one.gang) in units and not one.state.is_over:
            yield one.run, one.gang, one.attempt
