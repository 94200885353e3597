"""What a slice is shown of the machine: what its agent meant, at its own path, and nothing beside it."""

from __future__ import annotations

import os
import stat

import anyio
import pytest
from runink.errors import Refused
from runink.sandbox.client import Bind
from sandbox_world import IN_WALLS, shown, world_in

pytestmark = pytest.mark.anyio
FORBIDDEN = ("EROFS", "EACCES")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "shown"
    folder.mkdir()
    (folder / "file").write_text("content")
    (tmp_path / "secret").write_text("secret")
    return folder


async def said(world, job, name="slice", **changes):
    """Run a slice and return what it printed, which is one thing."""
    exited, stdout, stderr = await world.ran(job, name, **changes)
    assert (exited.code, stderr) == (0, "")
    world.heard.clear()
    return stdout.rstrip("\n")


@IN_WALLS
async def test_what_is_shown_is_read_and_nothing_else_is_there(tmp_path, folder, way):
    (folder / "way out").symlink_to(tmp_path / "secret")
    with shown(folder) as binds:
        async with world_in(tmp_path, way=way) as world:
            assert await said(world, f"look {folder}/file", binds=binds) == "content"
            assert await said(world, f"look {folder}", binds=binds) == "file way out"
            assert await said(world, f"look {folder}/way out", binds=binds) == "ENOENT"
            assert await said(world, f"look {tmp_path}", binds=binds) == "shown"
            assert await said(world, f"look {tmp_path}/secret", binds=binds) == "ENOENT"
            assert await said(world, f"look {folder}/file") == "ENOENT", "another is shown nothing"


@IN_WALLS
async def test_what_is_not_to_be_written_is_not(tmp_path, folder, way):
    with shown(folder) as binds:
        async with world_in(tmp_path, way=way) as world:
            assert await said(world, f"write {folder}/file", binds=binds) in FORBIDDEN
            assert await said(world, f"write {folder}/new", binds=binds) in FORBIDDEN
            assert await said(world, f"write {tmp_path}/beside", binds=binds) in FORBIDDEN
            assert await said(world, "write /new", binds=binds) in FORBIDDEN
            assert await said(world, "write /usr/new", binds=binds) in FORBIDDEN
            assert await said(world, "write /etc/new", binds=binds) in FORBIDDEN
    assert [path.name for path in folder.iterdir()] == ["file"]
    assert (folder / "file").read_text() == "content"


@IN_WALLS
async def test_what_a_slice_writes_belongs_to_who_runs_the_agent(tmp_path, folder, way):
    with shown(folder, is_writable=True) as binds:
        async with world_in(tmp_path, way=way) as world:
            assert await said(world, f"write {folder}/new", binds=binds) == "written"
            assert await said(world, f"write {folder}/file", binds=binds) == "written"
    for name in ("new", "file"):
        found = (folder / name).stat()
        assert (found.st_uid, found.st_gid) == (os.getuid(), os.getgid())
        assert (folder / name).read_text() == "written"


@IN_WALLS
async def test_what_only_the_agent_may_read_a_slice_may_and_what_others_own_stays_theirs(
    tmp_path, folder, way
):
    (folder / "file").chmod(0o600)
    (folder / "another's").write_text("private")
    os.chown(folder / "another's", 4711, 4711)
    (folder / "another's").chmod(0o600)
    with shown(folder, is_writable=True) as binds:
        async with world_in(tmp_path, way=way) as world:
            assert await said(world, f"look {folder}/file", binds=binds) == "content"
            assert await said(world, f"look {folder}/another's", binds=binds) == "EACCES"
            assert await said(world, f"write {folder}/another's", binds=binds) == "EACCES"


@IN_WALLS
async def test_a_file_alone_and_a_folder_within_another_are_shown_as_they_are_meant(
    tmp_path, folder, way
):
    (folder / "out").mkdir()
    with shown(folder / "out", is_writable=True) as inner, shown(folder) as outer:
        async with world_in(tmp_path, way=way) as world:
            for binds in ([*inner, *outer], [*outer, *inner]):
                assert await said(world, f"write {folder}/out/new", binds=binds) == "written"
                assert await said(world, f"write {folder}/new", binds=binds) in FORBIDDEN
    with shown(folder / "file") as binds:
        async with world_in(tmp_path, way=way) as world:
            assert await said(world, f"look {folder}/file", binds=binds) == "content"
            assert await said(world, f"look {folder}", binds=binds) == "file"
    with shown(folder) as outer, shown(folder / "file", is_writable=True) as inner:
        async with world_in(tmp_path, way=way) as world:
            both = [*outer, *inner]
            assert await said(world, f"write {folder}/file", binds=both) == "written"
            assert await said(world, f"write {folder}/new", binds=both) in FORBIDDEN


@IN_WALLS
async def test_a_slices_own_memory_is_gone_with_it(tmp_path, way):
    name = f"runink-{os.getpid()}"
    async with world_in(tmp_path, way=way) as world:
        for place in ("/tmp", "/dev/shm"):
            assert await said(world, f"write {place}/{name}") == "written"
            assert await said(world, f"look {place}/{name}") == "ENOENT"
            assert not await anyio.Path(place, name).exists()


def another_folder(path, _aside):
    path.mkdir()


def a_link_elsewhere(path, _aside):
    path.symlink_to("/etc")


def a_link_on_the_way(path, aside):
    """Have the same path lead to a folder of somebody else by a link above it."""
    path.mkdir()
    parent = path.parent
    parent.rename(aside / "real")
    (aside / "false" / path.name).mkdir(parents=True)
    parent.symlink_to(aside / "false")


def nothing(_path, _aside):
    pass


@pytest.mark.parametrize("swapped", [another_folder, a_link_elsewhere, a_link_on_the_way, nothing])
@IN_WALLS
async def test_what_is_swapped_after_the_look_is_not_shown(tmp_path, swapped, way):
    path = tmp_path / "parent" / "shown"
    path.mkdir(parents=True)
    aside = tmp_path / "aside"
    aside.mkdir()
    async with world_in(tmp_path, way=way) as world:
        with shown(path, is_writable=True) as binds:
            path.rename(aside / "meant")
            swapped(path, aside)
            with pytest.raises(Refused) as refused:
                await world.launch("nothing", binds=binds)
            assert refused.value.code == "slice_not_shown"
            assert str(path) in refused.value.text
        assert await world.spawner.list() == []
        assert (await world.ran("exit 4"))[0].code == 4, "its name is free"


@IN_WALLS
async def test_an_agent_shows_only_what_it_holds(tmp_path, folder, way):
    """A path without the right descriptor says nothing: who has no right to the folder cannot have it shown."""
    with shown(folder) as (bind,):
        async with world_in(tmp_path, way=way) as world:
            with pytest.raises(Refused) as refused:
                await world.launch("nothing", binds=[Bind("/etc/shadow", bind.descriptor, False)])
            assert refused.value.code == "slice_not_shown"


@IN_WALLS
async def test_a_device_or_a_privileged_program_that_lies_there_is_none(tmp_path, folder, way):
    os.mknod(folder / "device", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    (folder / "device").chmod(0o666)
    with shown(folder, is_writable=True) as binds:
        async with world_in(tmp_path, way=way) as world:
            assert await said(world, f"look {folder}/device", binds=binds) == "EACCES"


@IN_WALLS
async def test_where_nothing_is_shown_the_working_folder_is_there_and_empty(tmp_path, folder, way):
    async with world_in(tmp_path, way=way) as world:
        assert await said(world, "look .", cwd=str(folder)) == ""
        assert await said(world, f"write {folder}/new", cwd=str(folder)) in FORBIDDEN
