"""Laws of placement, for any cluster and any demand: what a plan never does, and what it always says."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from placement_cases import Chance, mistakes, snapshots
from runink.placement.cluster import NOTHING, Amount, HerdView, NodeState, NodeView, dominant
from runink.placement.columns import Columns
from runink.placement.demands import Part, Unit
from runink.placement.feasible import Rule, feasible, refused_by_nature
from runink.placement.ledger import Ledger
from runink.placement.planner import Planner
from runink.placement.plans import Order, Plan, Running, Snapshot
from runink.placement.rank import cost
from runink.placement.reasons import refusal
from runink.placement.room import Room
from runink.placement.solver import decide
from runink.placement.standing import expected_end_ms

ANY_TIME = settings(max_examples=150)
seeds = st.integers(0, 9)


@ANY_TIME
@given(snapshots())
def test_a_plan_breaks_no_rule_and_forgets_no_unit(snapshot: Snapshot) -> None:
    assert mistakes(snapshot, decide(snapshot)) == []


@ANY_TIME
@given(snapshots(), seeds)
def test_columns_plan_as_the_plain_loop_does_byte_by_byte(snapshot: Snapshot, seed: int) -> None:
    by_loop = Planner(snapshot, rooms=Room).plan(seed)
    by_columns = Planner(snapshot, rooms=Columns).plan(seed)
    assert by_loop == by_columns
    assert by_loop.packed() == by_columns.packed()


@ANY_TIME
@given(snapshots(), seeds)
def test_a_unit_that_waits_alone_is_decided_on_as_the_whole_queue_would(
    snapshot: Snapshot, seed: int
) -> None:
    kept = decide(snapshot).reservations
    for unit in snapshot.waiting:
        for rooms in (Room, Columns):
            for reservations in ((), kept):
                alone = replace(snapshot, waiting=(unit,), reservations=reservations)
                planner = Planner(alone, rooms=rooms)
                # One unit stands in the same place by each order, and by all but the fair one it is served as a queue is.
                queued = planner.plan(seed, Order.SMALL_FIRST)
                assert planner.plan(seed) == queued


@ANY_TIME
@given(snapshots(), st.randoms(use_true_random=False))
def test_the_order_in_which_a_snapshot_tells_things_does_not_matter(snapshot, random) -> None:
    def shuffled(values):
        return tuple(random.sample(values, len(values)))

    other = replace(
        snapshot,
        nodes=shuffled(snapshot.nodes),
        waiting=shuffled(snapshot.waiting),
        placed=shuffled(snapshot.placed),
        herds=dict(shuffled(tuple(snapshot.herds.items()))),
    )
    assert decide(other).digest == decide(snapshot).digest


def after(snapshot: Snapshot, plan: Plan) -> tuple[dict[str, NodeView], dict[str, HerdView], list]:
    """Return nodes and herds as they are when the plan is carried out, and what stands then."""
    standing = [(one.unit, one.nodes) for one in (*snapshot.placed, *plan.placed)]
    nodes, herds = {}, {}
    for view in snapshot.nodes:
        parts = [
            p
            for unit, names in standing
            for p, n in zip(unit.parts, names, strict=True)
            if n == view.node
        ]
        nodes[view.node] = replace(
            view,
            used=sum((part.needs for part in parts), view.used),
            groups=frozenset(group for part in parts for group in part.groups),
            shunned=frozenset(group for part in parts for group in part.anti),
        )
    names = {unit.herd for unit, _ in standing} | set(snapshot.herds)
    names |= {unit.herd for unit in snapshot.waiting}
    for name in names:
        herd = snapshot.herds.get(name, HerdView(name))
        used = sum((unit.needs for unit, _ in standing if unit.herd == name), NOTHING)
        herds[name] = replace(herd, used=used)
    return nodes, herds, standing


def crowding(
    part: Part, herd: HerdView, nodes: dict[str, NodeView], standing: list
) -> dict[str, int]:
    """Return by how many each node's domain has more of the part's group than the emptiest that it may use."""
    spread = part.spread
    if spread is None:
        return {}
    domains = {name: view.domain(spread.key) for name, view in nodes.items()}
    counts = dict.fromkeys(domains.values(), 0)
    for unit, names in standing:
        for other, name in zip(unit.parts, names, strict=True):
            if name in domains and spread.group in other.groups:
                counts[domains[name]] += 1
    usable = {
        domains[name]
        for name, view in nodes.items()
        if view.state is NodeState.READY and refused_by_nature(view, part, herd) is None
    }
    if part.pin is not None:  # it may use one
        usable = {domains[part.pin]} if part.pin in domains else set()
    least = min((counts[domain] for domain in usable - {""}), default=0)
    return {name: counts[domain] - least if domain else 0 for name, domain in domains.items()}


@ANY_TIME
@given(snapshots())
def test_reasons_add_up_to_the_nodes_and_are_those_of_feasible(snapshot: Snapshot) -> None:
    plan = decide(snapshot)
    nodes, herds, standing = after(snapshot, plan)
    for number, told in enumerate(plan.unplaced, 1):
        counts = dict(told.counts)
        assert sum(counts.values()) == len(nodes)
        assert told.position == number
        assert told.ahead == tuple(one.unit.key for one in plan.unplaced[: min(number - 1, 3)])
        assert told.text
        if len(told.unit.parts) > 1:
            continue
        (part,) = told.unit.parts
        crowded = crowding(part, herds[told.unit.herd], nodes, standing)
        rules: dict[Rule, int] = {}
        finals = set()
        for name, view in nodes.items():
            reason = feasible(view, part, herds[told.unit.herd], crowding=crowded.get(name, 0))
            rule = reason.rule if reason else Rule.RESERVED
            if reason and reason.is_final:
                finals.add(name)
            rules[rule] = rules.get(rule, 0) + 1
        assert counts == rules
        asked = set(nodes) if part.pin is None else {part.pin}
        is_refused = bool(nodes) and asked <= finals
        assert told.is_final == (is_refused or is_over_quota(told.unit, herds))
        # Work is conserved: what has room is kept for somebody that is named.
        assert Rule.RESERVED not in rules or plan.reservations


def is_over_quota(unit: Unit, herds: dict[str, HerdView]) -> bool:
    quota, needs = herds[unit.herd].quota.numbers, unit.needs.numbers
    return any(most and number > most for most, number in zip(quota, needs, strict=True))


@ANY_TIME
@given(snapshots())
def test_the_room_says_of_every_node_what_feasible_says_and_what_it_costs(
    snapshot: Snapshot,
) -> None:
    nodes, herds, standing = after(snapshot, Plan())
    weights = snapshot.policy.weights
    near: dict[tuple[type[Room], str], list[int]] = {}
    for kind in (Room, Columns):
        room = kind(snapshot.nodes, weights)
        ledger = Ledger(snapshot.herds.values())
        for one in snapshot.placed:
            for part, name in zip(one.unit.parts, one.nodes, strict=True):
                room.take(room.index[name], part)
        for unit in snapshot.waiting:
            part, herd = unit.parts[0], replace(ledger.herd(unit.herd), quota=NOTHING)
            shape = room.shape(part, herd)
            crowded = crowding(part, herds[unit.herd], nodes, standing)
            fits = {}
            for at, view in enumerate(room.views):
                more = crowded.get(view.node, 0)
                reason = feasible(nodes[view.node], part, herd, crowding=more)
                own = room.rule(at, part, shape, room.crowds(part, shape))
                assert own == (reason and (reason.rule, reason.is_final))
                assert refusal(room, at, part, herd, shape) == reason
                if reason is None:
                    count = in_domain(part, view, nodes, standing)
                    fits[at] = cost(nodes[view.node], unit, part, weights, count=count).exact
            best = min(fits, key=lambda at: (fits[at], at), default=-1)
            assert room.best(unit, part, shape) == best
            assert room.tally(part, shape).counts.get(Rule.RESERVED, 0) == len(fits)
            near[kind, unit.gang] = room.nearest(part, shape, 2)
            if part.pin is None:
                ordered = sorted((amount, at) for at, amount in fits.items())
                assert room.fitting(unit, part, shape, 3) == ordered[:3]
    assert all(near[Room, unit.gang] == near[Columns, unit.gang] for unit in snapshot.waiting)


def in_domain(part: Part, view: NodeView, nodes: dict[str, NodeView], standing: list) -> int:
    if part.spread is None or not view.domain(part.spread.key):
        return 0
    key, group = part.spread.key, part.spread.group
    return sum(
        group in other.groups and name in nodes and nodes[name].domain(key) == view.domain(key)
        for unit, names in standing
        for other, name in zip(unit.parts, names, strict=True)
    )


def ends_of(snapshot: Snapshot, plan: Plan) -> Iterator[tuple[Unit, tuple, float]]:
    """Yield what stands, its nodes, and when it is expected to end."""
    for one in snapshot.placed:
        estimate = one.unit.estimate_ms
        end = (
            expected_end_ms(one.started_ms, estimate, snapshot.now_ms) if estimate else float("inf")
        )
        yield one.unit, one.nodes, end
    for one in plan.placed:
        estimate = one.unit.estimate_ms
        yield one.unit, one.nodes, snapshot.now_ms + estimate if estimate else float("inf")


@ANY_TIME
@given(snapshots())
def test_what_is_placed_behind_a_reservation_does_not_delay_it(snapshot: Snapshot) -> None:
    plan = decide(snapshot)
    waiting = {unit.key: unit for unit in snapshot.waiting}
    for kept in plan.reservations:
        if not kept.at_ms:
            continue
        unit = waiting[kept.unit]
        for view in snapshot.nodes:
            needs = [p.needs for p, n in zip(unit.parts, kept.nodes, strict=True) if n == view.node]
            if not needs:
                continue
            taken = sum(needs, NOTHING)
            for other, names, end in ends_of(snapshot, plan):
                if other.key in kept.victims or end <= kept.at_ms:
                    continue
                taken += sum(
                    (p.needs for p, n in zip(other.parts, names, strict=True) if n == view.node),
                    NOTHING,
                )
            assert taken.fits(view.capacity)


@ANY_TIME
@given(snapshots())
def test_victims_are_of_lower_priority_and_none_could_be_spared(snapshot: Snapshot) -> None:
    plan = decide(snapshot)
    running = {one.unit.key: one for one in snapshot.placed}
    waiting = {unit.key: unit for unit in snapshot.waiting}
    told = [one.unit for one in plan.preempted]
    assert len(set(told)) == len(told)
    for kept in plan.reservations:
        victims = [running[key] for key in kept.victims]
        assert {one.unit for one in plan.preempted if one.by == kept.unit} == set(kept.victims)
        by = waiting[kept.unit]
        assert all(one.unit.priority < by.priority and one.unit.can_be_preempted for one in victims)
        for spared in victims:
            gone = set(kept.victims) - {spared.unit.key}
            assert not fits_beside(snapshot, plan, by, kept.nodes, gone)
        if victims:
            assert fits_beside(snapshot, Plan(), by, kept.nodes, set(kept.victims), is_whole=True)


def fits_beside(
    snapshot: Snapshot, plan: Plan, unit: Unit, nodes: tuple, gone: set, *, is_whole: bool = False
) -> bool:
    """Say whether the unit fits on these nodes when some have gone: amounts, and who stands apart from whom."""
    standing = [(one.unit, one.nodes) for one in snapshot.placed if one.unit.key not in gone]
    standing += [(one.unit, one.nodes) for one in plan.placed]
    for view in snapshot.nodes:
        old = [
            p
            for u, names in standing
            for p, n in zip(u.parts, names, strict=True)
            if n == view.node
        ]
        new = [p for p, n in zip(unit.parts, nodes, strict=True) if n == view.node]
        total = sum((part.needs for part in (*old, *new)), view.used)
        if new and not total.fits(view.capacity):
            return False
        for part in new:
            for other in old:
                if set(part.anti) & set(other.groups) or set(other.anti) & set(part.groups):
                    return False
                # Whom a spread part would have to count is not spared.
                if not is_whole and part.spread and part.spread.group in other.groups:
                    return False
    return True


@ANY_TIME
@given(snapshots(is_simple=True))
def test_a_drained_node_gets_nothing_new(snapshot: Snapshot) -> None:
    drained = tuple(replace(view, state=NodeState.DRAINING) for view in snapshot.nodes[:2])
    plan = decide(replace(snapshot, nodes=drained + snapshot.nodes[2:]))
    names = {view.node for view in drained}
    assert not any(names & set(one.nodes) for one in plan.placed)


@ANY_TIME
@example(Chance(486964).snapshot(6, 2, 6))
@given(snapshots())
def test_what_is_planned_fits_when_it_is_carried_out(snapshot: Snapshot) -> None:
    plan = decide(snapshot)
    running = tuple(Running(one.unit, one.nodes, snapshot.now_ms) for one in plan.placed)
    left = tuple(one.unit for one in plan.unplaced)
    later = replace(
        snapshot, placed=snapshot.placed + running, waiting=left, reservations=plan.reservations
    )
    again = decide(later)
    assert mistakes(later, again) == []
    assert [kept for kept in again.reservations if kept.victims] or not plan.preempted


def test_an_amount_that_is_asked_for_where_there_is_none_is_all_of_it() -> None:
    assert dominant(Amount(gpus=1).numbers, Amount(cpu_m=8).numbers) == 1_000_000
