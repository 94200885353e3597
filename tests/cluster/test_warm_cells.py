"""Cells that wait for slices, with real processes: a slice in one is as any other, and nothing is left of them."""

from __future__ import annotations

import json

import anyio
import pytest
from runink.sandbox.cgroup_spares import OPEN_MAX
from runink.sandbox.client import Exited, ForkServerReady
from runink.sandbox.starting import running_spawner
from sandbox_world import (
    WAIT_S,
    World,
    all_of,
    children_of,
    code_in,
    descriptors_of,
    first_processes_of,
    is_alive,
    place_in,
    shown,
    tree_of,
    world_in,
)

pytestmark = pytest.mark.anyio
TRIES_MAX = 100
ENTRY = "leak_entries:main"
LIMIT = 24 << 20


async def in_a_warm_cell(world, job, prefix, **changes):
    """Run slices until one has got a cell that was there before it; return its end and what it printed."""
    fork_server = await world.fork_server()
    for number in range(TRIES_MAX):
        name = f"{prefix}/{number}"
        if number:
            await has_spare(world, fork_server)
        there = children_of(fork_server)
        launched = await world.launch(job, name, **changes)
        was_there = launched.pid in there
        stdout = await all_of(launched.stdout)
        exited = await world.exited(name)
        launched.close()
        await world.spawner.release(name)
        if was_there:
            return exited, stdout
    raise AssertionError("no cell has waited for any of them")


async def has_spare(world, fork_server):
    """Wait until a cell waits, or is about to; one that has been asked for with other limits is none for everybody."""
    with anyio.fail_after(WAIT_S):
        while not first_processes_of(fork_server):
            await world.spawner.list()


async def test_a_slice_in_a_cell_that_waited_has_what_its_own_launch_gave_it(tmp_path):
    (tmp_path / "shown").mkdir()
    with shown(tmp_path / "shown") as binds:
        async with world_in(tmp_path, warm=1) as world:
            given = {"binds": binds, "cwd": str(tmp_path / "shown")}
            await world.ran("nothing", "first", environment={"A": "of another"}, **given)
            _, stdout = await in_a_warm_cell(world, "about", "b", environment={"B": "b"}, **given)
    about = json.loads(stdout)
    assert about["cwd"] == str(tmp_path / "shown")
    assert about["environment"]["B"] == "b"
    assert "A" not in about["environment"]
    assert about["session"]
    assert about["user"] == [1000, 1000]
    assert sorted(map(int, about["descriptors"])) == [0, 1, 2, 3]
    assert about["inheritable"] == [0, 1, 2]
    assert (int(about["blocked"], 16), int(about["caught"], 16)) == (0, 0)


async def test_a_slice_in_a_cell_that_waited_is_held_to_limits_of_its_own(tmp_path):
    async with world_in(tmp_path, warm=1, entry=ENTRY) as world:
        for number in range(2):  # the cells of this place are made without limits
            exited, _ = await in_a_warm_cell(world, "hog", f"held {number}", memory_bytes=LIMIT)
            assert exited.cause == "oom"
            assert exited.oom_kills > 0
            assert exited.memory_bytes_max == pytest.approx(LIMIT, rel=0.05)
            free, _ = await in_a_warm_cell(world, "nothing", f"free {number}")
            assert (free.code, free.oom_kills) == (0, 0)


async def test_slices_in_cells_that_waited_draw_numbers_of_their_own(tmp_path):
    numpy = code_in(tmp_path) / "numpy"
    numpy.mkdir()
    (numpy / "__init__.py").touch()
    # What matters of numpy's: a generator that was seeded when it was imported, and can be seeded anew.
    (numpy / "random.py").write_text(
        "from random import Random\n_own = Random()\nrandom, seed = _own.random, _own.seed\n"
    )
    path = (*place_in(tmp_path).path, tmp_path / "code")
    preload = ("random", "numpy.random")
    async with world_in(tmp_path, warm=2, preload=preload, path=path) as world:
        drawn = [json.loads((await in_a_warm_cell(world, "random", n))[1]) for n in range(3)]
    assert len({number for numbers in drawn for number in numbers}) == 6


async def test_what_a_preloaded_module_registers_for_after_a_fork_is_done_in_slices(tmp_path):
    (code_in(tmp_path) / "hooked.py").write_text(
        "import os\nforks = []\nos.register_at_fork(after_in_child=lambda: forks.append(1))\n"
    )
    path = (*place_in(tmp_path).path, tmp_path / "code")
    async with world_in(tmp_path, warm=1, preload=("hooked",), path=path) as world:
        ready = await world.event(ForkServerReady)
        assert ready.modules == ["hooked"]
        _, stdout, _ = await world.ran("hooked")
        assert stdout.strip() == "[1]"


async def test_fifty_slices_with_cells_that_wait_leave_nothing_behind(tmp_path):
    async with running_spawner(place_in(tmp_path, warm=3), agent="test") as spawner:
        world = World(spawner)
        async with anyio.create_task_group() as hearing:
            hearing.start_soon(world.hear)
            fork_server = await world.fork_server()
            await world.ran("nothing", "first")
            before = len(descriptors_of(spawner.pid))

            async def run(number):
                launched = await world.launch("nothing", str(number))
                launched.close()
                await world.exited(str(number))
                assert await spawner.release(str(number))

            for batch in range(5):
                async with anyio.create_task_group() as group:
                    for number in range(10):
                        group.start_soon(run, batch * 10 + number)
            assert await spawner.list() == []
            # Cells that wait, or are about to, are the only ones that anything is held for, but for a moment in which cgroups could serve again.
            with anyio.fail_after(WAIT_S):
                while len(descriptors_of(spawner.pid)) - before > 3 * (9 + OPEN_MAX):
                    await spawner.list()
                while len(first_processes_of(fork_server)) > 3:  # some are waited for yet
                    await spawner.list()
            pids = tree_of(spawner.pid)
            hearing.cancel_scope.cancel()
    assert not any(map(is_alive, pids))
    ends = [event for event in world.heard if isinstance(event, Exited)]
    assert {(end.cause, end.code) for end in ends} == {("exited", 0)}
