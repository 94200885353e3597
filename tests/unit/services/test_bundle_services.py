"""Bundles come in by parts, in any order and again, by several people at once; what is not taken leaves nothing; and no herd has another's code by its hash."""

from __future__ import annotations

import hashlib
import io
import tarfile
from typing import Any

import anyio
import pytest
from runink.barn.keys import (
    BUNDLE_OWNERS,
    BUNDLES,
    UPLOAD_PARTS,
    UPLOADS,
    deployment_key,
)
from runink.bundle_archives import ARCHIVE_BYTES_MAX, PART_BYTES, archived
from runink.bundles import Bundle, BundleFile, hash_of
from runink.clients import uploads
from runink.clients.bundle_store import fetch_bundle
from runink.clients.herds import create_herd, delete_herd
from runink.clients.uploads import UPLOADS_MAX
from runink.errors import Conflict, Forbidden, Invalid, NotFound, QuotaExceeded
from runink.herds.lifecycle import By
from runink.herds.record import HerdRecord
from runink.names import HerdName
from runink.operations.catalog import bundles
from runink.testing.served import NOW_MS, Served, bound, person, served

pytestmark = pytest.mark.anyio
ANN, BEN, CEM = person("ann"), person("ben"), person("cem")
BINDINGS = [
    bound("authors", "author", ANN.subject, BEN.subject, herd="sales"),
    bound("stock", "author", CEM.subject, herd="stock"),
]


def noise(size: int) -> bytes:
    """Bytes that do not compress."""
    return b"".join(hashlib.sha256(str(at).encode()).digest() for at in range(size // 32 + 1))[:size]  # fmt: skip


def bundle(size: int = 3 * PART_BYTES) -> Bundle:
    files = (
        BundleFile("daily.dsl", b"Feature: daily\n", is_executable=False),
        BundleFile("noise.py", noise(size), is_executable=False),
    )
    return Bundle(hash_of(files), files)


async def declare(cluster: Served, *names: str) -> None:
    for name in names:
        await create_herd(cluster.barn, HerdRecord(HerdName(name)), By("operator:root", NOW_MS))


async def begin(cluster: Served, archive: bytes, by: Any = ANN, herd: str = "sales") -> Any:
    sha256 = hashlib.sha256(archive).hexdigest()
    return await cluster.ask(bundles.BEGIN, by, herd=herd, sha256=sha256, size_bytes=len(archive))


async def send(cluster: Served, upload: Any, archive: bytes, number: int, by: Any = ANN) -> Any:
    at = number * upload.part_bytes
    return await cluster.ask(
        bundles.PUT_PART,
        by,
        herd=upload.herd,
        upload=upload.upload,
        number=number,
        content=archive[at : at + upload.part_bytes],
    )


async def finish(cluster: Served, upload: Any, by: Any = ANN) -> Any:
    return await cluster.ask(bundles.FINISH, by, herd=upload.herd, upload=upload.upload)


async def bring(cluster: Served, archive: bytes, by: Any = ANN, herd: str = "sales") -> Any:
    upload = await begin(cluster, archive, by, herd)
    for number in upload.missing:
        await send(cluster, upload, archive, number, by)
    return await finish(cluster, upload, by)


async def left(cluster: Served) -> int:
    """Return how many keys of uploads there are."""
    return sum([
        (await cluster.barn.range(keys.prefix(), bytes)).count for keys in (UPLOADS, UPLOAD_PARTS)
    ])  # fmt: skip


async def test_an_archive_comes_in_by_parts_in_any_order_and_is_kept_as_what_it_holds():
    made = bundle()
    archive = archived(made)
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, "sales")
        upload = await begin(cluster, archive)
        assert upload.parts == 4
        assert upload.missing == (0, 1, 2, 3)
        for number in (3, 1, 3):
            shown = await send(cluster, upload, archive, number)
        assert shown.missing == (0, 2)
        again = await begin(cluster, archive)
        assert (again.upload, again.missing) == (upload.upload, (0, 2))
        asked = await cluster.ask(bundles.FIND, ANN, herd="sales", upload=upload.upload)
        assert asked.missing == (0, 2)
        with pytest.raises(Conflict, match="0, 2") as refused:
            await finish(cluster, upload)
        assert refused.value.code == "upload_incomplete"
        await send(cluster, upload, archive, 2)
        await send(cluster, upload, archive, 0)
        kept = await finish(cluster, upload)
        assert (kept.bundle, kept.files) == (made.hash, 2)
        assert kept.put_by == ANN.subject
        assert await fetch_bundle(cluster.barn, made.hash) == made
        assert await left(cluster) == 0
        assert (await cluster.ask(bundles.LIST, ANN, herd="sales")).items == (kept,)
        assert await cluster.ask(bundles.GET, BEN, herd="sales", bundle=made.hash) == kept


async def test_two_who_bring_the_same_at_once_both_succeed():
    archive = archived(bundle())
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, "sales")
        found = []

        async def bring_by(who: Any) -> None:
            found.append(await bring(cluster, archive, who))

        async with anyio.create_task_group() as group:
            group.start_soon(bring_by, ANN)
            group.start_soon(bring_by, BEN)
        assert found[0] == found[1]


async def test_what_one_sends_wrong_only_he_is_refused_for():
    archive = archived(bundle())
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, "sales")
        mine, yours = await begin(cluster, archive), await begin(cluster, archive, BEN)
        for number in mine.missing:
            await send(cluster, mine, archive, number)
            await send(cluster, yours, b"\0" * len(archive), number, BEN)
        with pytest.raises(Invalid) as refused:
            await finish(cluster, yours, BEN)
        assert refused.value.code == "upload_damaged"
        with pytest.raises(NotFound):
            await cluster.ask(bundles.FIND, BEN, herd="sales", upload=mine.upload)
        await finish(cluster, mine)
        assert await left(cluster) == 0


