"""The one node that a run could go to is away: it waits for it, and fails only when it has not come back in time."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest
import trio.testing
from runink.barn.keys import node_key
from runink.dag import Resources
from runink.names import NodeId, RunId
from runink.runs.records import NodeRecord, RunState, SliceState
from runink.testing.lives import Crash

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))

from controlled_world import NODE, SOON_S, refuse_commits
from test_vigil import Watched, watched

pytestmark = pytest.mark.trio
OTHER = NodeId("n2")
BACK_S = 60.0


async def hire_small(made: Watched) -> None:
    await made.barn.put(node_key(OTHER), NodeRecord(OTHER, Resources(50, 8 << 30)))
    made.living.add(OTHER)
    await anyio.sleep(SOON_S)


async def submitted(made: Watched) -> RunId:
    """Submit a run for which OTHER is too small."""
    request = made.world.request()
    await made.world.client.submit(request)
    await anyio.sleep(SOON_S)
    return request.run


async def part(made: Watched, node: NodeId = NODE) -> None:
    made.living.discard(node)
    await made.barn.delete(node_key(node))


async def test_a_run_waits_for_the_only_node_that_could_hold_it_and_goes_there_when_it_is_back(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with watched(NODE, back_s=BACK_S) as made:
        await hire_small(made)
        await part(made)
        run = await submitted(made)
        (one,) = await made.world.slices(run)
        assert one.state is SliceState.PENDING
        assert one.waits_for.startswith("node n1, lost ")
        assert (await made.world.run(run)).waits_for == one.waits_for
        await anyio.sleep(BACK_S / 2)
        await made.hire(NODE)
        await anyio.sleep(SOON_S)
        (one,) = await made.world.slices(run)
        assert (one.state, one.node) == (SliceState.PLACED, NODE)


async def test_before_anybody_has_said_that_a_node_is_lost_it_is_waited_for(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watched(NODE, back_s=BACK_S) as made:
        await hire_small(made)
        refuse_commits(made.barn, monkeypatch, times=2)  # what the vigil says
        await part(made)
        run = await submitted(made)
        (one,) = await made.world.slices(run)
        assert one.waits_for == "node n1 would fit, and went away just now: waiting"
        await anyio.sleep(3.0)
        (one,) = await made.world.slices(run)
        assert one.waits_for.startswith("node n1, lost ")


async def test_a_run_fails_when_the_node_has_not_come_back_in_time_and_says_so(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with watched(NODE, back_s=BACK_S) as made:
        await hire_small(made)
        await part(made)
        run = await submitted(made)
        await anyio.sleep(BACK_S - 2.0)
        assert not (await made.world.run(run)).state.is_over
        await anyio.sleep(3.0)
        record = await made.world.run(run)
        assert (record.state, record.failure and record.failure.error.code) == (
            RunState.FAILED,
            "never_fits",
        )
        assert record.failure is not None
        assert "n2 has 50m" in record.failure.error.text
        assert "node n1, lost " in record.failure.error.text
        assert "did not come back by" in record.failure.error.text


async def test_of_a_cluster_that_is_started_the_first_node_is_not_taken_for_all_there_are(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with watched(NODE, back_s=BACK_S) as made:
        await part(made)
        await anyio.sleep(3 * BACK_S)
        await made.vigil.tell(Crash())  # and whoever acts begins anew
        await made.world.crash_scheduler()
        await anyio.sleep(SOON_S)
        await hire_small(made)
        run = await submitted(made)
        assert (await made.world.slices(run))[0].waits_for.startswith("node n1, lost ")
