"""An agent asks of what was placed on it what the planner has asked: it may be another node by now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
import trio.testing
from agent_world import agent_world
from msgspec.structs import replace as changed
from runink.actors.fitness import NOT_FOR_NODE, check_taken
from runink.capabilities import IsolationPolicy
from runink.dag import Resources
from runink.errors import Unavailable
from runink.jobs import Failed
from runink.names import HerdName, NodeId, RunId, SliceId
from runink.placement.cluster import HerdView
from runink.runs.failures import may_pass
from runink.runs.records import NodeRecord, SliceRecord, SliceState, Task
from runink.wants import Wants

SOON_S = 0.5
HERD = HerdView(HerdName("h"))
NODE = NodeRecord(NodeId("n"), Resources(1000, 1 << 30), labels=("gpu", "zone=a"))


def slice_of(name: str = "a", **changes: Any) -> SliceRecord:
    one = SliceRecord(
        SliceId(name), RunId("r"), HerdName("h"), "a", SliceState.PLACED, Resources(500, 1 << 20)
    )
    return changed(one, **changes)


def refused(node: NodeRecord, *records: SliceRecord) -> str:
    with pytest.raises(Unavailable) as told:
        check_taken(node, records, HERD)
    assert told.value.code == NOT_FOR_NODE
    return told.value.text


def test_a_node_takes_what_it_could_hold_if_it_were_empty() -> None:
    check_taken(NODE, [slice_of(labels=("zone=a",)), slice_of("b")], HERD)


def test_what_needs_a_label_or_a_herd_or_a_sight_that_the_node_has_no_more_is_refused() -> None:
    assert "label ssd" in refused(NODE, slice_of(labels=("ssd",)))
    assert "is for others only" in refused(changed(NODE, herds=("others",)), slice_of())
    needs = slice_of(wants=Wants(sees=("crm",)))
    assert "may not see crm" in refused(changed(NODE, visible=("lake",)), needs)


def test_slices_that_together_are_more_than_the_node_has_now_are_refused() -> None:
    assert "cpu" in refused(NODE, slice_of(), slice_of("b"), slice_of("c"))


def test_a_wall_that_the_node_lacks_is_refused_but_for_herds_that_may_do_without() -> None:
    bare = changed(NODE, missing={"seccomp": "the kernel has none"})
    assert "lacks seccomp" in refused(bare, slice_of())
    lenient = changed(HERD, isolation=IsolationPolicy(allow_missing=("seccomp",)))
    check_taken(bare, [slice_of()], lenient)


def test_a_node_for_all_takes_nothing_of_a_herd_that_uses_its_own_but_the_ends_of_its_runs() -> (
    None
):
    picky = changed(HERD, own_nodes=True)
    with pytest.raises(Unavailable, match="n is for all herds, and h uses its own nodes only"):
        check_taken(NODE, [slice_of()], picky)
    check_taken(changed(NODE, herds=(HERD.herd,)), [slice_of()], picky)
    check_taken(NODE, [slice_of(task=Task.PUBLISH)], picky)


def test_what_ends_a_run_is_taken_by_a_full_node_for_it_needs_nothing() -> None:
    check_taken(changed(NODE, capacity=Resources(1, 1)), [slice_of(task=Task.PUBLISH)], HERD)


@pytest.mark.trio
async def test_what_was_placed_by_the_old_record_of_a_node_is_not_launched_there_and_may_be_tried_again(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        await world.stop()
        await world.place_gang()
        world.look = lambda node: changed(node, herds=(HerdName("others"),))
        await world.start()
        await anyio.sleep(SOON_S)
        record = await world.seen("a")
        assert record.state is SliceState.FAILED
        assert isinstance(record.report, Failed)
        assert record.report.error.code == NOT_FOR_NODE
        assert may_pass(record)
        assert world.is_idle()
