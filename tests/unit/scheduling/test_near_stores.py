"""Slices go where what they read is near: from a pipeline's text to the nodes that its slices get, and what is said of that."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from msgspec.structs import replace as changed
from runink.cli.why import lines_of
from runink.errors import Invalid
from runink.names import BundleHash, RunId
from runink.placement.plans import Plan
from runink.placement.solver import decide
from runink.runs.records import NodeRecord, RunRecord, RunState, SliceRecord, SliceState
from runink.runs.retries import anew
from runink.runs.slices import read_by, slice_of
from runink.scheduling.answers import GangAnswer, WhyAnswer
from runink.scheduling.decisions import recorded
from runink.scheduling.snapshots import POLICY, Tables, snapshot_of
from runink.scheduling.what_if import applied
from runink.scheduling.why import decided_now, replayed
from runink.testing.projects import compile_text
from slice_tables import HERD, N2, RUN, node, one_slice

LAKE, OUT = "s3://lake", "s3://out"
COST = POLICY.weights.locality


def reading(*sources: str, run: str = RUN) -> SliceRecord:
    """Return the slice of a run that joins these sources and writes to OUT, as it waits."""
    sides = {f"s{at}": place for at, place in enumerate(sources[1:])}
    lines = [f'    @source("csv+{place}", as={name})\n' for name, place in sides.items()]
    text = f"""@herd("{HERD}")
Feature: F

  @module(layer="a")
  Scenario: a
{"".join(lines)}    @source("csv+{sources[0]}")
    @step(sql="SELECT input.* FROM {", ".join(("input", *sides))}", as=rows)
    @sink("parquet+{OUT}/a.parquet")
"""
    dag = compile_text(text).dag
    record = RunRecord(
        RunId(run), dag.herd, dag.pipeline, dag.hash, "F", "x.dsl", "/p", BundleHash("0"),
        RunState.ADMITTED, 1,
    )  # fmt: skip
    (spec,) = dag.slices
    return slice_of(spec, record, pin=None, reads=read_by(spec, dag))


READER = reading(f"{LAKE}/a.csv")


def planned(nodes: list[NodeRecord], *slices: SliceRecord) -> Plan:
    return decide(snapshot_of(Tables(tuple(nodes), slices=slices), now_ms=10))


def home(nodes: list[NodeRecord], *slices: SliceRecord) -> str:
    """Return the node of the last of these slices."""
    plan = planned(nodes, *slices)
    return next(str(one.node) for one in plan.placed if one.unit.run == slices[-1].run)


def test_a_slice_goes_where_its_store_is_near() -> None:
    assert home([node("n1"), node("n2")], READER) == "n1"
    assert home([node("n1"), node("n2", near=(LAKE,))], READER) == "n2"


def test_where_the_node_near_its_store_is_full_it_goes_elsewhere_and_does_not_wait() -> None:
    nodes = [node("n1"), node("n2", near=(LAKE,))]
    busy = one_slice("b", run="r0", state=SliceState.RUNNING, node=N2, cpu_m=4000)
    assert home(nodes, busy, READER) == "n1"


def test_a_node_that_is_near_is_opened_rather_than_one_elsewhere_filled_up_by_half() -> None:
    nodes = [node("n1"), node("n2", near=(LAKE,))]
    half = one_slice("b", run="r0", state=SliceState.RUNNING, node=nodes[0].node, cpu_m=2000)
    assert home([nodes[0], node("n2")], half, READER) == "n1"
    assert home(nodes, half, READER) == "n2"


def test_only_what_is_read_counts_and_not_what_is_written() -> None:
    assert READER.wants.reads == (LAKE,)
    assert READER.wants.sees == (LAKE, OUT)
    assert home([node("n1"), node("n2", near=(OUT,))], READER) == "n1"


def test_of_two_stores_the_node_that_is_near_both_is_better_than_one_near_one_of_them() -> None:
    both = reading(f"{LAKE}/a.csv", "s3://sea/b.csv")
    assert both.wants.reads == (LAKE, "s3://sea")
    nodes = [node("n1", near=(LAKE,)), node("n2", near=(LAKE, "s3://sea"))]
    assert home(nodes, both) == "n2"
    assert home([node("n0"), nodes[0]], both) == "n1"


def test_files_of_the_project_are_near_to_nobody() -> None:
    (spec,) = (dag := compile_text(FILES).dag).slices
    assert read_by(spec, dag) == ()


FILES = """Feature: F

  @module(layer="a")
  Scenario: a
    @source("csv://a.csv")
    @sink("parquet+s3://out/a.parquet")