async def test_an_archive_that_is_refused_leaves_nothing():
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as tar:
        info = tarfile.TarInfo("../evil.py")
        tar.addfile(info)
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, "sales")
        with pytest.raises(Invalid) as refused:
            await bring(cluster, written.getvalue())
        assert refused.value.code == "bundle_refused"
        assert await left(cluster) == 0
        for keys in (BUNDLES, BUNDLE_OWNERS):
            assert (await cluster.barn.range(keys.prefix(), bytes)).count == 0


async def test_a_herd_has_no_bundle_of_another_by_its_hash():
    made = bundle()
    archive = archived(made)
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, "sales", "stock")
        await bring(cluster, archive)
        with pytest.raises(NotFound) as refused:
            await cluster.ask(bundles.GET, CEM, herd="stock", bundle=made.hash)
        assert refused.value.code == "no_bundle"
        assert (await cluster.ask(bundles.LIST, CEM, herd="stock")).items == ()
        kept = await bring(cluster, archive, CEM, "stock")
        assert kept.put_by == CEM.subject


async def test_who_may_only_look_uploads_nothing():
    viewer = person("vic")
    async with served(bindings=[bound("v", "viewer", viewer.subject, herd="sales")]) as cluster:
        await declare(cluster, "sales")
        with pytest.raises(Forbidden):
            await begin(cluster, b"x", viewer)


async def test_a_part_of_another_length_or_number_is_refused():
    archive = archived(bundle())
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, "sales")
        upload = await begin(cluster, archive)
        for number, content in ((0, b"x"), (3, b"x"), (0, b""), (4, b"x"), (9999, b"x")):
            with pytest.raises(Invalid) as refused:
                await cluster.ask(
                    bundles.PUT_PART,
                    ANN,
                    herd="sales",
                    upload=upload.upload,
                    number=number,
                    content=content,
                )
            assert refused.value.code == "part_invalid"


async def test_an_archive_that_is_too_large_is_refused_before_it_is_sent():
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, "sales")
        for size in (0, ARCHIVE_BYTES_MAX + 1):
            with pytest.raises(Invalid):
                await cluster.ask(
                    bundles.BEGIN, ANN, herd="sales", sha256="0" * 64, size_bytes=size
                )


async def test_a_herd_has_only_so_much_under_way():
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, "sales", "stock")

        async def ask(number: int, size: int, by: Any = ANN, herd: str = "sales") -> Any:
            sha256 = f"{number:064x}"
            return await cluster.ask(bundles.BEGIN, by, herd=herd, sha256=sha256, size_bytes=size)

        whole = uploads.BYTES_UNDER_WAY_MAX // ARCHIVE_BYTES_MAX
        begun = [await ask(number, ARCHIVE_BYTES_MAX) for number in range(whole)]
        with pytest.raises(QuotaExceeded) as refused:
            await ask(whole, 1)
        assert refused.value.code == "uploads_full"
        await ask(0, ARCHIVE_BYTES_MAX, CEM, "stock")
        for one in begun:
            await cluster.ask(bundles.DROP, ANN, herd="sales", upload=one.upload)
        for number in range(UPLOADS_MAX):
            await ask(number, 1)
        with pytest.raises(QuotaExceeded):
            await ask(UPLOADS_MAX, 1)


async def test_an_upload_is_attached_to_a_lease_so_that_a_half_one_is_forgotten():
    archive = archived(bundle())
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, "sales")
        upload = await begin(cluster, archive)
        await send(cluster, upload, archive, 1)
        keys = [
            *(await cluster.barn.range(UPLOADS.prefix(), bytes)).items,
            *(await cluster.barn.range(UPLOAD_PARTS.prefix(), bytes)).items,
        ]
        (lease,) = {one.lease for one in keys}
        assert lease
        assert len(keys) == 2
        await cluster.barn.revoke_lease(lease)  # as its end does
        assert await left(cluster) == 0
        with pytest.raises(NotFound) as refused:
            await send(cluster, upload, archive, 0)
        assert refused.value.code == "no_such_upload"
        assert (await begin(cluster, archive)).missing == (0, 1, 2, 3)


async def test_a_herd_that_is_not_there_or_deleted_takes_nothing_in():
    async with served() as cluster:
        await declare(cluster, "sales")
        await delete_herd(cluster.barn, HerdName("sales"), By("operator:root", 1), kept_ms=10**12)
        with pytest.raises(Conflict):
            await cluster.ask(bundles.BEGIN, herd="sales", sha256="0" * 64, size_bytes=1)
        with pytest.raises(NotFound):
            await cluster.ask(bundles.BEGIN, herd="stock", sha256="0" * 64, size_bytes=1)


async def test_a_bundle_is_let_go_unless_something_is_in_force_with_it():
    made = bundle(1)
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, "sales")
        await bring(cluster, archived(made))
        key = deployment_key(HerdName("sales"), "daily")
        await cluster.barn.put(key, {"bundle": made.hash})
        with pytest.raises(Conflict) as refused:
            await cluster.ask(bundles.DELETE, ANN, herd="sales", bundle=made.hash)
        assert refused.value.code == "bundle_in_use"
        await cluster.barn.delete(key)
        await cluster.ask(bundles.DELETE, ANN, herd="sales", bundle=made.hash)
        with pytest.raises(NotFound):
            await cluster.ask(bundles.GET, ANN, herd="sales", bundle=made.hash)
