"""A launch in whose middle a process ends without a word: at every numbered step, whoever takes it, whatever closes slices off.  What is asked is answered, and nothing is left."""

from __future__ import annotations

import pytest
from leak_world import (
    HAS_GROUPS,
    assert_all_cleared,
    base_name,
    groups_of,
    living_in,
    lying_at,
    mounts_at,
    namespace_of,
    ours,
    ours_again,
    quiet,
    told_of_ends,
)
from runink.errors import LinkLost, Refused, Unavailable
from runink.sandbox.client import ForkServerLost
from runink.sandbox.isolation import STEPS
from runink.sandbox.starting import running_spawner
from sandbox_world import (
    IN_WALLS,
    Way,
    World,
    descriptors_of,
    gone,
    place_in,
    shown,
    world_in,
)

pytestmark = pytest.mark.anyio
OF_SPAWNER = (1, 2, 3, 4, 5, 6)
OF_FIRST = (7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17)
OF_WORKER = (18, 19)
# Bubblewrap's own process begins as the launcher, and what a cell does up to step 10 is its part.
OF_LAUNCHER = (5, 9, 12)
OF_FIRST_WRAPPED = (11, 12, 13, 14, 15, 16, 17)
STEPS_OF = {
    Way.CELLS: {"first": OF_FIRST, "worker": OF_WORKER},
    Way.ALONE: {"first": OF_FIRST, "worker": OF_WORKER},
    Way.BUBBLEWRAP: {"launcher": OF_LAUNCHER, "first": OF_FIRST_WRAPPED, "worker": OF_WORKER},
}
OF_CELL = [
    pytest.param(way, f"{who}:{step}", id=f"{way.value}-{who}:{step}")
    for way, all_of_it in STEPS_OF.items()
    for who, steps in all_of_it.items()
    for step in steps
]
FORKED = (Way.CELLS, Way.ALONE)
PROCESSES = dict.fromkeys(FORKED, 2) | {
    Way.BUBBLEWRAP: 1
}  # the spawner's own: with it, or not, a fork server
GROUPS = {Way.CELLS: {"h-", "zy"}, Way.ALONE: {"h-", "zy"}, Way.BUBBLEWRAP: {"h-"}}  # likewise


def test_there_is_a_test_for_every_step():
    assert sorted(OF_SPAWNER + OF_FIRST + OF_WORKER) == sorted(STEPS)


@IN_WALLS
@pytest.mark.parametrize("step", OF_SPAWNER, ids=str)
async def test_a_spawner_that_is_killed_at_a_step_leaves_nothing_but_what_the_next_one_clears(
    tmp_path, way, step
):
    place = place_in(tmp_path, way=way, end_at=f"spawner:{step}")
    before = ours()
    async with running_spawner(place, agent="test") as spawner:
        namespace = namespace_of(spawner.pid)
        assert living_in(namespace)
        with shown(tmp_path) as binds, pytest.raises(LinkLost):
            await World(spawner).launch("nothing", binds=binds, memory_bytes=64 << 20)
        await gone(spawner.pidfd)
    assert f"ends at step {step}," in place.log.read_text()
    assert living_in(namespace) == []
    await ours_again(before)
    assert lying_at(place) == ["log", "socket", "socket.root"]
    assert mounts_at(place) == []
    async with world_in(tmp_path, way=way) as world:
        assert (await world.ran("exit 5"))[0].code == 5
        await quiet(world, place, processes=PROCESSES[way])
        names = {one.rpartition("/")[2] for one in groups_of(place)}
        kinds = GROUPS[way] if HAS_GROUPS else set()
        assert {name[:2] for name in names - {base_name(place)}} == kinds
    assert_all_cleared(place)
    await ours_again(before)


@pytest.mark.parametrize(("way", "end_at"), OF_CELL)
async def test_a_process_of_a_cell_that_is_killed_at_a_step_refuses_the_launch_and_nothing_stays(
    tmp_path, way, end_at
):
    place = place_in(tmp_path, way=way, end_at=end_at)
    before = ours()
    async with world_in(tmp_path, way=way, end_at=end_at) as world:
        left = []
        with shown(tmp_path) as binds:
            for number in range(3):
                with pytest.raises(Refused) as refused:
                    await world.launch("nothing", str(number), binds=binds)
                assert refused.value.code == "slice_not_prepared"
                left.append(await left_of(world, place, way))
        assert left[1] == left[2], "the first has made what stays: its herd's cgroup, and ids"
        assert await world.spawner.list() == []
    who, step = end_at.split(":")
    is_logged = way in FORKED and who == "first"  # bubblewrap's have another standard error
    assert not is_logged or place.log.read_text().count(f"ends at step {step},") == 3
    assert_all_cleared(place)
    await ours_again(before)


async def left_of(world, place, way):
    """Return what the spawner has, and its fork server, when nothing is under way."""
    kept = [world.spawner.pid]
    if way in FORKED:
        kept.append(await world.fork_server())
    await quiet(world, place, processes=PROCESSES[way])
    await told_of_ends(world)
    return {
        "groups": groups_of(place),
        "descriptors": [descriptors_of(pid) for pid in kept],
        "files": lying_at(place),
    }


@pytest.mark.parametrize("step", [4, 5], ids=["before the clone", "after it, with nobody told"])
async def test_a_zygote_that_is_killed_over_a_clone_refuses_the_launch_and_leaves_no_cell(
    tmp_path, step
):
    place = place_in(tmp_path, end_at=f"zygote:{step}")
    before = ours()
    async with world_in(tmp_path, end_at=place.end_at) as world:
        for number in range(2):
            with pytest.raises(Unavailable) as refused:
                await world.launch("nothing", str(number))
            assert refused.value.code == "fork_server_lost"
            await world.event(ForkServerLost, number)
            await world.fork_server(number + 1)
        await quiet(world, place, processes=2)
    assert place.log.read_text().count(f"ends at step {step},") == 2
    assert_all_cleared(place)
    await ours_again(before)