"""


def test_slices_of_one_gang_go_where_most_of_what_they_read_together_is_near() -> None:
    gang = [
        one_slice(name, gang="g", wants=changed(READER.wants, sees=(), reads=(store,)))
        for name, store in (("a", LAKE), ("b", "s3://sea"), ("c", "s3://bay"))
    ]
    nodes = [node("n1", near=(LAKE,)), node("n2", near=("s3://sea", "s3://bay"))]
    assert home(nodes, *gang) == "n2"


def test_the_next_attempt_reads_the_same() -> None:
    assert anew(READER, not_before_ms=5).wants == READER.wants


def told(tables: Tables) -> GangAnswer:
    answer = decided_now(tables, now_ms=100).answer(RUN, "a", ["a"])
    assert answer is not None
    return answer


def test_why_names_the_candidates_with_what_being_near_was_worth() -> None:
    tables = Tables((node("n1"), node("n2", near=(LAKE,))), slices=(READER,))
    found = told(tables)
    near, far = found.parts[0].candidates
    assert (near.node, near.of["locality"]) == ("n2", -COST)
    assert (far.node, "locality" in far.of) == ("n1", False)
    assert far.cost - near.cost == COST
    lines = list(lines_of(WhyAnswer(RUN, HERD, "running", "", 2, 1, (found,))))
    (line,) = [line for line in lines if "taken" in line]
    assert "n2" in line
    assert f"locality -{COST}" in line


def test_what_would_be_if_a_node_were_near_can_be_asked() -> None:
    tables = Tables((node("n1"), node("n2")), slices=(READER,))
    assert told(tables).nodes == ("n1",)
    assert told(applied(tables, [f"node n2 near={LAKE}"], run=RUN)).nodes == ("n2",)
    there = replace(tables, nodes=(node("n1"), node("n2", near=(LAKE,))))
    assert told(applied(there, ["node n2 cpu=4"], run=RUN)).nodes == ("n2",), "it stays near"


@pytest.mark.parametrize("store", ["lake", "s3://lake/a.csv", "s3://", "://lake"])
def test_near_what_is_no_store_nothing_can_be(store: str) -> None:
    with pytest.raises(Invalid, match="is no store"):
        applied(Tables((node("n1"),)), [f"node n1 near={store}"], run=RUN)


def test_a_decision_with_stores_is_made_again_with_the_same_bytes() -> None:
    slices = (READER, reading(f"{LAKE}/a.csv", "s3://sea/b.csv", run="r2"))
    tables = Tables((node("n1"), node("n2", near=(LAKE,))), slices=slices, revision=7)
    plan = decide(snapshot_of(tables, now_ms=77), 3)
    again = replayed(tables, recorded(plan, now_ms=77, policy=POLICY))
    assert again.digest == again.stored == plan.digest


def test_a_decision_of_before_is_made_again_by_what_being_near_was_worth_then() -> None:
    tables = Tables((node("n1"), node("n2", near=(LAKE,))), slices=(READER,), revision=7)
    nothing = changed(POLICY, weights=changed(POLICY.weights, locality=0))
    plan = decide(snapshot_of(tables, now_ms=77, policy=nothing))
    assert replayed(tables, recorded(plan, now_ms=77, policy=nothing)).placed[0].nodes == ("n1",)


def test_records_of_before_are_near_to_nothing_and_read_nothing() -> None:
    fields = msgspec.to_builtins(node("n1", near=(LAKE,)))
    assert fields.pop("near") == (LAKE,)
    assert msgspec.convert(fields, NodeRecord).near == ()
    said = msgspec.to_builtins(READER)
    assert said["wants"].pop("reads") == (LAKE,)
    old = msgspec.convert(said, SliceRecord)
    assert home([node("n1"), node("n2", near=(LAKE,))], old) == "n1"
