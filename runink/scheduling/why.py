"""Why something waits, or why it is where it is: worked out of the tables of one revision, by the planner that decides.

What waits is looked at now.  What has a node is looked at on the revision that was decided on then; nothing of it is kept beside, so the answer is what the decision was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Final

from msgspec.structs import asdict
from msgspec.structs import replace as changed

from runink.names import NodeId, RunId
from runink.placement.cluster import Amount, HerdView, NodeState, NodeView
from runink.placement.demands import Part, Unit, UnitKey
from runink.placement.explain import Explanation, PartExplanation, Remedy
from runink.placement.feasible import AMOUNTS, Reason, Rule, feasible
from runink.placement.planner import Planner
from runink.placement.plans import Finish, Moved, Plan, Policy, Snapshot
from runink.scheduling.absent import Awaited, absent, awaited, waiting
from runink.scheduling.answers import (
    AwaitedNodes,
    Candidate,
    Difference,
    GangAnswer,
    MovedFrom,
    MovedUnit,
    PartAnswer,
    PlacedUnit,
    Replayed,
    ShutNode,
    StoppedUnit,
    WaitingUnit,
)
from runink.scheduling.cutting import unpinned
from runink.scheduling.decisions import DecisionRecord
from runink.scheduling.snapshots import POLICY, Tables, gangs_of, snapshot_of
from runink.scheduling.units import Members, parts_for
from runink.wants import NODE

DIFFERENCES_MAX: Final = 20  # a screen
NODES_NAMED_MAX: Final = 3  # in remedies: one of them is enough
_EXACT: Final = "exact"  # of a score: the sum, finer than anybody reads


def unit_name(key: UnitKey) -> str:
    """Return what a unit is called: the run, and its gang."""
    run, gang = key
    return f"{run}/{gang}"


class Decided:
    """A decision on the tables of one revision, made now or again."""

    def __init__(self, tables: Tables, *, now_ms: int, policy: Policy, seed: int = 0) -> None:
        snapshot = snapshot_of(tables, now_ms=now_ms, policy=policy)
        self._planner = Planner(snapshot)
        self.units = {unit.key: unit for unit in snapshot.waiting}
        self.snapshot = snapshot
        plan = self._planner.plan(seed)
        self._gangs = gangs_of(tables.slices)
        self._awaited = _awaited(plan, tables, snapshot, self._gangs)
        self.plan: Plan = waiting(plan, self._awaited)

    def answer(self, run: RunId, gang: str, slices: Iterable[str]) -> GangAnswer | None:
        """Say what is decided of a gang, nothing if it did not wait then."""
        unit = self.units.get((run, gang))
        if unit is None:
            return None
        found = self._planner.explain(unit, self.plan)
        placed = next((one for one in self.plan.placed if one.unit.key == unit.key), None)
        waits, kept = found.waits, found.kept
        return GangAnswer(
            gang=gang,
            slices=tuple(slices),
            stands="placed" if placed is not None else "waiting",
            text=waits.text if waits is not None else "",
            priority=unit.priority,
            nodes=placed.nodes if placed is not None else (),
            counts=_counts(waits.counts) if waits is not None else {},
            is_final=waits is not None and waits.is_final,
            position=waits.position if waits is not None else 0,
            queue=len(self.plan.unplaced),
            ahead=tuple(map(unit_name, waits.ahead)) if waits is not None else (),
            kept=kept.nodes if kept is not None else (),
            kept_ms=kept.at_ms if kept is not None else 0,
            stops=tuple(unit_name(one.unit) for one in found.stops),
            awaits=_awaits(self._awaited.get(unit.key)),
            shut=() if placed is not None else tuple(self._shut(unit)),
            remark=self._remark(unit),
            moved=next((_moved(one) for one in self.plan.moved if one.unit == unit.key), None),
            parts=tuple(self._parts(unit, found)),
            decision=self.plan.base_revision,
            decided_ms=self.snapshot.now_ms,
        )

    def _remark(self, unit: Unit) -> str:
        """Say why a gang that is to stand beside another one does not."""
        members = self._gangs[unit.key]
        there = [one for one in self.snapshot.nodes if one.node == members[0].pin]
        if not members[0].is_beside or not there or any(part.pin for part in unit.parts):
            return ""
        (part,) = parts_for((unpinned(members),))
        herd = self.snapshot.herds.get(unit.herd) or HerdView(unit.herd)
        reason = feasible(there[0], part, herd)
        mates = ", ".join(sorted({gang for one in members for gang in one.wants.beside}))
        return f"it was to stand beside {mates}, and never could: {reason.text if reason else ''}"

    def _shut(self, unit: Unit) -> Iterable[ShutNode]:
        """Yield the nodes that take nothing new, where they alone could hold a part of the unit."""
        named: dict[NodeId, NodeView] = {}
        for part in unit.parts:
            reasons = [reason for _, reason in self._refusals(unit, part)]
            if all(one is not None and (one.is_final or one.rule is Rule.STATE) for one in reasons):
                named |= {view.node: view for view in self._shut_to(unit, part)}
        for _, view in sorted(named.items()):
            yield ShutNode(view.node, view.state.value)

    def _shut_to(self, unit: Unit, part: Part) -> list[NodeView]:
        """Return the nodes that could hold a part, and take nothing new."""
        return [
            view
            for view, reason in self._refusals(unit, part)
            if reason is not None and reason.rule is Rule.STATE
        ]

    def _refusals(self, unit: Unit, part: Part) -> Iterable[tuple[NodeView, Reason | None]]:
        """Yield the nodes that a part may be on, each with why it does not take it if nothing is on it."""
        herd = self.snapshot.herds.get(unit.herd) or HerdView(unit.herd)
        for view in self.snapshot.nodes:
            if part.pin in (None, view.node):
                yield view, feasible(view, part, herd)

    def _parts(self, unit: Unit, found: Explanation) -> Iterable[PartAnswer]:
        for part, one in zip(unit.parts, found.parts, strict=True):
            remedies = tuple(_remedies(unit, part, one, self._shut_to(unit, part)))
            if found.quota is not None and found.quota.is_final:
                quota = f"{_amounts(unit.needs)} in the quota of herd {unit.herd}"
                remedies = (quota, *remedies)
            yield PartAnswer(_counts(one.counts), one.fitting, tuple(_candidates(one)), remedies)

    def outcomes(self) -> dict[UnitKey, str]:
        """Say in a few words what becomes of each unit."""
        found = {one.unit.key: f"placed on {', '.join(one.nodes)}" for one in self.plan.placed}
        return found | {one.unit.key: f"waits: {one.text}" for one in self.plan.unplaced}


def decided_now(tables: Tables, *, now_ms: int) -> Decided:
    """Decide on the tables as they stand."""
    return Decided(tables, now_ms=now_ms, policy=POLICY)


def decided_again(tables: Tables, record: DecisionRecord) -> Decided:
    """Make a decision of the past again, of the tables of its revision. Raises Refused (`solver_missing`) if a solver was asked that is not here."""
    return Decided(tables, now_ms=record.now_ms, policy=record.policy, seed=record.seed)


def decided_in_part(tables: Tables, record: DecisionRecord) -> Decided:
    """Make a decision of the past again without its solver, for who has not got that."""
    finish = changed(record.policy.finish, solver=None)
    policy = changed(record.policy, finish=finish)
    return Decided(tables, now_ms=record.now_ms, policy=policy, seed=record.seed)


def answer_in_part(then: Decided, members: Members, why: str) -> GangAnswer | None:
    """Say where a gang is by its slices, and of the decision what `decided_in_part` knows. `why` it is not known whole."""
    names = [str(one.slice) for one in members]
    answer = then.answer(members[0].run, members[0].gang, names)
    if answer is None:
        return None
    nodes = answer.nodes
    if len(answer.parts) == 1:
        nodes = tuple({one.node for one in members if one.node is not None})
    if len(nodes) != len(answer.parts):
        return None
    remark = f"whether the solver has moved it is not known here: {why}"
    return changed(
        answer,
        stands="placed",
        text="",
        nodes=nodes,
        counts={},
        position=0,
        ahead=(),
        kept=(),
        kept_ms=0,
        stops=(),
        remark=remark,
        moved=None,
    )


def finish_name(finish: Finish) -> str:
    """Say how plans are finished, as it stands in a decision's record."""
    if finish == Finish():
        return "as each had its turn"
    packed = f"packed, {finish.tries:,} tries at most"
    solver = finish.solver
    if solver is None:
        return packed
    return (
        f"{packed}; OR-tools {solver.release}, {solver.rounds} neighbourhoods of {solver.nodes} nodes and {solver.waiting} that wait,"
        f" {solver.work_m / 1000} of deterministic time each"
    )


