"""From what a pipeline says of places to the nodes that its slices get: text, records, snapshot, plan."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from runink.names import BundleHash, HerdName, NodeId, RunId
from runink.placement.demands import Spread
from runink.placement.feasible import Rule
from runink.placement.plans import Plan
from runink.placement.solver import decide
from runink.runs.records import NodeRecord, RunRecord, RunState, SliceRecord, SliceState
from runink.runs.slices import slice_of
from runink.scheduling.snapshots import Tables, snapshot_of
from runink.testing.projects import compile_text
from slice_tables import node


def slices_of(*bodies: str, run: str = "r1", herd: str = "default") -> list[SliceRecord]:
    """Return the slices of a run of scenarios `a`, `b`, … with these lines below their step, as they wait."""
    text = f'@herd("{herd}")\nFeature: F\n'
    for name, body in zip("abcd", bodies, strict=False):
        text += f"""
  @module(layer="{name}")
  Scenario: {name}
    @source("csv+s3://lake/{name}.csv")
    @step(sql="SELECT * FROM input", as={name}s)
    {body}
    @sink("parquet+s3://lake/out/{name}.parquet")
"""
    dag = compile_text(text).dag
    record = RunRecord(
        RunId(run), dag.herd, dag.pipeline, dag.hash, "F", "x.dsl", "/p", BundleHash("0"),
        RunState.ADMITTED, 1,
    )  # fmt: skip
    return [slice_of(spec, record, pin=None) for spec in dag.slices]


def planned(nodes: list[NodeRecord], slices: list[SliceRecord]) -> Plan:
    return decide(snapshot_of(Tables(tuple(nodes), slices=tuple(slices)), now_ms=10))


def homes(plan: Plan) -> dict[str, str]:
    return {f"{one.unit.run}/{one.unit.gang}": str(one.node) for one in plan.placed}


def rules(plan: Plan) -> list[tuple[tuple[Rule, int], ...]]:
    return [one.counts for one in plan.unplaced]


def at(node: str, slices: list[SliceRecord]) -> list[SliceRecord]:
    return [
        msgspec.structs.replace(one, state=SliceState.RUNNING, node=NodeId(node)) for one in slices
    ]


def test_a_slice_gets_a_node_with_processors_and_disk_that_nobody_else_has() -> None:
    asks = "@requires(gpu=1, disk=2Gi)"
    nodes = [
        node("n1", disk_bytes=1 << 30, gpus=2),
        node("n2", disk_bytes=8 << 30),
        node("n3", disk_bytes=3 << 30, gpus=2),
    ]
    first = planned(nodes, slices_of(asks))
    assert homes(first) == {"r1/a": "n3"}
    second = planned(nodes, [*at("n3", slices_of(asks)), *slices_of(asks, run="r2")])
    assert rules(second) == [((Rule.DISK, 2), (Rule.GPUS, 1))]


def test_labels_are_read_as_expressions() -> None:
    asks = '@affinity(label=["disk in (nvme, ssd)", "!spot", "zone!=us"])'
    labels = [("disk=hdd",), ("disk=ssd", "spot"), ("disk=ssd", "zone=us"), ("disk=nvme",)]
    nodes = [node(f"n{number}", labels=found) for number, found in enumerate(labels)]
    assert homes(planned(nodes, slices_of(asks))) == {"r1/a": "n3"}


@pytest.mark.parametrize(
    ("asks", "visible", "fits"),
    [
        ("@requires(sees=crm)", None, True),
        ("@requires(sees=crm)", ("crm", "s3://lake"), True),
        ("@requires(sees=crm)", ("s3://lake",), False),
        ("", ("crm",), False),  # the bucket that it reads counts without being named
        ("", ("s3://lake",), True),
    ],
)
def test_a_slice_goes_only_where_its_secrets_and_data_may_be_seen(
    asks: str, visible: tuple[str, ...] | None, *, fits: bool
) -> None:
    plan = planned([node(visible=visible)], slices_of(asks))
    assert bool(plan.placed) is fits
    assert fits or rules(plan) == [((Rule.SIGHT, 1),)]


def test_a_node_of_some_herds_takes_no_other() -> None:
    mine = [node("n1", herds=(HerdName("a"), HerdName("b")))]
    assert homes(planned(mine, slices_of("", herd="b"))) == {"r1/a": "n1"}
    assert rules(planned(mine, slices_of("", herd="c"))) == [((Rule.HERD, 1),)]


def test_steps_that_stand_apart_get_nodes_of_their_own_and_wait_where_there_are_none() -> None:
    slices = slices_of("", '@affinity(anti="step:as")')
    both = homes(planned([node("n1"), node("n2")], slices))
    assert sorted(both.values()) == ["n1", "n2"]
    (waits,) = planned([node("n1")], slices).unplaced
    assert waits.counts == ((Rule.APART, 1),)
    assert not waits.is_final


def test_what_stands_apart_does_so_of_what_runs_already_whoever_said_it() -> None:
    first, other = slices_of("", '@affinity(anti="step:as")')
    for here, waiting in ((first, other), (other, first)):
        assert rules(planned([node("n1")], [*at("n1", [here]), waiting])) == [((Rule.APART, 1),)]


def test_a_step_of_one_run_is_not_that_of_another() -> None:
    asks = ("", '@affinity(anti="step:as")')
    running = at("n1", [slices_of(*asks)[0]])
    waiting = [slices_of(*asks, run="r2")[1]]
    assert homes(planned([node("n1")], [*running, *waiting])) == {"r2/b": "n1"}


def test_who_says_a_word_shares_no_node_with_others_of_the_herd_that_say_it() -> None:
    said = "@affinity(anti=heavy)"
    running = at("n1", slices_of(said))
    assert rules(planned([node("n1")], [*running, *slices_of(said, run="r2")])) == [
        ((Rule.APART, 1),)
    ]
    for other in (slices_of("", run="r2"), slices_of(said, run="r2", herd="others")):
        assert homes(planned([node("n1")], [*running, *other])) == {"r2/a": "n1"}


def test_what_is_to_stand_together_is_one_unit_on_one_node() -> None:
    slices = slices_of("@requires(cpu=2)", '@requires(cpu=2) @affinity(colocate_with="step:as")')
    plan = planned([node("n1", cpu_m=3000), node("n2", cpu_m=4000)], slices)
    assert homes(plan) == {"r1/a": "n2"}
    assert rules(planned([node("n1", cpu_m=3000)], slices)) == [((Rule.CPU, 1),)]


def test_runs_of_a_pipeline_are_spread_over_the_values_of_a_label() -> None:
    nodes = [node(f"n{at}", labels=(f"zone={'ab'[at % 2]}",)) for at in range(4)]
    slices = [one for run in "1234" for one in slices_of("@affinity(domain=zone)", run=run)]
    zones = [int(home[1]) % 2 for home in homes(planned(nodes, slices)).values()]
    assert sorted(zones) == [0, 0, 1, 1]
    (unit, *_) = snapshot_of(Tables(tuple(nodes), slices=tuple(slices)), now_ms=1).waiting
    assert unit.parts[0].spread == Spread(group="default/pipeline:x", key="zone")


def test_a_spread_that_is_a_rule_makes_a_run_wait_though_there_is_room() -> None:
    nodes = [node("n0", labels=("zone=a",)), node("n1", labels=("zone=b",), cpu_m=50), node("n2")]
    for asks, waiting in (
        ("@affinity(domain=zone, skew=1)", [((Rule.LABEL, 1), (Rule.SPREAD, 1), (Rule.CPU, 1))]),
        ("@affinity(domain=zone, skew=2)", []),
        ("@affinity(domain=zone)", []),
    ):
        slices = [one for run in "12" for one in slices_of(asks, run=run)]
        plan = planned(nodes, slices)
        assert rules(plan) == waiting
        assert len(plan.placed) + len(plan.unplaced) == 2
        assert all(not one.is_final for one in plan.unplaced)


def test_of_several_spreads_in_one_gang_a_rule_counts_and_the_strictest_of_those() -> None:
    joined = '@affinity(colocate_with="step:as", domain={}, skew={})'
    slices = slices_of("@affinity(domain=node)", joined.format("zone", 3), joined.format("zone", 2))
    (unit,) = snapshot_of(Tables((node(),), slices=tuple(slices)), now_ms=10).waiting
    (part,) = unit.parts
    assert part.spread == Spread("default/pipeline:x", "zone", is_hard=True, skew_max=2)


def test_the_next_attempt_asks_for_the_same_place() -> None:
    from runink.runs.retries import anew

    (one,) = slices_of("@requires(gpu=1) @affinity(anti=heavy)")
    assert anew(one, not_before_ms=5).wants == one.wants


def test_old_records_say_nothing_and_ask_for_nothing() -> None:
    (one,) = slices_of("")
    fields: dict[str, Any] = msgspec.to_builtins(one)
    del fields["wants"]
    old = msgspec.convert(fields, SliceRecord)
    assert homes(planned([node()], [old])) == {"r1/a": "n1"}
