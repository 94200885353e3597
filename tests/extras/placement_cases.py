"""Clusters by chance, small and crowded, so that every rule has something to refuse; and a checker of plans that shares no code with planners.

What is drawn are sizes and a seed: a cluster of a hundred choices is made in a millisecond, and a failing one is shrunk to few nodes and units.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from random import Random

from hypothesis import strategies as st
from msgspec.structs import replace
from runink.capabilities import SECCOMP
from runink.labels import label_rules
from runink.names import HerdName, NodeId, RunId
from runink.placement.cluster import Amount, HerdView, NodeState, NodeView
from runink.placement.demands import Part, Spread, Unit
from runink.placement.finishing import PACKED
from runink.placement.plans import Finish, Plan, Policy, Running, Snapshot
from runink.placement.solver import decide

HERDS = [HerdName("a"), HerdName("b"), HerdName("c")]
NODES = [NodeId(f"n{number}") for number in range(7)]
GROUPS = ["red", "blue"]
LABELS = ["gpu", "spot", "zone=x", "zone=y", "disk=ssd", "disk=hdd"]
ASKED = ["gpu", "!spot", "zone=x", "disk in (ssd, hdd)", "disk not in (hdd)", "zone!=y"]
NOW_MS = 1_000_000


class Chance:
    """Draws nodes and units. `is_simple`: units ask for amounts only."""

    def __init__(self, seed: int, *, is_simple: bool = False) -> None:
        self.random = Random(seed)
        self.is_simple = is_simple

    def rarely(self) -> bool:
        return self.random.random() < 0.15

    def some(self, values: list, most: int) -> list:
        return self.random.sample(values, self.random.randint(0, most))

    def node(self, name: NodeId) -> NodeView:
        choice = self.random.choice
        capacity = Amount(choice([4, 8, 12]), choice([4, 8, 12]), choice([4, 8]), choice([0, 2]), 6)
        return NodeView(
            name,
            capacity,
            labels=frozenset(self.some(LABELS, 4)),
            state=choice([*[NodeState.READY] * 6, *NodeState]),
            dedicated_to=frozenset(self.some(HERDS, 2)) if self.rarely() else frozenset(),
            visible=frozenset({"key"}) if self.rarely() else None,
            missing={SECCOMP: "not built in"} if self.rarely() else {},
            held={name: self.random.randint(0, 9) for name in self.some(["in", "out"], 2)},
            failures=self.random.randint(0, 2),
        )

    def part(self) -> Part:
        upto = self.random.randint
        needs = Amount(upto(0, 6), upto(0, 6), upto(0, 3), int(self.rarely()), 1)
        if self.is_simple or self.rarely():
            return Part(needs)
        return Part(
            needs,
            label_rules(self.some(ASKED, 1)),
            sees=tuple(self.some(["key", "door"], 1)),
            pin=NODES[0] if self.rarely() else None,
            groups=tuple(self.some(GROUPS, 1)),
            anti=tuple(self.some(GROUPS, 1)) if self.rarely() else (),
            spread=self.spread() if self.random.random() < 0.3 else None,
            inputs=((self.random.choice(["in", "out"]), upto(1, 9)),) if self.rarely() else (),
            avoids=tuple(self.some(NODES[:4], 2)) if self.rarely() else (),
        )

    def spread(self) -> Spread:
        choice = self.random.choice
        return Spread(
            choice(GROUPS), choice(["zone", "node"]), choice([True, False]), choice([1, 2])
        )

    def unit(self, gang: str) -> Unit:
        choice, upto = self.random.choice, self.random.randint
        return Unit(
            RunId(f"{upto(0, 3):026}"),
            gang,
            choice(HERDS),
            tuple(self.part() for _ in range(choice([1, 1, 1, 2, 3]))),
            priority=upto(0, 2),
            run_order=upto(0, 2),
            rank=upto(0, 2),
            waiting_since_ms=choice([1, NOW_MS - 5, NOW_MS]),
            failed_on=frozenset(self.some(NODES[:2], 1)) if self.rarely() else frozenset(),
            estimate_ms=choice([0, 10, 20, 500]),
            can_be_preempted=not self.rarely(),
        )

    def herds(self) -> dict[HerdName, HerdView]:
        views = [
            HerdView(HERDS[0], weight=2),
            HerdView(HERDS[1], Amount(self.random.choice([0, 4, 8, 20])), weight=1),
        ]
        if self.rarely():
            views.append(HerdView(HERDS[2], own_nodes=True))
        return {view.herd: view for view in views}

    def policy(self) -> Policy:
        choice = self.random.choice
        return Policy(
            ageing_ms=choice([0, 10, 100_000]),
            backfill=choice([True, True, False]),
            preemption=choice([True, False]),
            reserve_after_ms=choice([0, 100]),
            finish=choice([Finish(), PACKED, Finish(2)]),
        )

    def snapshot(self, nodes: int, running: int, waiting: int) -> Snapshot:
        """Return a cluster where something runs already, as a plan has placed it, and something waits."""
        views = tuple(self.node(name) for name in NODES[:nodes])
        old = tuple(self.unit(f"old{number}") for number in range(running))
        before = Snapshot(views, self.herds(), old, now_ms=NOW_MS)
        began_ms = self.random.choice([1, NOW_MS - 15])
        placed = tuple(Running(one.unit, one.nodes, began_ms) for one in decide(before).placed)
        # What has begun stays where it is, whatever becomes of the node.
        now = tuple(
            replace(view, state=NodeState.CORDONED) if self.rarely() else view for view in views
        )
        new = tuple(self.unit(f"g{number}") for number in range(waiting))
        return Snapshot(now, before.herds, new, placed, now_ms=NOW_MS, policy=self.policy())


def snapshots(*, is_simple: bool = False) -> st.SearchStrategy[Snapshot]:
    def made(seed: int, nodes: int, running: int, waiting: int) -> Snapshot:
        return Chance(seed, is_simple=is_simple).snapshot(nodes, running, waiting)

    sizes = st.integers(0, 9)
    return st.builds(made, st.integers(0, 1 << 32), st.integers(0, 7), sizes, sizes)


FIELDS = ("cpu_m", "memory_bytes", "disk_bytes", "gpus", "slices")


def mistakes(snapshot: Snapshot, plan: Plan) -> list[str]:
    """Say what is wrong with the plan, by counting anew from the snapshot alone."""
    found: list[str] = []
    views = {view.node: view for view in snapshot.nodes}
    on_node: dict[str, list[tuple[Part, bool]]] = defaultdict(list)
    of_herd: Counter[tuple[str, str]] = Counter()
    everybody = [(one.unit, one.nodes, False) for one in snapshot.placed]
    everybody += [(one.unit, one.nodes, True) for one in plan.placed]
    for unit, nodes, is_new in everybody:
        if len(nodes) != len(unit.parts):
            found.append(f"{unit.gang} has {len(nodes)} nodes")
        for part, name in zip(unit.parts, nodes, strict=False):
            on_node[name].append((part, is_new))
            for field in FIELDS:
                of_herd[unit.herd, field] += getattr(part.needs, field)
            if is_new and name not in views:
                found.append(f"{unit.gang} is on {name}, which is not there")
    told = [one.unit.key for one in (*plan.placed, *plan.unplaced)]
    if sorted(told) != sorted(unit.key for unit in snapshot.waiting):
        found.append("a unit is forgotten or there twice")
    for name, view in views.items():
        found += _of_node(view, on_node[name])
    for placed in plan.placed:
        for part, name in zip(placed.unit.parts, placed.nodes, strict=True):
            found += _of_part(placed.unit, part, views[name], snapshot.herds)
    asks = {
        (one.unit.herd, field)
        for one in plan.placed
        for field in FIELDS
        if getattr(one.unit.needs, field)
    }
    for name, herd in snapshot.herds.items():
        for field in FIELDS:
            most = getattr(herd.quota, field)
            if (name, field) in asks and most and of_herd[name, field] > most:
                found.append(f"{name} has {of_herd[name, field]} of {most} {field}")
    return found


def _of_node(view: NodeView, there: list[tuple[Part, bool]]) -> list[str]:
    found = []
    for field in FIELDS:
        # A node that has become smaller keeps what it has, and takes nothing that asks for what is short.
        if any(is_new and getattr(part.needs, field) for part, is_new in there):
            taken = sum(getattr(part.needs, field) for part, _ in there)
            if taken > getattr(view.capacity, field):
                found.append(f"{view.node} has {taken} {field}")
    for number, (part, is_new) in enumerate(there):
        for other, (beside, is_other_new) in enumerate(there):
            if number != other and (is_new or is_other_new) and set(part.anti) & set(beside.groups):
                found.append(f"{view.node} has {beside.groups} beside {part.anti}")
    return found


def _of_part(unit: Unit, part: Part, view: NodeView, herds: dict[HerdName, HerdView]) -> list[str]:
    keys = {
        label.split("=")[0]: label.split("=")[-1] for label in sorted(view.labels, reverse=True)
    }
    wrong = []
    for rule in part.labels:
        have = {label.split("=")[1] for label in view.labels if label.startswith(rule.key + "=")}
        is_there = bool(have & set(rule.values)) if rule.values else rule.key in keys
        if is_there == rule.is_negated:
            wrong.append(str(rule))
    if part.pin and view.node != part.pin:
        wrong.append("pin")
    if view.dedicated_to and unit.herd not in view.dedicated_to:
        wrong.append("herd")
    herd = herds.get(unit.herd)
    if herd and herd.own_nodes and unit.herd not in view.dedicated_to and any(part.needs.numbers):
        wrong.append("own")
    if view.node in part.avoids:
        wrong.append("failed")
    if view.visible is not None and set(part.sees) - view.visible:
        wrong.append("sight")
    if SECCOMP in view.missing:
        wrong.append("seccomp")
    is_left = view.state is NodeState.SUSPECT or not part.pin
    if view.state is not NodeState.READY and is_left:
        wrong.append("state")
    return [f"{unit.gang} on {view.node}: {', '.join(wrong)}"] if wrong else []
