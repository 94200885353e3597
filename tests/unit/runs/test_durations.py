"""What is learned of how long slices take, and what that says of those to come."""

from __future__ import annotations

from msgspec.structs import replace as changed
from run_world import RunWorld, staged_dag
from runink.dag import Dag, Format, Sink, SliceSpec, Source
from runink.runs.durations import (
    CHAINS_MAX,
    NOTHING_KNOWN,
    SAMPLES_MAX,
    UNKNOWN_MS,
    Durations,
    chain_hashes,
    estimates,
    learned,
    ranks,
)
from runink.runs.records import SliceRecord, SliceState
from runink.runs.turns import turns_of
from runink.runs.views import RunView


def took(dag: Dag, times_ms: dict[str, int], before: Durations = NOTHING_KNOWN) -> Durations:
    """Return what is known when the slices of a run have taken so long."""
    world = RunWorld(dag)
    records = [
        changed(one, state=SliceState.SUCCEEDED, launched_ms=1000, ended_ms=1000 + times_ms[name])
        for name, one in records_of(world).items()
        if name in times_ms
    ]
    return learned(before, dag, records)


def records_of(world: RunWorld) -> dict[str, SliceRecord]:
    for name in [spec.id for spec in world.dag.slices]:
        world.settle()
        world.place()
        world.run(name)
        world.succeed(name)
    return world.slices


def test_the_estimate_of_a_gang_is_the_median_of_its_slowest_slice() -> None:
    dag = staged_dag("a", fan=2)
    known = NOTHING_KNOWN
    for times in ((100, 900), (300, 500), (200, 9000)):
        known = took(dag, dict(zip(("a", "a-1"), times, strict=True)), known)
    assert estimates(dag, known) == {"a": 900}


def test_a_gang_of_which_one_slice_is_not_known_has_no_estimate() -> None:
    dag = staged_dag("a", fan=2)
    assert estimates(dag, took(dag, {"a": 50})) == {"a": 0}
    assert estimates(dag, NOTHING_KNOWN) == {"a": 0}


def test_one_slow_time_among_many_changes_no_estimate() -> None:
    dag = staged_dag("a")
    known = NOTHING_KNOWN
    for time_ms in (100, 110, 120, 100_000):
        known = took(dag, {"a": time_ms}, known)
    assert estimates(dag, known)["a"] <= 120


def test_so_many_times_are_kept_and_the_oldest_is_forgotten_first() -> None:
    dag = staged_dag("a")
    known = NOTHING_KNOWN
    for time_ms in range(1, SAMPLES_MAX + 4):
        known = took(dag, {"a": time_ms}, known)
    (chain,) = known.chains
    assert chain.times_ms == tuple(range(4, SAMPLES_MAX + 4))


def test_what_is_known_of_a_slice_holds_for_the_next_version_of_its_pipeline() -> None:
    dag = staged_dag("a", "b")
    known = took(dag, {"a": 70, "b": 80})
    other = changed(
        dag,
        title="Q",
        nodes=tuple(
            changed(node, format=Format.PARQUET) if node.id == "b.sink" else node
            for node in dag.nodes
        ),
    )
    assert estimates(other, known) == {"a": 70, "b": 0}


def test_what_is_read_and_written_may_have_another_name_each_day() -> None:
    dag = staged_dag("a")
    other = changed(
        dag, nodes=tuple(changed(node, path="2.csv", uri="csv://2.csv") for node in dag.nodes)
    )
    assert estimates(other, took(dag, {"a": 70})) == {"a": 70}


def test_so_many_chains_are_kept_and_those_that_ran_longest_ago_are_forgotten() -> None:
    dag = staged_dag("a")
    known = took(dag, {"a": 5})
    (first,) = known.chains
    others = tuple(changed(first, chain=f"{number:016}") for number in range(CHAINS_MAX))
    known = took(dag, {"a": 6}, Durations(others))
    assert len(known.chains) == CHAINS_MAX
    assert known.chains[-1].chain == first.chain
    assert known.chains[0].chain == f"{1:016}"


def test_what_has_not_run_is_not_learned() -> None:
    dag = staged_dag("a")
    world = RunWorld(dag)
    world.settle()
    assert learned(NOTHING_KNOWN, dag, world.slices.values()) == NOTHING_KNOWN


def diamond() -> Dag:
    """`a` before `b` and `c`, these before `d`."""
    chain = staged_dag("a", "b", "c")
    nodes = tuple(
        changed(node, staged_from="a.sink") if node.id in ("b.source", "c.source") else node
        for node in chain.nodes
    )
    last = (
        Source("d.source", "d", "x", Format.CSV, "x.csv", staged_from="b.sink"),
        Source("d.other", "d", "x", Format.CSV, "x.csv", staged_from="c.sink"),
        Sink("d.sink", "d", "csv://d", Format.CSV, "d.csv"),
    )
    names = tuple(node.id for node in last)
    spec = SliceSpec("d", "d", "d", names, chain.slices[0].resources)
    return changed(chain, nodes=(*nodes, *last), slices=(*chain.slices, spec))


def test_the_rank_of_a_gang_is_the_longest_way_to_the_end() -> None:
    estimated = {"a": 10, "b": 500, "c": 20, "d": 7}
    assert ranks(diamond(), estimated) == {"a": 517, "b": 507, "c": 27, "d": 7}


def test_where_nothing_is_known_the_way_with_more_gangs_is_longer() -> None:
    assert ranks(staged_dag("a", "b"), {"a": 0, "b": 0}) == {"a": 2 * UNKNOWN_MS, "b": UNKNOWN_MS}


def test_slices_that_begin_to_wait_say_what_is_known_of_them() -> None:
    dag = staged_dag("a", "b")
    world = RunWorld(dag)
    world.durations = took(dag, {"a": 70, "b": 80})
    view = RunView(world.record, dag, {})
    turn = turns_of(view, world.world())("a")
    assert (turn.estimate_ms, turn.rank_ms, turn.since_ms) == (70, 150, world.now_ms)
    world.settle()
    assert world.slices["a"].turn == turn


def test_slices_that_do_the_same_have_the_same_name_and_others_have_not() -> None:
    one, other = chain_hashes(staged_dag("a", "b")), chain_hashes(staged_dag("a", "c"))
    assert one["a"] == other["a"]
    assert len({*one.values(), *other.values()}) == 3
