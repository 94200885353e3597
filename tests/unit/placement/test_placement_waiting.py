"""What becomes of a unit that does not fit: nodes are kept for it, others are stopped for it, or it waits."""

from __future__ import annotations

from msgspec.structs import replace
from placement_world import HERD, NOW_MS, node, part, placed, running, unit, waits
from runink.names import NodeId
from runink.placement.cluster import NOTHING, Amount, HerdView, NodeState
from runink.placement.demands import Part
from runink.placement.feasible import Rule
from runink.placement.plans import Policy, Reservation, Running, Snapshot
from runink.placement.solver import decide

CALM = Policy(preemption=False)


def cluster(*waiting, standing=(), nodes=("a",), cpu_m=1000, policy=CALM, **rest) -> Snapshot:
    views = tuple(node(name, cpu_m) for name in nodes)
    return Snapshot(views, {}, waiting, tuple(standing), now_ms=NOW_MS, policy=policy, **rest)


def test_the_head_is_told_when_and_where_it_will_fit() -> None:
    standing = (
        running("long", "a", cpu_m=600, estimate_ms=900),
        running("short", "b", cpu_m=600, estimate_ms=500),
    )
    head = unit("head", cpu_m=800)
    plan = decide(cluster(head, standing=standing, nodes=("a", "b")))
    assert plan.reservations == (Reservation(head.key, (NodeId("b"),), NOW_MS + 500),)


def test_who_is_done_before_the_head_begins_may_go_before_it() -> None:
    standing = (running("old", "a", cpu_m=600, estimate_ms=500),)
    head = unit("head", cpu_m=800, rank=9)
    quick, slow = (
        unit(name, cpu_m=300, estimate_ms=ms) for name, ms in (("quick", 500), ("slow", 501))
    )
    plan = decide(cluster(head, quick, standing=standing))
    assert placed(plan) == {"quick": ("a",)}
    plan = decide(cluster(head, slow, standing=standing))
    assert waits(plan) == ["head", "slow"]
    assert plan.unplaced[1].counts == ((Rule.RESERVED, 1),)
    assert plan.unplaced[1].text == f"a is kept for head of {head.run}"


def test_who_fits_beside_the_head_may_go_before_it_for_as_long_as_it_likes() -> None:
    standing = (running("old", "a", cpu_m=600, estimate_ms=500),)
    head = unit("head", cpu_m=800, rank=9)
    beside = [unit(f"beside{number}", cpu_m=100) for number in range(3)]
    plan = decide(cluster(head, *beside, standing=standing))
    assert set(placed(plan)) == {"beside0", "beside1"}


def test_what_is_kept_is_not_shared_where_the_policy_says_so() -> None:
    standing = (running("old", "a", cpu_m=600, estimate_ms=500),)
    head, small = unit("head", cpu_m=800, rank=9), unit("small", cpu_m=100)
    strict = replace(CALM, backfill=False)
    assert waits(decide(cluster(head, small, standing=standing, policy=strict))) == [
        "head",
        "small",
    ]


def test_without_estimates_a_node_is_emptied_for_who_has_waited_long() -> None:
    standing = (running("old", "a", cpu_m=600),)
    small = unit("small", cpu_m=300)
    for waited_ms, goes in ((1000, ["small"]), (300_000, [])):
        head = unit("head", cpu_m=800, rank=9, waiting_since_ms=NOW_MS - waited_ms)
        plan = decide(cluster(head, small, standing=standing))
        assert list(placed(plan)) == goes
        kept = (Reservation(head.key, (NodeId("a"),)),)
        assert plan.reservations == (() if goes else kept)


def test_the_node_that_is_being_emptied_stays_the_same() -> None:
    standing = (running("one", "a", cpu_m=600), running("two", "b", cpu_m=700))
    head = unit("head", cpu_m=800, waiting_since_ms=1)
    before = (Reservation(head.key, (NodeId("b"),)),)
    first = decide(cluster(head, standing=standing, nodes=("a", "b")))
    assert first.reservations[0].nodes == ("a",)
    again = decide(cluster(head, standing=standing, nodes=("a", "b"), reservations=before))
    assert again.reservations == before


