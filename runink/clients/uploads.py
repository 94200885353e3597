"""Uploads: how the archive of a bundle comes into the Barn in parts, from whoever can send no more at once, or loses the line between.

    /uploads/H/UPLOAD                which parts are there; it goes with its lease
    /upload-parts/H/UPLOAD/NUMBER    a part; all are of PART_BYTES but the last one
    /bundle-owners/H/HASH            what came of it: that the herd has brought this bundle itself

    begin     finds the upload that the same caller has begun of the same archive, or begins one
    part      puts a part, in any order, and as often as somebody likes
    finish    reads all of it, has it examined, keeps the bundle, and forgets the upload; what is refused is forgotten as well
    drop      forgets it

An upload is named by its archive's hash and by who sends it, so two who send the same one at once do not disturb each other: what the one sends wrong, only he is refused for.
Who sends nothing for UPLOAD_KEPT_S begins anew.  A herd uses only bundles that it has brought itself: to know the hash of another's code gives nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from msgspec.structs import replace as changed

from runink.barn.keys import BUNDLE_OWNERS, DEPLOYMENTS, PIPELINES, UPLOAD_PARTS, UPLOADS
from runink.barn.keyvalue import key_prefix
from runink.bundle_archives import PART_BYTES
from runink.bundles import Bundle
from runink.clients.barn import BarnClient, Found, Transaction
from runink.clients.bundle_store import put_bundle
from runink.clients.herds import get_herd, if_herd
from runink.clients.turns import in_turns
from runink.errors import Conflict, Invalid, NotFound, QuotaExceeded, Refused
from runink.herds.admission import check_open
from runink.names import BundleHash, HerdName

UPLOADS_MAX: Final = 16  # of a herd at once
BYTES_UNDER_WAY_MAX: Final = 64 << 20  # of a herd: each member keeps them
BUNDLES_MAX: Final = 1_000  # that a herd has brought: `runi clean` forgets those that nothing needs
UPLOAD_KEPT_S: Final = 3600.0  # after its last part

_ID_LENGTH: Final = 32  # of hexadecimal digits: nobody finds two archives with one name

# Returns the bundle, and how the Barn holds it.
Examine = Callable[[bytes], Awaitable[tuple[Bundle, bytes]]]


class Upload(msgspec.Struct, frozen=True):
    """An archive that comes in. `parts` are the numbers of those that are there, in order; `by` is who sends it, `begun_ms` since when (Unix epoch)."""

    herd: HerdName
    upload: str
    sha256: str
    size_bytes: int
    by: str
    begun_ms: int
    lease: int
    parts: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        """Return how many parts it has when it is whole."""
        return -(-self.size_bytes // PART_BYTES)

    @property
    def missing(self) -> tuple[int, ...]:
        return tuple(sorted(set(range(self.count)) - set(self.parts)))

    def length_of(self, number: int) -> int:
        """Return how many bytes a part has."""
        return min(PART_BYTES, self.size_bytes - number * PART_BYTES)


class BundleOwner(msgspec.Struct, frozen=True):
    """That a herd has brought a bundle: who did and when, what its archive was, and how much is in it."""

    herd: HerdName
    bundle: BundleHash
    by: str
    put_ms: int
    sha256: str
    files: int
    size_bytes: int


def upload_id(sha256: str, size_bytes: int, by: str) -> str:
    """Return what an upload goes by."""
    said = f"{sha256}\0{size_bytes}\0{by}".encode()
    return hashlib.sha256(said).hexdigest()[:_ID_LENGTH]


async def begin_upload(barn: BarnClient, herd: HerdName, said: Upload) -> Found[Upload]:
    """Return the upload as it stands, begun now or before. `said` is what is to come; its lease is made here.

    Raises NotFound (`no_such_herd`), Conflict (`herd_deleted`), QuotaExceeded (`uploads_full`, `bundles_full`).
    """
    key = UPLOADS.key(herd, said.upload)

    async def turn() -> Found[Upload] | None:
        known = await get_herd(barn, herd)
        check_open(known.value)
        listing = await barn.range(UPLOADS.prefix(herd), Upload)
        found = next((one for one in listing.items if one.key == key), None)
        if found is not None:
            return found
        _check_room(herd, [one.value for one in listing.items], said)
        await _check_bundles(barn, herd)
        lease = await barn.grant_lease(UPLOAD_KEPT_S)
        made = changed(said, lease=lease)
        transaction = if_herd(Transaction(), herd, known)
        transaction = transaction.if_unchanged(UPLOADS.prefix(herd), listing.revision)
        committed = await barn.commit(transaction.put(key, made, lease=lease))
        if committed.succeeded:
            return Found(key, made, committed.revision, 1, lease, committed.revision)
        await barn.revoke_lease(lease)
        return None

    return await in_turns(key, turn)


def _check_room(herd: HerdName, others: list[Upload], said: Upload) -> None:
    under_way = sum(one.size_bytes for one in others) + said.size_bytes
    if len(others) >= UPLOADS_MAX or under_way > BYTES_UNDER_WAY_MAX:
        raise QuotaExceeded(
            f"herd {herd} has {len(others)} uploads under way; it may have {UPLOADS_MAX}, of {BYTES_UNDER_WAY_MAX >> 20} MiB together",
            code="uploads_full",
            hint=f"finish or delete one; what nothing comes for is forgotten after {UPLOAD_KEPT_S / 60:.0f} minutes",
        )


async def _check_bundles(barn: BarnClient, herd: HerdName) -> None:
    count = (await barn.range(BUNDLE_OWNERS.prefix(herd), BundleOwner, limit=1)).count
    if count >= BUNDLES_MAX:
        raise QuotaExceeded(
            f"herd {herd} has {count:,} bundles",
            code="bundles_full",
            hint="runi clean forgets those that nothing needs",
        )


async def get_upload(barn: BarnClient, herd: HerdName, upload: str, by: str) -> Found[Upload]:
    """Return an upload of this sender. Raises NotFound (`no_such_upload`), for another's as well."""
    found = await barn.get(UPLOADS.key(herd, upload), Upload)
    if found is None or found.value.by != by:
        raise NotFound(
            f"herd {herd} has no upload {upload} of yours",
            code="no_such_upload",
            hint="begin it anew: it was finished, refused or forgotten",
        )
    return found


