"""Bundles in the Barn: whole or not at all, and nothing but what their name says."""

from __future__ import annotations

import os
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import msgspec
import pytest
from runink.actors.barn import Barn
from runink.actors.bundles import Bundles, KeptBundle, too_many
from runink.barn.keys import BUNDLES, run_key
from runink.bundles import Bundle, BundleFile, hash_of, pack, unpack
from runink.clients.barn import BarnClient
from runink.clients.bundle_store import (
    HEAD,
    PACKED_BYTES_MAX,
    PART_BYTES,
    Head,
    fetch_bundle,
    put_bundle,
    stored_bundles,
)
from runink.errors import Broken, Invalid, NotFound, Unavailable
from runink.names import BundleHash, HerdName, PipelineName, RunId
from runink.runs.records import RunRecord, RunState
from runink.runtime.supervisor import ChildSpec, supervise
from runink.testing.disk import FaultyDisk, in_loop

pytestmark = pytest.mark.anyio
HERD = HerdName("default")


@asynccontextmanager
async def store() -> AsyncIterator[BarnClient]:
    disk = FaultyDisk()
    async with supervise() as supervisor:
        barn = await supervisor.start(
            ChildSpec("barn", lambda: Barn(lambda: disk, offload=in_loop))
        )
        yield BarnClient(barn, new_id=lambda: "t")


def bundle(*files: tuple[str, bytes]) -> Bundle:
    made = [BundleFile(path, content, is_executable=False) for path, content in files]
    return Bundle(hash_of(made), tuple(made))


def noise(size: int) -> bytes:
    """Bytes that do not compress."""
    state, out = 1, bytearray()
    while len(out) < size:
        state = state * 6364136223846793005 + 1442695040888963407 & (1 << 64) - 1
        out += (state >> 16).to_bytes(6, "little")
    return bytes(out[:size])


async def put_by_hand(barn: BarnClient, name: str, packed: bytes, *, size: int | None = None):
    await barn.put(BUNDLES.key(name, "00000"), packed)
    await barn.put(BUNDLES.key(name, HEAD), Head(1, len(packed) if size is None else size))


async def test_a_bundle_of_several_parts_comes_back_as_it_was():
    async with store() as barn:
        made = bundle(("a.py", noise(2 * PART_BYTES)), ("steps/b.py", b"x = 1\n"))
        await put_bundle(barn, made)
        assert await fetch_bundle(barn, made.hash) == made
        assert (await barn.range(BUNDLES.prefix(made.hash), bytes)).count > 2


async def test_a_bundle_that_is_there_is_not_put_again():
    async with store() as barn:
        made = bundle(("a.py", b"x = 1\n"))
        await put_bundle(barn, made)
        before = (await barn.status()).revision
        await put_bundle(barn, made)
        assert (await barn.status()).revision == before


async def test_what_has_no_head_is_not_there():
    async with store() as barn:
        made = bundle(("a.py", b"x = 1\n"))
        await barn.put(BUNDLES.key(made.hash, "00000"), b"half of it")
        with pytest.raises(NotFound) as error:
            await fetch_bundle(barn, made.hash)
        assert error.value.code == "no_bundle"


@pytest.mark.parametrize("path", ["../x.py", "/etc/x.py", "a/../../x.py", "", "a\0b"], ids=repr)
async def test_a_bundle_whose_files_leave_its_folder_is_damaged(path: str):
    async with store() as barn:
        made = bundle((path, b"x"))
        await put_bundle(barn, made)
        with pytest.raises(Broken, match="do not all belong"):
            await fetch_bundle(barn, made.hash)


@pytest.mark.parametrize(
    ("packed", "size", "why"),
    [
        (b"no zlib", None, "damaged"),
        (zlib.compress(b"\xc1"), None, "damaged"),
        (zlib.compress(msgspec.msgpack.encode([BundleFile("a", b"x", is_executable=False)])), None, "another hash"),
        (zlib.compress(msgspec.msgpack.encode([])), 7, "parts of it are missing"),
        (zlib.compress(b"\0" * (66 << 20)), None, "larger than a bundle may be"),
        (zlib.compress(msgspec.msgpack.encode([]))[:-2], None, "larger than|damaged"),
    ],
    ids=["no zlib", "no msgpack", "other content", "a part less", "a bomb", "cut"],
)  # fmt: skip
async def test_what_is_not_what_its_name_says_is_damaged(packed: bytes, size: int | None, why: str):
    async with store() as barn:
        name = BundleHash("0" * 64)
        await put_by_hand(barn, name, packed, size=size)
        with pytest.raises(Broken, match=why):
            await fetch_bundle(barn, name)