def test_something_that_will_never_fit_keeps_nothing() -> None:
    standing = (running("old", "a", cpu_m=600, estimate_ms=500),)
    giant, head = unit("giant", cpu_m=5000, rank=9), unit("head", cpu_m=800)
    plan = decide(cluster(giant, head, standing=standing))
    assert [one.unit for one in plan.reservations] == [head.key]


def test_what_should_have_ended_is_given_as_long_again() -> None:
    late = running("late", "a", cpu_m=600, estimate_ms=100, started_ms=NOW_MS - 250)
    head = unit("head", cpu_m=800)
    plan = decide(cluster(head, standing=(late,)))
    assert plan.reservations[0].at_ms == NOW_MS + 150, "four times its estimate from its start"


def test_a_gang_is_reserved_for_whole() -> None:
    standing = (
        running("one", "a", cpu_m=600, estimate_ms=500),
        running("two", "b", cpu_m=600, estimate_ms=900),
    )
    gang = unit("gang", part(800), part(800))
    plan = decide(cluster(gang, standing=standing, nodes=("a", "b")))
    (kept,) = plan.reservations
    assert (sorted(kept.nodes), kept.at_ms) == (["a", "b"], NOW_MS + 900)


def test_the_fewest_of_lower_priority_are_stopped() -> None:
    standing = (
        running("small1", "a", cpu_m=300),
        running("small2", "a", cpu_m=300),
        running("large", "b", cpu_m=700),
    )
    urgent = unit("urgent", cpu_m=800, priority=2)
    plan = decide(cluster(urgent, standing=standing, nodes=("a", "b"), policy=Policy(grace_ms=7)))
    (told,) = plan.preempted
    assert (told.unit[1], told.by, told.grace_ms) == ("large", urgent.key, 7)
    assert told.why == f"urgent of {urgent.run} has priority 2, it has 0"
    (kept,) = plan.reservations
    assert (kept.nodes, kept.at_ms, kept.victims) == (("b",), NOW_MS + 7, (told.unit,))


def test_of_equals_the_one_is_stopped_that_has_run_the_shortest() -> None:
    standing = (
        replace(running("long", "a", cpu_m=500), started_ms=NOW_MS - 900),
        replace(running("short", "a", cpu_m=500), started_ms=NOW_MS - 100),
    )
    plan = decide(cluster(unit("new", cpu_m=500, priority=1), standing=standing, policy=Policy()))
    (victim,) = plan.preempted
    assert (victim.unit[1], victim.lost_ms) == ("short", 100)


def test_nobody_is_stopped_for_an_equal_nor_who_may_not_be_nor_for_nothing() -> None:
    urgent = unit("urgent", cpu_m=800, priority=2)
    for stubborn in (
        running("equal", "a", cpu_m=700, priority=2),
        running("never", "a", cpu_m=700, can_be_preempted=False),
    ):
        assert decide(cluster(urgent, standing=(stubborn,), policy=Policy())).preempted == ()
    weak = running("weak", "a", cpu_m=100)
    strong = running("strong", "a", cpu_m=700, priority=9)
    plan = decide(cluster(urgent, standing=(weak, strong), policy=Policy()))
    assert plan.preempted == (), "it would not fit all the same"


def test_a_gang_is_stopped_whole_and_counts_once() -> None:
    gang = Running(unit("gang", part(500), part(500)), (NodeId("a"), NodeId("b")), 1)
    urgent = unit("urgent", part(900), part(900), priority=1)
    plan = decide(cluster(urgent, standing=(gang,), nodes=("a", "b"), policy=Policy()))
    assert [one.unit[1] for one in plan.preempted] == ["gang"]
    assert sorted(plan.reservations[0].nodes) == ["a", "b"]


