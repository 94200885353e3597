"""Launches through bubblewrap that go wrong: a process ends at a numbered step, or bubblewrap says no.  What is asked is answered with the reason, and nothing is left."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

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
    namespaces_of,
    ours,
    quiet,
    told_of_ends,
)
from runink.errors import LinkLost, Refused
from runink.sandbox.starting import running_spawner
from sandbox_world import (
    Way,
    World,
    code_in,
    descriptors_of,
    gone,
    is_alive,
    line_of,
    place_in,
    shown,
    tree_of,
    world_in,
)

pytestmark = pytest.mark.anyio
OF_SPAWNER = (1, 2, 3, 4, 5, 6)
OF_CELL = [
    *(f"launcher:{step}" for step in (5, 9, 12)),
    *(f"first:{step}" for step in (11, 12, 13, 14, 15, 16, 17)),
    *(f"worker:{step}" for step in (18, 19)),
]


@pytest.mark.parametrize("step", OF_SPAWNER, ids=str)
async def test_a_spawner_that_is_killed_over_bubblewrap_leaves_nothing_but_what_the_next_one_clears(
    tmp_path, step
):
    place = place_in(tmp_path, way=Way.BUBBLEWRAP, end_at=f"spawner:{step}")
    before = ours()
    async with running_spawner(place, agent="test") as spawner:
        namespace = namespace_of(spawner.pid)
        with shown(tmp_path) as binds, pytest.raises(LinkLost):
            await World(spawner).launch("nothing", binds=binds, memory_bytes=64 << 20)
        await gone(spawner.pidfd)
    assert f"ends at step {step}," in place.log.read_text()
    assert living_in(namespace) == []
    assert ours() == before
    assert lying_at(place) == ["log", "socket", "socket.root"]
    assert mounts_at(place) == []
    async with world_in(tmp_path, way=Way.BUBBLEWRAP) as world:
        assert (await world.ran("exit 5"))[0].code == 5
        await quiet(world, place, processes=1)
        names = {one.rpartition("/")[2] for one in groups_of(place)}
        assert {name[:2] for name in names - {base_name(place)}} == (
            {"h-"} if HAS_GROUPS else set()
        )
    assert_all_cleared(place)
    assert ours() == before


@pytest.mark.parametrize("end_at", OF_CELL)
async def test_a_process_that_is_killed_at_a_step_refuses_the_launch_and_nothing_stays(
    tmp_path, end_at
):
    place = place_in(tmp_path, way=Way.BUBBLEWRAP, end_at=end_at)
    before = ours()
    async with world_in(tmp_path, way=Way.BUBBLEWRAP, end_at=end_at) as world:
        left = []
        with shown(tmp_path) as binds:
            for number in range(3):
                with pytest.raises(Refused) as refused:
                    await world.launch("nothing", str(number), binds=binds)
                assert refused.value.code == "slice_not_prepared"
                left.append(await left_of(world, place))
        assert left[1] == left[2], "the first has made what stays: its herd's cgroup, and ids"
        assert await world.spawner.list() == []
    assert_all_cleared(place)
    assert ours() == before


async def left_of(world, place):
    """Return what the spawner has, when nothing is under way."""
    await quiet(world, place, processes=1)
    spawner = world.spawner.pid
    await told_of_ends(world)
    return {
        "groups": groups_of(place),
        "descriptors": descriptors_of(spawner),
        "files": lying_at(place),
    }


async def test_what_bubblewrap_complains_of_is_the_reason_of_the_refusal(tmp_path):
    async with world_in(tmp_path, way=Way.BUBBLEWRAP) as world:
        with pytest.raises(Refused) as refused:
            await world.launch("nothing", cwd="/usr/nowhere/to/be/made")
        assert refused.value.code == "slice_not_prepared"
        assert "bwrap: " in refused.value.text
        assert "/usr/nowhere" in refused.value.text
        assert await world.spawner.list() == []
        assert (await world.ran("exit 3", "next"))[0].code == 3


@pytest.mark.parametrize(
    ("base", "told"),
    [("/tmp", "step 9 (root): NotADirectoryError"), ("/var/tmp", "bwrap: Can't mkdir parents")],
)
async def test_a_working_folder_beneath_a_file_is_refused_by_who_finds_that_out(
    tmp_path, base, told
):
    """In the slice's own memory file systems the launcher makes the ways, elsewhere bubblewrap."""
    with tempfile.TemporaryDirectory(dir=base) as folder:
        file = _made(Path(folder, "file"))
        async with world_in(tmp_path, way=Way.BUBBLEWRAP) as world:
            with shown(file) as binds, pytest.raises(Refused) as refused:
                await world.launch("nothing", binds=binds, cwd=f"{file}/beneath")
    assert told in refused.value.text
    assert f"{folder}/file/beneath" in refused.value.text


def _made(file: Path) -> Path:
    file.touch()
    return file


async def test_an_entry_that_cannot_be_imported_refuses_each_launch_with_its_reason(tmp_path):
    code = code_in(tmp_path)
    (code / "broken_entry.py").write_text("import nowhere_to_be_found\n")
    async with world_in(
        tmp_path, way=Way.BUBBLEWRAP, entry="broken_entry:main", path=(code,)
    ) as world:
        for number in range(2):
            with pytest.raises(Refused, match="nowhere_to_be_found") as refused:
                await world.launch("nothing", str(number))
            assert refused.value.code == "slice_not_prepared"


async def test_each_slice_has_namespaces_of_its_own_and_is_laid_out_anew(tmp_path):
    """Which copies of one fork server are not."""
    async with world_in(tmp_path, way=Way.BUBBLEWRAP) as world:
        one, other = await world.launch("wait", "one"), await world.launch("wait", "other")
        for launched in (one, other):
            assert await line_of(launched.stdout) == "waiting"
        spaces = [namespaces_of(tree_of(launched.pid)) for launched in (one, other)]
        assert not spaces[0] & spaces[1]
        assert not any(space & namespaces_of([os.getpid(), world.spawner.pid]) for space in spaces)
        stacks = [_stack_of(launched.pid) for launched in (one, other)]
        assert stacks[0] != stacks[1]
        one.close()
        other.close()


def _stack_of(pid: int) -> str:
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return next(line.split("-")[0] for line in lines if line.endswith("[stack]"))


async def test_a_signal_reaches_the_worker_through_bubblewrap_and_nobody_outside_dies_of_it(
    tmp_path,
):
    async with world_in(tmp_path, way=Way.BUBBLEWRAP) as world:
        for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1"):
            number = getattr(signal, name)
            launched = await world.launch("catch", name)
            assert await line_of(launched.stdout) == "waiting"
            pids = tree_of(launched.pid)
            assert len(pids) == 2
            assert await world.spawner.signal(name, number)
            exited = await world.exited(name)
            assert (exited.cause, exited.code) == ("exited", number)
            assert not any(map(is_alive, pids))
            launched.close()