def differences(before: Decided, after: Decided) -> tuple[Difference, ...]:
    """Return what becomes of units otherwise, the first by name."""
    old, new = before.outcomes(), after.outcomes()
    keys = sorted(old.keys() | new.keys())
    found = [
        Difference(unit_name(key), old.get(key, "does not wait"), new.get(key, "does not wait"))
        for key in keys
        if old.get(key) != new.get(key)
    ]
    return tuple(found[:DIFFERENCES_MAX])


def replayed(tables: Tables, record: DecisionRecord) -> Replayed:
    """Make a decision again, and say all that it decided. Raises Refused (`solver_missing`)."""
    plan = decided_again(tables, record).plan
    return Replayed(
        revision=record.revision,
        decided_ms=record.now_ms,
        seed=record.seed,
        digest=plan.digest,
        stored=record.digest,
        placed=tuple(PlacedUnit(unit_name(one.unit.key), one.nodes) for one in plan.placed),
        waiting=tuple(
            WaitingUnit(unit_name(one.unit.key), one.position, _counts(one.counts), one.text)
            for one in plan.unplaced
        ),
        stopped=tuple(
            StoppedUnit(unit_name(one.unit), unit_name(one.by)) for one in plan.preempted
        ),
        finish=finish_name(record.policy.finish),
        moved=tuple(MovedUnit(unit_name(one.unit), _moved(one)) for one in plan.moved),
    )