def test_while_victims_end_their_room_is_nobody_elses_and_no_others_are_stopped() -> None:
    victim = running("victim", "a", cpu_m=700)
    urgent = unit("urgent", cpu_m=800, priority=1)
    first = decide(cluster(urgent, standing=(victim,), policy=Policy()))
    leaving = replace(victim, is_leaving=True)
    late = unit("late", cpu_m=300, priority=1)
    second = cluster(
        urgent, late, standing=(leaving,), policy=Policy(), reservations=first.reservations
    )
    plan = decide(second)
    assert plan.preempted == ()
    assert plan.reservations == first.reservations
    assert waits(plan) == ["urgent", "late"]
    gone = replace(second, placed=())
    assert placed(decide(gone)) == {"urgent": ("a",)}, "it comes before its equals"


def test_a_victim_whom_another_makes_needless_is_spared() -> None:
    alone = running("alone", "b", cpu_m=500)
    gang = Running(unit("gang", part(900), part(500)), (NodeId("a"), NodeId("b")), 1)
    views = (node("a", 1000, labels=("left",)), node("b", 1000, labels=("right",)))
    urgent = unit("urgent", part(500, labels=("right",)), part(400, labels=("left",)), priority=1)
    plan = decide(Snapshot(views, {}, (urgent,), (alone, gang), now_ms=NOW_MS))
    assert [one.unit[1] for one in plan.preempted] == ["gang"]


def test_all_that_ends_when_the_head_begins_makes_room_beside_it() -> None:
    standing = [running(name, "a", cpu_m=300, estimate_ms=500) for name in ("one", "two")]
    head, beside = unit("head", cpu_m=600, rank=9), unit("beside", cpu_m=300)
    assert set(placed(decide(cluster(head, beside, standing=standing)))) == {"beside"}


def test_the_quota_that_the_head_will_need_is_kept_for_it() -> None:
    herds = {HERD: HerdView(HERD, Amount(cpu_m=1500))}
    standing = (running("old", "a", cpu_m=600, estimate_ms=500),)
    head, other = unit("head", cpu_m=800, rank=9), unit("other", cpu_m=200)
    views = (node("a", 1000), node("b", 400))
    plan = decide(Snapshot(views, herds, (head, other), standing, now_ms=NOW_MS, policy=CALM))
    assert waits(plan) == ["head", "other"]
    assert plan.unplaced[1].counts == ((Rule.RESERVED, 2),)
    assert "b has room that is kept for others of its herd" in plan.unplaced[1].text


