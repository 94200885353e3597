"""Clusters over time, in virtual time: nothing waits for ever, herds get their shares, gangs do not hold each other up, and little time is wasted."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from runink.names import HerdName, NodeId, RunId
from runink.placement.cluster import Amount, HerdView, NodeState, NodeView, dominant
from runink.placement.demands import Part, Unit
from runink.placement.planner import NodeChanged
from runink.placement.plans import Policy, Snapshot
from runink.testing.placement_life import FIRST_COME, Job, Life, arriving, dags, first_come

SEEDS = st.integers(0, 1 << 32)
FEW = settings(max_examples=6)  # of lives that take half a second
MANY = settings(max_examples=12)


def nodes(count: int, cpu_m: int) -> tuple[NodeView, ...]:
    return tuple(
        NodeView(NodeId(f"n{number}"), Amount(cpu_m, slices=100)) for number in range(count)
    )


def unit(gang: str, *cpu_m: int, herd: str = "h", **rest) -> Unit:
    parts = tuple(Part(Amount(amount, slices=1)) for amount in cpu_m)
    return Unit(RunId("0" * 26), gang, HerdName(herd), parts, **rest)


@MANY
@given(SEEDS)
def test_all_gangs_finish_where_member_by_member_none_does(seed: int) -> None:
    members = [f"{gang:02}-{number}" for gang in range(40) for number in range(4)]
    Random(seed).shuffle(members)
    snapshot = Snapshot(nodes(6, 1000), policy=Policy(preemption=False))
    one_by_one = [
        # As if each member were a run of its own, all of them equal, in the order in which they happen to come.
        Job(unit(f"{at:03}-{name}", 250), 1000, together=name[:2])
        for at, name in enumerate(members)
    ]
    piecemeal = Life(snapshot, one_by_one)
    piecemeal.run()
    assert len({key[1][4:6] for key in piecemeal.ended_ms}) < 40
    whole = Life(snapshot, [Job(unit(f"{gang:02}", *[250] * 4), 1000) for gang in range(40)])
    whole.run()
    assert len(whole.ended_ms) == 40


def test_forty_gangs_that_fill_the_cluster_all_finish_and_none_does_member_by_member() -> None:
    snapshot = Snapshot(nodes(10, 1000), policy=Policy(preemption=False))
    mixed = [
        Job(unit(f"{number}-{gang:02}", 250), 1000, together=f"{gang:02}")
        for number in range(4)
        for gang in range(40)
    ]
    piecemeal = Life(snapshot, mixed)
    piecemeal.run()
    assert piecemeal.ended_ms == {}
    whole = Life(snapshot, [Job(unit(f"{gang:02}", *[250] * 4), 1000) for gang in range(40)])
    whole.run()
    assert len(whole.ended_ms) == 40


@FEW
@given(seed=SEEDS, has_estimates=st.booleans())
def test_nothing_waits_longer_than_ageing_and_what_runs_allow(
    seed: int, *, has_estimates: bool
) -> None:
    random = Random(seed)
    policy = Policy(ageing_ms=10_000, reserve_after_ms=5_000, preemption=False)
    takes_ms = 2_000
    estimate_ms = takes_ms if has_estimates else 0
    # Units of priority 2 come all the time, more than the cluster can take, and a large one of priority 0 among them.
    stream = [
        Job(
            unit(f"u{at}", random.choice((300, 500)), priority=2, estimate_ms=estimate_ms),
            takes_ms,
            at * 250,
        )
        for at in range(300)
    ]
    large = unit("large", 1000, estimate_ms=estimate_ms)
    life = Life(
        Snapshot(nodes(2, 1000), now_ms=1, policy=policy), [*stream, Job(large, takes_ms, 5)]
    )
    life.run(until_ms=120_000)
    # Two classes by ageing, the time until nodes are kept for it, and one turn of what runs. Older ones that it has to let go first are few.
    assert life.began_ms[large.key] <= 3 * policy.ageing_ms + policy.reserve_after_ms + 4 * takes_ms


@MANY
@given(SEEDS)
def test_with_work_enough_for_all_herds_have_shares_by_their_weights(seed: int) -> None:
    random = Random(seed)
    weights = {"a": 1, "b": 2, "c": 3}
    herds = {
        HerdName(name): HerdView(HerdName(name), weight=weight) for name, weight in weights.items()
    }
    units = [
        unit(f"{herd}{number}", random.choice((100, 200, 400)), herd=herd, run_order=number)
        for herd in weights
        for number in range(200)
    ]
    views = nodes(12, 1000)
    life = Life(Snapshot(views, herds), [Job(one, 1000) for one in units])
    life.run(until_ms=0)
    running = life.planner.snapshot().placed
    whole = (12_000, 0, 0, 0, 1200)
    largest = dominant((400, 0, 0, 0, 1), whole)
    shares = {}
    for name, weight in weights.items():
        taken = sum((one.unit.needs for one in running if one.unit.herd == name), Amount())
        shares[name] = dominant(taken.numbers, whole) // weight
    assert max(shares.values()) - min(shares.values()) <= largest


@settings(max_examples=2)
@given(st.integers(0, 7))
def test_runs_of_steps_take_hardly_longer_than_anybody_could_run_them(seed: int) -> None:
    made = dags(seed)
    life = Life(Snapshot(made.nodes), made.jobs)
    life.run()
    assert len(life.ended_ms) == len(made.jobs)
    assert max(life.ended_ms.values()) <= made.bound_ms * 1.02


def test_runs_that_come_one_after_the_other_end_hardly_later_than_first_come_first_served() -> None:
    made = arriving(1, runs=30)
    ours = Life(Snapshot(made.nodes), made.jobs).run_times_ms()
    first = Life(Snapshot(made.nodes, policy=FIRST_COME), first_come(made.jobs)).run_times_ms()
    assert len(ours) == len(first) < 30
    assert sum(ours) <= sum(first) * 1.08


@MANY
@given(SEEDS)
def test_what_is_stopped_for_others_runs_again_and_all_ends(seed: int) -> None:
    random = Random(seed)
    jobs = [
        Job(
            unit(
                f"u{at}", random.randint(1, 8) * 100, priority=random.randint(0, 2), estimate_ms=500
            ),
            random.randint(1, 10) * 100,
            random.randrange(3000),
        )
        for at in range(60)
    ]
    life = Life(Snapshot(nodes(3, 1000), policy=Policy(grace_ms=50)), jobs)
    life.run()
    assert len(life.ended_ms) == 60


def test_a_node_that_is_drained_ends_empty() -> None:
    jobs = [Job(unit(f"u{at}", 100), 1000, at * 100) for at in range(100)]
    views = nodes(2, 1000)
    life = Life(Snapshot(views), jobs)
    life.run(until_ms=2000)
    drained = NodeView(views[0].node, views[0].capacity, state=NodeState.DRAINING)
    life.hear(NodeChanged(drained))
    life.run(until_ms=3100)
    assert {name for one in life.planner.snapshot().placed for name in one.nodes} == {"n1"}
    life.run()
    assert len(life.ended_ms) == 100
