"""What the run controller sees: which changes it need not decide on, and whom a herd has room for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as changed
from runink.actors.run_sight import RunSight
from runink.actors.tables import Loaded
from runink.barn.history import Watched
from runink.barn.keys import herd_key, node_key, reservation_key, run_key, slice_key
from runink.barn.keyvalue import Change, KeyValue
from runink.clients.barn import encode_value
from runink.dag import Resources
from runink.herds.record import HerdRecord
from runink.names import BundleHash, HerdName, NodeId, PipelineName, RunId, SliceId
from runink.runs.passing import SliceChange
from runink.runs.records import (
    NodeRecord,
    RunRecord,
    RunState,
    SliceRecord,
    SliceState,
)
from runink.runs.reservations import ReservationRecord, Victim

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))

from run_world import staged_dag

HERD, NODE = HerdName("default"), NodeId("n1")
RUN, OTHER = RunId("0" * 26), RunId("1" * 26)
DAG = staged_dag("a", "b")
RESOURCES = Resources(100, 1 << 20)


def item(key: str, value: Any) -> KeyValue:
    return KeyValue(key, encode_value(value), 1, 1, 1)


@pytest.mark.parametrize(
    ("victims", "is_passing"),
    [((), True), ((Victim(OTHER, "g", 1),), True), ((Victim(RUN, "g", 1),), False)],
)
def test_places_that_are_kept_have_a_run_decided_on_only_where_it_is_stopped_for_them(
    victims: tuple[Victim, ...], *, is_passing: bool
) -> None:
    record = RunRecord(
        RUN, HERD, PipelineName("p"), "v", "p", "p.dsl", "/p", BundleHash("b"), RunState.RUNNING, 1
    )
    kept = ReservationRecord(OTHER, "head", (NODE,), 0, victims, 0, (1, 0))
    launching = SliceRecord(
        SliceId("a"), RUN, HERD, "g", SliceState.LAUNCHING, RESOURCES, node=NODE
    )
    items = (
        item(run_key(HERD, RUN), record),
        item(node_key(NODE), NodeRecord(NODE, RESOURCES)),
        item(slice_key(HERD, RUN, launching.slice), launching),
        item(reservation_key(OTHER, "head"), kept),
    )
    sight = RunSight()
    sight.load(Loaded(items, 1))
    change = SliceChange(launching, changed(launching, state=SliceState.RUNNING))
    assert sight.are_passing(RUN, [change], DAG) == is_passing


def test_a_run_with_an_older_name_comes_behind_those_that_may_have_been_admitted_meanwhile() -> (
    None
):
    """Found by the simulation, seed 56: a newer run was being admitted, which nobody had seen yet, when an older one came."""
    sight = RunSight()
    herd = HerdRecord(HERD, runs=1)
    sight.load(Loaded((item(herd_key(HERD), herd), submitted(OTHER, 2)), 2))
    assert refused(sight, OTHER) == "", "it is admitted, and that is on its way"
    late = submitted(RUN, 3)
    sight.apply(Watched((Change(3, late.key, late),), 3))
    assert RUN < OTHER
    assert refused(sight, RUN) == "herd default has 1 of 1 runs"


def submitted(run: RunId, revision: int) -> KeyValue:
    """Return a run as it was put in that revision."""
    name, bundle = PipelineName("p"), BundleHash("b")
    record = RunRecord(run, HERD, name, "v", "p", "p.dsl", "/p", bundle, RunState.SUBMITTED, 1)
    return KeyValue(run_key(HERD, run), encode_value(record), revision, revision, 1)


def refused(sight: RunSight, run: RunId) -> str:
    record = sight.record_of(run)
    assert record is not None
    return sight.world(record, now_ms=1, session="").refused
