"""Folders that slices may not read: what the sandbox makes is open to them whatever the mask of who runs the node, and what it finds closed is named."""

from __future__ import annotations

import os
import shlex

import anyio
import pytest
from runink.errors import Refused
from sandbox_world import code_in, shown, world_in

pytestmark = pytest.mark.anyio


@pytest.fixture
def mask():
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("mask")
async def test_a_slice_finds_its_root_open_whatever_the_mask_of_who_runs_the_node(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    with shown(folder, is_writable=True) as binds:
        async with world_in(tmp_path) as world:
            for place, text in (("/etc/passwd", "slice:x:1000"), ("/etc/hosts", "localhost")):
                _, stdout, stderr = await world.ran(f"look {place}", place, binds=binds)
                assert text in stdout, stderr
            await world.ran(f"write {folder}/file", "writes", binds=binds)
    assert (folder / "file").stat().st_mode & 0o777 == 0o600, "what it writes itself is masked"


CLOSED = {
    "its folder": ("", 0o700),
    "a package that it imports": ("package", 0o700),
    "a module that it imports": ("package/module.py", 0o600),
}


@pytest.mark.parametrize(("path", "mode"), CLOSED.values(), ids=CLOSED)
async def test_an_entry_that_slices_may_not_read_is_refused_with_what_is_closed_and_what_opens_it(
    tmp_path, path, mode
):
    code = code_in(tmp_path)
    (code / "package").mkdir()
    (code / "package" / "__init__.py").write_text("NUMBER = 3\n")
    (code / "package" / "module.py").write_text("NUMBER = 4\n")
    (code / "an_entry.py").write_text(
        "import package\nfrom package import module\n"
        "def main(job, control, descriptors): return package.NUMBER + module.NUMBER\n"
    )
    closed = code / path
    closed.chmod(mode)
    changes = {"entry": "an_entry:main", "path": (code,)}
    async with world_in(tmp_path, **changes) as world:
        with pytest.raises(Refused) as refused:
            await world.launch("nothing")
    assert refused.value.code == "no_entry"
    said = f"may not read {closed} (mode {mode:04o}): "
    assert said in refused.value.text
    mended = refused.value.text.partition(said)[2]
    await anyio.run_process(shlex.split(mended))
    async with world_in(tmp_path, **changes) as world:
        assert (await world.ran("nothing"))[0].code == 7