async def put_part(
    barn: BarnClient, herd: HerdName, found: Found[Upload], number: int, content: bytes
) -> Found[Upload]:
    """Keep a part, and the upload for a while longer. Raises Invalid (`part_invalid`) for one that it cannot have, NotFound (`no_such_upload`)."""
    _check_part(found.value, number, content)
    upload, by = found.value.upload, found.value.by

    async def turn() -> Found[Upload] | None:
        found = await get_upload(barn, herd, upload, by)
        before = found.value
        parts = tuple(sorted({*before.parts, number}))
        after = changed(before, parts=parts)
        transaction = Transaction().if_revision(found.key, found.revision)
        transaction = transaction.put(found.key, after, lease=before.lease)
        key = UPLOAD_PARTS.key(herd, upload, f"{number:05}")
        try:
            committed = await barn.commit(transaction.put(key, content, lease=before.lease))
            await barn.keep_lease(before.lease)
        except NotFound:  # its time is over just now
            return None
        if not committed.succeeded:
            return None
        return changed(found, value=after, revision=committed.revision)

    return await in_turns(upload, turn)


def _check_part(upload: Upload, number: int, content: bytes) -> None:
    if number >= upload.count:
        text = f"the archive has {upload.count} parts, and {number} is none of them"
        raise Invalid(text, code="part_invalid", hint="the first one is 0")
    if len(content) != upload.length_of(number):
        raise Invalid(
            f"part {number} has {len(content):,} bytes, and not {upload.length_of(number):,}",
            code="part_invalid",
            hint=f"each part has {PART_BYTES:,} bytes, and the last one what is left",
        )


