"""Laws of what comes in from outside: no archive leads out of its folder, and uploads end as the bundle that was sent, or refused, whatever comes in which order."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

import anyio
from hypothesis import example, given, settings
from hypothesis import strategies as st
from runink.bundle_archives import PART_BYTES, archived, examined
from runink.bundles import Bundle, BundleFile, hash_of, unpack
from runink.clients.herds import create_herd
from runink.errors import Conflict, Invalid, NotFound
from runink.herds.lifecycle import By
from runink.herds.record import HerdRecord
from runink.names import HerdName
from runink.operations.catalog import bundles
from runink.testing.served import OPERATOR, served

PARTS = st.sampled_from(["a", "b.py", "..", ".", "", "...", "c d", "é", "\n", "\\", "-x", "~"])
PATHS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
KINDS = st.sampled_from([
    tarfile.REGTYPE,
    tarfile.AREGTYPE,
    tarfile.DIRTYPE,
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.FIFOTYPE,
    tarfile.CONTTYPE,
    tarfile.GNUTYPE_SPARSE,
    b"Z",
])  # fmt: skip
FORMS = st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
MEMBERS = st.lists(st.tuples(PATHS, KINDS, PATHS, st.binary(max_size=600)), max_size=5)


def tar(members: list[tuple[str, bytes, str, bytes]], form: int) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=form) as made:
        for path, kind, link, content in members:
            info = tarfile.TarInfo(path)
            info.type, info.linkname = kind, link
            if kind in {tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE}:
                info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    return written.getvalue()


def taken(archive: bytes) -> Bundle | None:
    try:
        return examined(archive)
    except Invalid:
        return None


@given(MEMBERS, FORMS)
def test_no_archive_leads_out_of_its_folder(tmp_path_factory, members, form):
    bundle = taken(tar(members, form))
    if bundle is None:
        return
    assert all(kind not in {tarfile.SYMTYPE, tarfile.LNKTYPE} for _, kind, _, _ in members)
    place = tmp_path_factory.mktemp("bundles")
    inside = place / "in"
    inside.mkdir()
    folder = unpack(bundle, inside)
    made = {path for path in place.rglob("*") if not path.is_dir()}
    assert made == {folder / file.path for file in bundle.files}
    assert not any(path.is_symlink() for path in made)
    for file in bundle.files:
        assert (folder / file.path).read_bytes() == file.content


@given(MEMBERS, FORMS)
def test_what_is_taken_is_what_tar_itself_reads(members, form):
    archive = tar(members, form)
    bundle = taken(archive)
    if bundle is None:
        return
    with tarfile.open(fileobj=io.BytesIO(archive)) as read:
        contents = {one.name: read.extractfile(one) for one in read.getmembers() if one.isreg()}
        found = {str(Path(name)): one.read() for name, one in contents.items() if one is not None}
    assert found == {str(Path(file.path)): file.content for file in bundle.files}


@given(MEMBERS, FORMS, st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=4))
def test_whatever_bytes_come_it_is_a_bundle_or_refused(members, form, changes):
    raw = bytearray(tar(members, form))
    for at, byte in changes:
        raw[at % len(raw)] = byte
    bundle = taken(bytes(raw))
    if bundle is not None:
        assert hash_of(bundle.files) == bundle.hash
        assert examined(archived(bundle)) == bundle


@given(st.binary(max_size=2000))
@example(b"\x1f\x8b" + b"\0" * 100)
def test_no_bytes_are_anything_but_a_bundle_or_refused(raw):
    taken(raw)


ARCHIVE_PARTS = 3
NOISE = b"".join(hashlib.sha256(str(at).encode()).digest() for at in range(PART_BYTES * 5 // 64))
FILES = (BundleFile("noise.py", NOISE, is_executable=False),)
MADE = Bundle(hash_of(FILES), FILES)
ARCHIVE = archived(MADE)

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["begin", "good", "good", "good", "wrong", "finish", "forget"]),
        st.integers(0, ARCHIVE_PARTS - 1),
    ),
    max_size=14,
)


class Sender:
    """Does what a step says, and knows what must come of it."""

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster
        self.upload: Any = None
        self.sent: dict[int, bool] = {}  # by part, whether it was right

    async def ask(self, operation: Any, **fields: Any) -> Any:
        return await self.cluster.ask(operation, OPERATOR, herd="sales", **fields)

    async def step(self, what: str, number: int) -> None:
        if what == "begin" or self.upload is None:
            sha256 = hashlib.sha256(ARCHIVE).hexdigest()
            self.upload = await self.ask(bundles.BEGIN, sha256=sha256, size_bytes=len(ARCHIVE))
            assert self.upload.missing == tuple(sorted({0, 1, 2} - self.sent.keys()))
        match what:
            case "good" | "wrong":
                content = ARCHIVE[number * PART_BYTES : (number + 1) * PART_BYTES]
                if what == "wrong":
                    content = content[::-1]
                name = self.upload.upload
                await self.ask(bundles.PUT_PART, upload=name, number=number, content=content)
                self.sent[number] = what == "good"
            case "forget":
                await self.ask(bundles.DROP, upload=self.upload.upload)
                self.upload, self.sent = None, {}
            case "finish":
                await self.finish()

    async def finish(self) -> None:
        if len(self.sent) < ARCHIVE_PARTS:
            assert await self.told() == "upload_incomplete"
            return
        assert await self.told() == (MADE.hash if all(self.sent.values()) else "upload_damaged")
        self.upload, self.sent = None, {}

    async def told(self) -> str:
        """Return the hash of the bundle that came of it, or why it was refused."""
        try:
            return (await self.ask(bundles.FINISH, upload=self.upload.upload)).bundle
        except (Conflict, Invalid) as refused:
            return refused.code


@settings(max_examples=30)
@given(STEPS)
def test_an_upload_ends_as_what_was_sent_or_refused_in_whatever_order_parts_come(steps):
    async def life() -> None:
        async with served() as cluster:
            by = By("operator:root", 1)
            await create_herd(cluster.barn, HerdRecord(HerdName("sales")), by)
            sender = Sender(cluster)
            for what, number in steps:
                await sender.step(what, number)
            if sender.upload is None:
                return
            for number in range(ARCHIVE_PARTS):
                await sender.step("good", number)
            await sender.step("finish", 0)
            try:
                await sender.ask(bundles.GET, bundle=MADE.hash)
            except NotFound:
                raise AssertionError("it was sent whole, and is not there") from None

    assert -(-len(ARCHIVE) // PART_BYTES) == ARCHIVE_PARTS
    anyio.run(life)