def carried_out(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot as it is when its plan has been committed and nothing has ended yet."""
    plan = decide(snapshot)
    new = tuple(Running(one.unit, one.nodes, snapshot.now_ms) for one in plan.placed)
    left = tuple(one.unit for one in plan.unplaced)
    return replace(
        snapshot, placed=snapshot.placed + new, waiting=left, reservations=plan.reservations
    )


def test_who_has_others_stopped_does_not_take_what_is_kept_for_the_head_instead() -> None:
    views = (node("a", 1000), node("b", 1000, labels=("fast",)))
    standing = (
        running("weak", "a", cpu_m=700),
        running("short", "b", cpu_m=600, estimate_ms=10, priority=2),
    )
    head = unit("head", part(900, labels=("fast",)), priority=1, rank=9)
    urgent = unit("urgent", cpu_m=400, priority=1)
    first = Snapshot(views, {}, (head, urgent), standing, now_ms=NOW_MS)
    plan = decide(first)
    assert [(one.unit, one.nodes) for one in plan.reservations] == [
        (head.key, ("b",)),
        (urgent.key, ("a",)),
    ]
    again = decide(carried_out(first))
    assert again.placed == ()
    assert again.reservations == plan.reservations


def test_the_nodes_that_are_kept_for_the_head_stay_the_same_while_they_are_as_good() -> None:
    standing = [running(name, name, cpu_m=600, estimate_ms=500) for name in ("a", "b")]
    head = unit("head", cpu_m=800)
    before = (Reservation(head.key, (NodeId("b"),), NOW_MS + 500),)
    first = decide(cluster(head, standing=standing, nodes=("a", "b")))
    assert first.reservations[0].nodes == ("a",)
    again = decide(cluster(head, standing=standing, nodes=("a", "b"), reservations=before))
    assert again.reservations == before


def test_who_may_not_stand_beside_the_head_does_not_go_where_it_will_stand() -> None:
    standing = (running("old", "a", cpu_m=600, estimate_ms=500),)
    head = unit("head", part(800, anti=("red",)), rank=9)
    red, blue = (unit(name, part(100, groups=(name,))) for name in ("red", "blue"))
    assert set(placed(decide(cluster(head, red, blue, standing=standing)))) == {"blue"}


def test_the_parts_of_a_gang_that_go_beside_the_head_are_counted_together() -> None:
    standing = (running("old", "a", cpu_m=600, estimate_ms=500),)
    head = unit("head", cpu_m=800, rank=9)
    for cpu_m, goes in ((100, {"beside"}), (110, set())):
        beside = unit("beside", part(cpu_m), part(cpu_m))
        assert set(placed(decide(cluster(head, beside, standing=standing)))) == goes


def test_what_began_because_it_had_waited_for_long_is_not_stopped_for_whom_it_went_before() -> None:
    policy = Policy(ageing_ms=1000)
    waited = unit("waited", cpu_m=800, waiting_since_ms=NOW_MS - 2000)
    newer = unit("newer", cpu_m=800, priority=1, waiting_since_ms=NOW_MS)
    first = cluster(waited, newer, policy=policy)
    assert placed(decide(first)) == {"waited": ("a",)}
    assert decide(carried_out(first)).preempted == ()
    urgent = replace(newer, gang="urgent", priority=3)
    plan = decide(replace(carried_out(first), waiting=(urgent,)))
    assert [one.unit for one in plan.preempted] == [waited.key]


def test_who_finds_another_node_is_stopped_before_who_does_not() -> None:
    views = (node("a", 1000, labels=("old",)), node("b", 1000), node("c", 300, labels=("old",)))
    rooted, loose = (
        Running(unit(gang, part(300, labels=labels)), (NodeId(name),), NOW_MS - ran_ms)
        for gang, name, labels, ran_ms in (
            ("rooted", "b", ("!old",), 1),
            ("loose", "a", ("old",), 9),
        )
    )
    urgent = unit("urgent", cpu_m=800, priority=1)
    plan = decide(Snapshot(views, {}, (urgent,), (rooted, loose), now_ms=NOW_MS))
    assert [one.unit for one in plan.preempted] == [loose.unit.key]
    # Where neither finds one, what is lost decides.
    plan = decide(Snapshot(views[:2], {}, (urgent,), (rooted, loose), now_ms=NOW_MS))
    assert [one.unit for one in plan.preempted] == [rooted.unit.key]


def test_no_more_of_a_herd_are_stopped_at_a_time_than_the_policy_says() -> None:
    standing = tuple(running(f"{name}1", name, cpu_m=700) for name in "abc")
    urgent = tuple(unit(f"urgent{number}", cpu_m=800, priority=1) for number in range(3))
    for limit, stopped in ((0, 3), (1, 1), (2, 2)):
        policy = Policy(victims_per_herd=limit)
        first = cluster(*urgent, standing=standing, nodes=("a", "b", "c"), policy=policy)
        plan = decide(first)
        assert len(plan.preempted) == stopped
        victims = {one.unit for one in plan.preempted}
        leaving = tuple(replace(one, is_leaving=one.unit.key in victims) for one in standing)
        assert decide(replace(carried_out(first), placed=leaving)).preempted == ()
    others = (replace(standing[0], unit=replace(standing[0].unit, herd="other")), *standing[1:])
    plan = decide(replace(first, placed=others, policy=Policy(victims_per_herd=1)))
    assert len(plan.preempted) == 2


def test_what_ends_on_a_draining_node_does_not_wait_for_what_ends_on_a_silent_one() -> None:
    """Found by the simulation, seed 65: both ask for nothing but their nodes, and were taken for the same."""
    views = (
        node("a", 1000, state=NodeState.DRAINING),
        node("b", 1000, state=NodeState.SUSPECT),
    )
    ends = [
        unit(f"end-{name}", Part(NOTHING, pin=NodeId(name)), rank=rank)
        for rank, name in enumerate("ab")
    ]
    plan = decide(Snapshot(views, {}, tuple(ends), now_ms=NOW_MS))
    assert placed(plan) == {"end-a": ("a",)}
    assert waits(plan) == ["end-b"]