async def finish_upload(
    barn: BarnClient, herd: HerdName, found: Found[Upload], examine: Examine, *, now_ms: int
) -> Found[BundleOwner]:
    """Keep the bundle that an upload holds, for this herd. `examine` makes it of the archive, and raises what is to be told of one that is not taken.

    Raises Conflict (`upload_incomplete`, `herd_deleted`); Invalid (`upload_damaged`) and what `examine` raises, behind which the upload is forgotten.
    """
    upload = found.value
    if upload.missing:
        shown = ", ".join(map(str, upload.missing))
        raise Conflict(
            f"parts are missing: {shown}", code="upload_incomplete", hint="send them, and ask again"
        )
    try:
        bundle, packed = await examine(await _archive(barn, herd, upload))
    except Refused:
        await drop_upload(barn, found)
        raise
    await put_bundle(barn, bundle, packed)
    owner = BundleOwner(
        herd,
        bundle.hash,
        upload.by,
        now_ms,
        upload.sha256,
        len(bundle.files),
        sum(len(one.content) for one in bundle.files),
    )
    kept = await _own(barn, herd, owner)
    await drop_upload(barn, found)
    return kept


async def _archive(barn: BarnClient, herd: HerdName, upload: Upload) -> bytes:
    """Return the whole archive. Raises Invalid (`upload_damaged`) if it is not what was said."""
    prefix = UPLOAD_PARTS.prefix(herd, upload.upload)
    items = (await barn.read(key_prefix(prefix))).pages[0].items
    archive = b"".join(item.value for item in items)
    if hashlib.sha256(archive).hexdigest() != upload.sha256:
        raise Invalid(
            "what has come is not what was said: its SHA-256 is another one",
            code="upload_damaged",
            hint="begin anew, with the hash of the archive as it is",
        )
    return archive


async def _own(barn: BarnClient, herd: HerdName, owner: BundleOwner) -> Found[BundleOwner]:
    """Write that the herd has brought a bundle, unless it has before."""
    key = BUNDLE_OWNERS.key(herd, owner.bundle)

    async def turn() -> Found[BundleOwner] | None:
        known = await get_herd(barn, herd)
        check_open(known.value)
        found = await barn.get(key, BundleOwner)
        if found is not None:
            return found
        transaction = if_herd(Transaction(), herd, known).if_absent(key).put(key, owner)
        committed = await barn.commit(transaction)
        if not committed.succeeded:
            return None
        return Found(key, owner, committed.revision, 1, 0, committed.revision)

    return await in_turns(key, turn)


async def drop_upload(barn: BarnClient, found: Found[Upload]) -> None:
    """Forget an upload, with its parts. Nothing happens if it is gone."""
    try:
        await barn.revoke_lease(found.value.lease)
    except NotFound:
        return


async def owned_bundle(barn: BarnClient, herd: HerdName, bundle: BundleHash) -> Found[BundleOwner]:
    """Return that a herd has brought a bundle. Raises NotFound (`no_bundle`) where it has not, whatever another has."""
    found = await barn.get(BUNDLE_OWNERS.key(herd, bundle), BundleOwner)
    if found is None:
        raise no_bundle(herd, bundle)
    return found


def no_bundle(herd: HerdName, bundle: BundleHash) -> NotFound:
    return NotFound(
        f"herd {herd} has brought no bundle {bundle}",
        code="no_bundle",
        hint="upload it first: its herd must have done so itself",
    )


async def let_go(barn: BarnClient, herd: HerdName, bundle: BundleHash) -> None:
    """Have a herd use a bundle no more. Raises NotFound (`no_bundle`), Conflict (`bundle_in_use`) while something is published or in force with it.

    What it held is taken away with what else nothing needs (`runi clean`).
    """
    key = BUNDLE_OWNERS.key(herd, bundle)
    spans = (key_prefix(PIPELINES.prefix(herd)), key_prefix(DEPLOYMENTS.prefix(herd)))

    async def turn() -> bool | None:
        found = await owned_bundle(barn, herd, bundle)
        pages = await barn.read(*spans)
        users = [
            item.key
            for page in pages.pages
            for item in page.items
            if msgspec.json.decode(item.value, type=_Made).bundle == bundle
        ]
        if users:
            raise Conflict(
                f"bundle {bundle} is used by {users[0]}",
                code="bundle_in_use",
                hint="delete that version, or take the pipeline out of force",
            )
        transaction = Transaction().if_revision(key, found.revision)
        for keys in (PIPELINES, DEPLOYMENTS):
            transaction = transaction.if_unchanged(keys.prefix(herd), pages.revision)
        return (await barn.commit(transaction.delete(key))).succeeded or None

    await in_turns(key, turn)


class _Made(msgspec.Struct):
    """What is looked at of a version and of what is in force: the bundle that it was made with."""

    bundle: str = ""
