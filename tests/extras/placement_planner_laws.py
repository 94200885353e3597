"""A planner that hears any events, one after the other, plans as one does that is made of the cluster as it has become; and room is conserved."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace
from placement_cases import HERDS, NODES, NOW_MS, Chance, mistakes
from runink.placement.cluster import NOTHING, NodeState
from runink.placement.columns import Columns
from runink.placement.planner import (
    Advanced,
    HerdChanged,
    HerdGone,
    NodeChanged,
    NodeGone,
    Planner,
    PolicyChanged,
    Reserved,
    UnitDropped,
    UnitEnded,
    UnitPlaced,
    UnitWaits,
)
from runink.placement.plans import Running, Snapshot
from runink.placement.room import Room

seeds = st.integers(0, 1 << 32)


class EventsMachine(RuleBasedStateMachine):
    """Two planners, one by columns and one by the plain loop, hear the same."""

    @initialize(seed=seeds)
    def begin(self, seed: int) -> None:
        chance = Chance(seed)
        snapshot = replace(chance.snapshot(5, 5, 4), reservations=())
        self.planners = [Planner(snapshot, rooms=kind) for kind in (Columns, Room)]
        self.count = 0
        self.now_ms = NOW_MS

    def hear(self, event: object) -> None:
        for planner in self.planners:
            planner.step(event)

    def snapshot(self) -> Snapshot:
        return self.planners[0].snapshot()

    @rule(seed=seeds)
    def unit_waits(self, seed: int) -> None:
        self.count += 1
        self.hear(UnitWaits(Chance(seed).unit(f"new{self.count}")))

    @rule(at=st.integers(0, 20))
    def unit_is_dropped(self, at: int) -> None:
        waiting = self.snapshot().waiting
        if waiting:
            self.hear(UnitDropped(waiting[at % len(waiting)].key))

    @rule(most=st.integers(1, 3))
    def a_plan_is_carried_out_in_part(self, most: int) -> None:
        plan = self.planners[0].plan()
        self.hear(Reserved(plan.reservations))
        for one in plan.placed[:most]:
            self.hear(UnitPlaced(Running(one.unit, one.nodes, self.now_ms)))
        stopped = {one.unit for one in plan.preempted}
        for running in self.snapshot().placed:
            if running.unit.key in stopped:
                self.hear(UnitPlaced(replace(running, is_leaving=True)))

    @rule(at=st.integers(0, 20))
    def unit_ends(self, at: int) -> None:
        placed = self.snapshot().placed
        if placed:
            self.hear(UnitEnded(placed[at % len(placed)].unit.key))

    @rule(seed=seeds, name=st.sampled_from(NODES))
    def node_joins_or_is_another(self, seed: int, name: str) -> None:
        self.hear(NodeChanged(Chance(seed).node(name)))

    @rule(at=st.integers(0, 6), state=st.sampled_from(NodeState), failures=st.integers(0, 3))
    def node_is_in_another_state(self, at: int, state: NodeState, failures: int) -> None:
        nodes = self.snapshot().nodes
        if nodes:
            view = nodes[at % len(nodes)]
            self.hear(NodeChanged(replace(view, state=state, failures=failures)))

    @rule(name=st.sampled_from(NODES))
    def node_goes(self, name: str) -> None:
        self.hear(NodeGone(name))

    @rule(seed=seeds, name=st.sampled_from(HERDS[:2]))
    def herd_changes(self, seed: int, name: str) -> None:
        self.hear(HerdChanged(Chance(seed).herds()[name]))

    @rule(name=st.sampled_from(HERDS))
    def herd_goes(self, name: str) -> None:
        self.hear(HerdGone(name))

    @rule(seed=seeds)
    def policy_changes(self, seed: int) -> None:
        self.hear(PolicyChanged(Chance(seed).policy()))

    @rule(wait_ms=st.integers(1, 100))
    def time_passes(self, wait_ms: int) -> None:
        self.now_ms += wait_ms
        self.hear(Advanced(self.now_ms, self.now_ms))

    @invariant()
    def all_plan_alike(self) -> None:
        snapshot = self.snapshot()
        seed = len(snapshot.waiting)
        anew = Planner(snapshot, rooms=Room).plan(seed)
        for planner in self.planners:
            assert planner.plan(seed).packed() == anew.packed()
            assert planner.snapshot() == snapshot
        assert mistakes(snapshot, anew) == []

    @invariant()
    def what_is_free_and_what_is_used_are_what_there_is(self) -> None:
        planner = self.planners[0]
        for view in self.snapshot().nodes:
            stands = [
                part.needs
                for one in self.snapshot().placed
                for part, name in zip(one.unit.parts, one.nodes, strict=True)
                if name == view.node
            ]
            assert planner.free(view.node) + sum(stands, NOTHING) + view.used == view.capacity


TestEvents = EventsMachine.TestCase
TestEvents.settings = settings(max_examples=40, stateful_step_count=25)