async def test_only_bundles_that_were_put_before_a_moment_may_be_taken_away():
    async with store() as barn:
        await put_bundle(barn, bundle(("a.py", b"x = 1\n")))
        await put_by_hand(barn, "0" * 64, b"old")
        assert await stored_bundles(barn, before_ms=1) == {"0" * 64}


async def test_code_that_is_too_much_for_the_store_is_refused_before_anything_is_put():
    async with store() as barn:
        before = (await barn.status()).revision
        with pytest.raises(Invalid) as error:
            await put_bundle(barn, bundle(("a.py", noise(PACKED_BYTES_MAX + 1))))
        assert error.value.code == "bundle_too_large"
        assert (await barn.status()).revision == before


async def test_a_node_fetches_a_bundle_once_and_has_it_as_it_was(tmp_path: Path):
    project = tmp_path / "project"
    (project / "steps").mkdir(parents=True)
    (project / "steps/s.py").write_text("x = 1\n")
    (project / "run.sh").write_text("#!/bin/sh\n")
    (project / "run.sh").chmod(0o755)
    async with store() as barn:
        made = pack(project)
        await put_bundle(barn, made)
        bundles = Bundles(barn, tmp_path / "bundles", offload=in_loop)
        await bundles.ready(made.hash)
        await barn.delete_prefix(BUNDLES.prefix(made.hash))
        await bundles.ready(made.hash)
        folder = tmp_path / "bundles" / made.hash
        assert (folder / "steps/s.py").read_text() == "x = 1\n"
        assert (folder / "run.sh").stat().st_mode & 0o111


async def test_a_disk_that_will_not_keep_a_bundle_fails_the_run_and_not_the_agent(tmp_path: Path):
    folder = tmp_path / "bundles"
    folder.write_text("no folder")
    async with store() as barn:
        made = bundle(("a.py", b"x = 1\n"))
        await put_bundle(barn, made)
        with pytest.raises(Unavailable) as error:
            await Bundles(barn, folder, offload=in_loop).ready(made.hash)
        assert error.value.code == "bundle_not_kept"


async def test_a_fetched_bundle_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "bundles"
    synced: list[tuple[str, bool]] = []
    sync = os.fsync

    def noted(file: int) -> None:
        path = Path(f"/proc/self/fd/{file}").readlink()
        synced.append((path.name, (folder / made.hash).exists()))
        sync(file)

    made = bundle(("a.py", b"x = 1\n"), ("steps/b.py", b"y = 2\n"))
    async with store() as barn:
        await put_bundle(barn, made)
        monkeypatch.setattr(os, "fsync", noted)
        await Bundles(barn, folder, offload=in_loop).ready(made.hash)
    before = {name for name, has_name in synced if not has_name}
    assert {"a.py", "b.py", "steps"} <= before
    assert synced[-1] == ("bundles", True)


def test_what_was_used_longest_ago_goes_first_and_only_as_much_as_has_to():
    old, older, fresh = KeptBundle("old", 5, 20.0), KeptBundle("older", 5, 10.0), KeptBundle("fresh", 5, 90.0)  # fmt: skip
    every = [fresh, old, older]
    gone = partial(too_many, every, set(), before_s=50.0)
    assert gone(bytes_max=15) == []
    assert gone(bytes_max=14) == gone(bytes_max=10) == ["older"]
    assert gone(bytes_max=0) == ["older", "old"]
    needed = {BundleHash("older")}
    assert too_many(every, needed, bytes_max=10, before_s=50.0) == ["old"]


async def test_a_node_keeps_what_runs_need_and_cannot_be_had_again(tmp_path: Path):
    folder = tmp_path / "bundles"
    made = {
        name: bundle((f"{name}.py", noise(1000))) for name in ("lives", "over", "local", "none")
    }
    async with store() as barn:
        for name, one in made.items():
            if name != "local":
                await put_bundle(barn, one)
            unpack(one, folder)
            os.utime(folder / one.hash, (1, 1))
        for name, state in (
            ("lives", RunState.RUNNING),
            ("over", RunState.SUCCEEDED),
            ("local", RunState.FAILED),
        ):
            run = RunRecord(
                RunId(name), HERD, PipelineName("p"), "v", "P", "p.dsl", "/p", made[name].hash, state, 1
            )  # fmt: skip
            await barn.put(run_key(HERD, run.run), run)
        bundles = Bundles(barn, folder, offload=in_loop)
        await bundles.collect()
        assert len(list(folder.iterdir())) == 4, "there is room for all"
        await bundles.collect(bytes_max=0)
        left = {path.name for path in folder.iterdir()}
        assert left == {made["lives"].hash, made["local"].hash}
        await bundles.ready(made["over"].hash)
        assert (folder / made["over"].hash).is_dir(), "it is fetched again"