def _moved(one: Moved) -> MovedFrom:
    return MovedFrom(one.nodes, one.by.value, one.cost_before, one.cost_after, one.more)


def _awaited(
    plan: Plan, tables: Tables, snapshot: Snapshot, gangs: Mapping[UnitKey, Members]
) -> dict[UnitKey, Awaited]:
    """Return for which nodes that are away units of the plan wait, or did."""
    there = {one.node for one in tables.nodes}
    gone = (absent(one, now_ms=snapshot.now_ms) for one in tables.health if one.node not in there)
    return awaited(
        plan,
        [one for one in gone if one is not None],
        nodes=snapshot.nodes,
        herds=snapshot.herds,
        members=gangs.__getitem__,
        now_ms=snapshot.now_ms,
    )


def _awaits(found: Awaited | None) -> AwaitedNodes | None:
    if found is None or found.is_over:
        return None
    return AwaitedNodes(found.nodes, found.lost_ms, found.back_ms)


def _counts(counts: Iterable[tuple[Rule, int]]) -> dict[str, int]:
    return {rule.value: count for rule, count in counts}


def _candidates(found: PartExplanation) -> Iterable[Candidate]:
    for each in found.candidates:
        costs = {name: cost for name, cost in asdict(each.score).items() if name != _EXACT}
        yield Candidate(
            each.node, sum(costs.values()), {name: cost for name, cost in costs.items() if cost}
        )


def _remedies(
    unit: Unit, part: Part, found: PartExplanation, shut: Sequence[NodeView]
) -> Iterable[str]:
    """Say what would make the part fit: room on the nodes that lack least, or else one of those that are `shut`, or a node as it asks for."""
    if found.fitting and not any(one.node is None for one in found.remedies):
        return
    for one in found.remedies:
        yield _room(unit, one)
    rules = {rule for rule, _ in found.counts}
    if found.remedies:
        return
    closed = (one for one in shut if one.state is not NodeState.SUSPECT)
    for view in islice(closed, NODES_NAMED_MAX):
        yield f"{view.node} taking new work again: runi node uncordon {view.node}"
    asked = {
        Rule.HERD: f"a node that takes slices of herd {unit.herd}",
        Rule.OWN: f"a node of its herd's own: runi agent … --herd {unit.herd}",
        Rule.LABEL: f"a node with {', '.join(map(str, part.labels))}",
        Rule.SIGHT: f"a node that may see {', '.join(part.sees)}",
        Rule.PIN: f"room on {part.pin}, where it belongs",
        Rule.APART: "a node on which nothing stands that it stands apart of",
        Rule.SPREAD: f"a {part.spread.key if part.spread else NODE} that has fewer of its pipeline",
    }
    for rule, text in asked.items():
        if rule in rules:
            yield text
    if rules & {rule for _, rule, _ in AMOUNTS}:
        yield f"a node with {_amounts(part.needs)}"


def _room(unit: Unit, remedy: Remedy) -> str:
    told = _amounts(remedy.lacks)
    if remedy.node is None:
        return f"{told} more in the quota of herd {unit.herd}"
    return f"{told} more free on {remedy.node}"


def _amounts(amount: Amount) -> str:
    numbers = amount.numbers
    return ", ".join(
        f"{rule.value} {told(numbers[at])}" for at, rule, told in AMOUNTS if numbers[at]
    )
