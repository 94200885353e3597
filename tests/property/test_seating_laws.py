"""Whether a gang is hopeless, held against trying all nodes for all of its parts; and what a plan says of it, against that."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from runink.labels import label_rules
from runink.names import HerdName, NodeId, RunId
from runink.placement.cluster import NOTHING, Amount, HerdView, NodeState, NodeView
from runink.placement.demands import Part, Unit
from runink.placement.feasible import feasible, refused_by_quota
from runink.placement.plans import Running, Snapshot
from runink.placement.seating import seats
from runink.placement.solver import decide

HERD = HerdName("h")
NAMES = ("n1", "n2", "n3")
SIZES = (1, 2, 3, 4, 5)


def nodes_by(random: Random) -> tuple[NodeView, ...]:
    return tuple(
        NodeView(
            NodeId(name),
            Amount(random.choice(SIZES[2:]), random.choice(SIZES[2:]), slices=9),
            labels=frozenset(random.choice(((), ("eu",)))),
            state=random.choice((NodeState.READY, NodeState.READY, NodeState.CORDONED)),
        )
        for name in NAMES[: random.randint(1, 3)]
    )


def part_by(random: Random) -> Part:
    return Part(
        Amount(random.choice(SIZES[:4]), random.choice(SIZES[:4]), slices=1),
        label_rules(random.choice(((), (), ("eu",)))),
        pin=random.choice((None, None, None, NodeId("n1"))),
        groups=random.choice(((), ("x",))),
        anti=random.choice(((), (), ("x",))),
    )


def parts_by(random: Random) -> tuple[Part, ...]:
    """Return two to five parts, some of them alike."""
    kinds = [part_by(random) for _ in range(3)]
    return tuple(random.choice(kinds) for _ in range(random.randint(2, 5)))


def stand(parts: Sequence[Part], nodes: Sequence[NodeView], herd: HerdView) -> bool:
    """Say whether each part may stand on its node beside the others, if those were ready."""
    views = {view.node: replace(view, state=NodeState.READY) for view in nodes}
    for part, node in zip(parts, (view.node for view in nodes), strict=True):
        view = views[node]
        if feasible(view, part, herd) is not None:
            return False
        groups, shunned = view.groups.union(part.groups), view.shunned.union(part.anti)
        views[node] = replace(view, used=view.used + part.needs, groups=groups, shunned=shunned)
    needs = sum((part.needs for part in parts), NOTHING)
    return refused_by_quota(herd, needs) is None


@given(st.integers(0, 1 << 32))
def test_a_gang_is_hopeless_where_no_way_to_place_it_is_right(seed: int) -> None:
    random = Random(seed)
    nodes, parts = nodes_by(random), parts_by(random)
    herd = HerdView(HERD, random.choice((NOTHING, Amount(9))))
    ways = product(nodes, repeat=len(parts))
    found = seats(parts, nodes, herd)
    assert (found is None) == (not any(stand(parts, way, herd) for way in ways))
    if found is not None:
        by_name = {view.node: view for view in nodes}
        assert stand(parts, [by_name[name] for name in found], herd)


@given(st.integers(0, 1 << 32))
def test_a_plan_says_of_a_gang_that_it_never_fits_where_it_is_hopeless_and_nowhere_else(
    seed: int,
) -> None:
    random = Random(seed)
    nodes, parts = nodes_by(random), parts_by(random)
    gang = Unit(RunId("0" * 26), "g", HERD, parts)
    busy = Unit(RunId("1" * 26), "b", HERD, (Part(Amount(1, 1, slices=1), groups=("x",)),))
    standing = tuple(Running(busy, (view.node,)) for view in nodes[: random.randint(0, 1)])
    # While others use the quota up that is what is told: what becomes of the gang is said when they have ended.
    quota = NOTHING if standing else random.choice((NOTHING, Amount(9)))
    herds = {HERD: HerdView(HERD, quota)}
    plan = decide(Snapshot(nodes, herds, (gang,), standing))
    told = {one.unit.key: one.is_final for one in plan.unplaced}
    assert told.get(gang.key, False) == (seats(parts, nodes, herds[HERD]) is None)
