"""Launches through bubblewrap that go wrong: bubblewrap says no, or what it starts.  What is asked is answered with the reason.  Processes that end at a numbered step: `test_launch_faults.py`."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import pytest
from leak_world import (
    namespaces_of,
)
from runink.errors import Refused
from sandbox_world import (
    Way,
    code_in,
    is_alive,
    line_of,
    shown,
    tree_of,
    world_in,
)

pytestmark = pytest.mark.anyio


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
