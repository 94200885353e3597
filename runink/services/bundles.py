"""Operations on bundles, carried out."""

from __future__ import annotations

from typing import Final

import anyio
import anyio.to_thread

from runink.barn.keys import BUNDLE_OWNERS
from runink.bundle_archives import PART_BYTES, examined
from runink.bundles import Bundle
from runink.clients.barn import Found
from runink.clients.bundle_store import packed_bundle
from runink.clients.uploads import (
    UPLOAD_KEPT_S,
    BundleOwner,
    Upload,
    begin_upload,
    drop_upload,
    finish_upload,
    get_upload,
    let_go,
    owned_bundle,
    put_part,
    upload_id,
)
from runink.identity.vocabulary import Resource
from runink.names import BundleHash, HerdName
from runink.operations.answers import Items
from runink.operations.calls import Caller, Context
from runink.operations.catalog import bundles
from runink.operations.catalog.bundles import (
    BeginUpload,
    BundleDocument,
    ListBundles,
    OfBundle,
    OfUpload,
    PutPart,
    UploadDocument,
)
from runink.services.behind import Behind, principal_of, shown_in
from runink.services.pages import page_of_keys
from runink.services.service import Handlers

EXAMINED_AT_ONCE: Final = 2  # each may hold a hundred megabytes for a second


class BundleService:
    """Takes bundles in, and shows those that a herd has brought."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind
        self._room = anyio.CapacityLimiter(EXAMINED_AT_ONCE)

    def handlers(self) -> Handlers:
        return {
            bundles.LIST: self._list,
            bundles.GET: self._get,
            bundles.DELETE: self._delete,
            bundles.BEGIN: self._begin,
            bundles.FIND: self._find,
            bundles.PUT_PART: self._put_part,
            bundles.FINISH: self._finish,
            bundles.DROP: self._drop,
        }

    async def _list(
        self, request: ListBundles, caller: Caller, context: Context
    ) -> Items[BundleDocument]:
        shows = shown_in(self._behind, caller, Resource.BUNDLES, request.herd)
        return await page_of_keys(
            self._behind.barn,
            BUNDLE_OWNERS.prefix(request.herd),
            BundleOwner,
            limit=request.limit,
            position=context.position,
            show=lambda found: _bundle(request.herd, found) if shows(found.value.bundle) else None,
        )

    async def _get(self, request: OfBundle, _caller: Caller, _context: Context) -> BundleDocument:
        herd, bundle = HerdName(request.herd), BundleHash(request.bundle)
        return _bundle(request.herd, await owned_bundle(self._behind.barn, herd, bundle))

    async def _delete(self, request: OfBundle, _caller: Caller, _context: Context) -> None:
        await let_go(self._behind.barn, HerdName(request.herd), BundleHash(request.bundle))

    async def _begin(
        self, request: BeginUpload, caller: Caller, _context: Context
    ) -> UploadDocument:
        by = principal_of(caller).subject
        name = upload_id(request.sha256, request.size_bytes, by)
        herd, now_ms = HerdName(request.herd), self._behind.now_ms()
        said = Upload(herd, name, request.sha256, request.size_bytes, by, now_ms, lease=0)
        found = await begin_upload(self._behind.barn, herd, said)
        return _upload(request.herd, found)

    async def _find(self, request: OfUpload, caller: Caller, _context: Context) -> UploadDocument:
        return _upload(request.herd, await self._found(request, caller))

    async def _put_part(
        self, request: PutPart, caller: Caller, _context: Context
    ) -> UploadDocument:
        herd = HerdName(request.herd)
        by = principal_of(caller).subject
        found = await get_upload(self._behind.barn, herd, request.upload, by)
        number = int(request.number)
        after = await put_part(self._behind.barn, herd, found, number, request.content)
        return _upload(request.herd, after)

    async def _finish(self, request: OfUpload, caller: Caller, _context: Context) -> BundleDocument:
        found = await self._found(request, caller)
        kept = await finish_upload(
            self._behind.barn,
            HerdName(request.herd),
            found,
            self._examined,
            now_ms=self._behind.now_ms(),
        )
        return _bundle(request.herd, kept)

    async def _drop(self, request: OfUpload, caller: Caller, _context: Context) -> None:
        await drop_upload(self._behind.barn, await self._found(request, caller))

    async def _found(self, request: OfUpload, caller: Caller) -> Found[Upload]:
        by = principal_of(caller).subject
        return await get_upload(self._behind.barn, HerdName(request.herd), request.upload, by)

    async def _examined(self, archive: bytes) -> tuple[Bundle, bytes]:
        """Examine an archive beside the loop: it takes seconds of a processor at worst."""
        return await anyio.to_thread.run_sync(_examined, archive, limiter=self._room)


def _examined(archive: bytes) -> tuple[Bundle, bytes]:
    bundle = examined(archive)
    return bundle, packed_bundle(bundle)


def _bundle(herd: str, found: Found[BundleOwner]) -> BundleDocument:
    one = found.value
    return BundleDocument(
        herd=herd,
        bundle=one.bundle,
        files=one.files,
        size_bytes=one.size_bytes,
        sha256=one.sha256,
        put_by=one.by,
        put_ms=one.put_ms,
        revision=found.revision,
    )


def _upload(herd: str, found: Found[Upload]) -> UploadDocument:
    one = found.value
    return UploadDocument(
        herd=herd,
        upload=one.upload,
        sha256=one.sha256,
        size_bytes=one.size_bytes,
        part_bytes=PART_BYTES,
        parts=one.count,
        missing=one.missing,
        begun_ms=one.begun_ms,
        kept_s=round(UPLOAD_KEPT_S),
        revision=found.revision,
    )
