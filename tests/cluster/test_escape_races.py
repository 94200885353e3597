"""What a slice is shown while somebody changes what lies at its path, again and again: the folder that was meant, or nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from escape_world import in_slice, job, without
from runink.errors import Refused
from runink.sandbox.client import Bind
from runink.sandbox.isolation import SCRATCH_FILES
from sandbox_world import IN_WALLS, Way, shown, world_in

pytestmark = pytest.mark.anyio
LAUNCHES_MIN = 30
LAUNCHES_MAX = 1000  # until the path was seen both ways
FILES = 1_000_000
EXCHANGE = """
import ctypes, os, sys
exchange = ctypes.CDLL(None, use_errno=True).renameat2
one, other, parent = os.fsencode(sys.argv[1]), os.fsencode(sys.argv[2]), int(sys.argv[3])
print(flush=True)
while os.getppid() == parent:
    if exchange(-100, one, -100, other, 2):
        sys.exit(os.strerror(ctypes.get_errno()))
"""


@contextmanager
def exchanged(one: Path, other: Path) -> Iterator[None]:
    """Have two names change places all the time."""
    words = [sys.executable, "-c", EXCHANGE, str(one), str(other), str(os.getpid())]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            assert process.poll() is None, "it went on to the end"
            process.kill()


def folders(base: Path, place: str) -> tuple[Path, Path, Path]:
    """Make the folder that is meant and one that is not; return the path, and the two names that change places."""
    meant, other = base / "parent" / "shown", base / "elsewhere" / "shown"
    for folder, text in ((meant, "meant"), (other, "secret")):
        folder.mkdir(parents=True)
        (folder / "file").write_text(text)
    if place == "itself":
        link = base / "link"
        link.symlink_to(other)
        return meant, meant, link
    link = base / "link"
    link.symlink_to(base / "elsewhere")
    return meant, base / "parent", link


@pytest.mark.parametrize(
    ("way", "warm"),
    [(Way.CELLS, 0), (Way.CELLS, 2), (Way.BUBBLEWRAP, 0)],
    ids=["new", "warm", "bubblewrap"],
)
@pytest.mark.parametrize("place", ["itself", "above it"])
async def test_a_folder_that_is_swapped_for_a_link_is_shown_as_it_was_meant_or_not_at_all(
    tmp_path, place, way, warm
):
    path, one, other = folders(tmp_path, place)
    meant = os.open(path, os.O_PATH)
    seen = {"meant": 0, "slice_not_shown": 0, "secret without": 0}
    read = {"path": str(path / "file")}
    async with world_in(tmp_path, way=way, entry="escape_probes:main", warm=warm) as world:
        with exchanged(one, other):
            for number in range(LAUNCHES_MAX):
                try:
                    said = await in_slice(world, "reader", read, binds=[Bind(str(path), meant, False)])  # fmt: skip
                except Refused as error:
                    said = error.code
                seen[said] += 1  # "secret" is no key
                seen["secret without"] += without_slice(path) == "secret"
                world.heard.clear()
                if number >= LAUNCHES_MIN and all(seen.values()):
                    break
    os.close(meant)
    assert all(seen.values()), "it was caught both ways, and who only goes by the path is deceived"


def without_slice(path: Path) -> str:
    try:
        return (path / "file").read_text()
    except FileNotFoundError:
        return ""


@IN_WALLS
async def test_what_a_slice_puts_into_its_folder_leads_no_other_slice_out(tmp_path, way):
    """A link that a slice leaves in a folder leads the next one to a path of its own root."""
    folder, secret = tmp_path / "folder", tmp_path / "secret"
    folder.mkdir()
    secret.write_text("secret")
    (folder / "file").symlink_to(secret)
    read = {"path": str(folder / "file")}
    assert without("reader", read) == "secret"
    with shown(folder, is_writable=True) as binds:
        async with world_in(tmp_path, way=way, entry="escape_probes:main") as world:
            exited, _, stderr = await world.ran(job("reader", read), binds=binds)
    assert exited.code == 70
    assert "FileNotFoundError" in stderr


@IN_WALLS
async def test_a_million_files_are_too_many(tmp_path, way):
    """What fills the kernel's memory is bounded, also where no byte is in it."""
    async with world_in(tmp_path, way=way, entry="escape_probes:main") as world:
        made, said = await in_slice(world, "collector", {"folder": "/tmp", "files": FILES})
    assert said == "ENOSPC"
    assert SCRATCH_FILES - 16 <= made <= SCRATCH_FILES
    host = tmp_path / "host"
    host.mkdir()
    some = {"folder": str(host), "files": 1000}
    assert without("collector", some) == [1000, "done"]


@IN_WALLS
async def test_no_link_is_left_in_a_folder_that_lies_beneath_the_slices_own(tmp_path, way):
    """Landlock's rule for /tmp would hold for what is mounted beneath it as well."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        place = {"folder": folder}
        with shown(Path(folder), is_writable=True) as binds:
            async with world_in(tmp_path, way=way, entry="escape_probes:main") as world:
                said = await in_slice(world, "links", place, binds=binds)
        assert said == {"leave a link": "EACCES", "make a link in /tmp": "EACCES"}
        assert without("links", place) == dict.fromkeys(said, "done")
