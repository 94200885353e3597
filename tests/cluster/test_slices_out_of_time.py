"""Slices that are out of their wall time: how they are ended, and what they may say before."""

from __future__ import annotations

import signal
from contextlib import suppress

import pytest
from runink.sandbox.protocol import GRACE_S
from sandbox_world import (
    IN_EACH,
    OF_ONE,
    WHERE_SIGNALS_END,
    is_alive,
    some_of,
    tree_of,
    world_in,
)

pytestmark = pytest.mark.anyio
TREE = 4  # processes of the job `tree`, its own included; a cell has its first process besides
# The first in which a slice comes so far as it is to; on a quiet machine the shortest.
WALL_TIMES_S = (0.5, 2.0, 8.0, 30.0)


@WHERE_SIGNALS_END
@pytest.mark.parametrize(
    ("job", "number"), [("tree", signal.SIGTERM), ("stubborn_tree", signal.SIGKILL)]
)
async def test_wall_time_ends_a_slice_with_its_tree(tmp_path, job, number, way):
    async with world_in(tmp_path, way=way) as world:
        for wall_time_s in WALL_TIMES_S:
            name = f"{wall_time_s:g}"
            launched = await world.launch(job, name, wall_time_s=wall_time_s)
            is_grown = await some_of(launched.stdout) == b"grown\n"
            pids = []
            with suppress(FileNotFoundError, ProcessLookupError):  # its time is over already
                pids += tree_of(launched.pid) if is_grown else []
            exited = await world.exited(name)
            launched.close()
            assert exited.cause == "timeout"
            if len(pids) == TREE + (way not in OF_ONE):
                break
        assert exited.signal == number
        assert (exited.wall_time_s, exited.survivors) == (wall_time_s, 0)
        grace_s = GRACE_S if number == signal.SIGKILL else 0
        assert exited.wall_s >= wall_time_s + grace_s, "it had all of its time, and of its grace"
        assert len(pids) == TREE + (way not in OF_ONE)
        assert not any(map(is_alive, pids))


@IN_EACH
async def test_a_slice_out_of_its_wall_time_may_say_a_last_word(tmp_path, way):
    async with world_in(tmp_path, way=way) as world:
        for wall_time_s in WALL_TIMES_S:
            name = f"{wall_time_s:g}"
            exited, stdout, _ = await world.ran("last_words", name, wall_time_s=wall_time_s)
            if stdout:
                break
        assert stdout.splitlines()[-1] == "last words"
        assert (exited.cause, exited.code, exited.signal) == ("timeout", 0, 0)
