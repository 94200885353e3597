"""Operations on bundles: how a project's code comes into a herd, in parts, and what has come."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from runink.bundle_archives import ARCHIVE_BYTES_MAX, PART_BYTES
from runink.identity.vocabulary import Resource, Verb
from runink.operations.answers import Kind
from runink.operations.declarations import Asked, AskedPage, Method, Operation
from runink.operations.patterns import HerdText, exact


def _text(expression: str, description: str) -> Any:
    return msgspec.Meta(pattern=exact(expression), description=description)


BundleText = Annotated[str, _text("[0-9a-f]{64}", "A bundle's hash.")]
Sha256Text = Annotated[str, _text("[0-9a-f]{64}", "A SHA-256, in hexadecimal digits.")]
UploadText = Annotated[str, _text("[0-9a-f]{32}", "What an upload goes by.")]
NumberText = Annotated[str, _text("0|[1-9][0-9]{0,3}", "A part's number, from 0 on.")]


class BeginUpload(Asked, frozen=True, kw_only=True):
    herd: HerdText
    sha256: Sha256Text
    size_bytes: Annotated[
        int, msgspec.Meta(ge=1, le=ARCHIVE_BYTES_MAX, description="Of the whole archive.")
    ]


class OfUpload(Asked, frozen=True, kw_only=True):
    herd: HerdText
    upload: UploadText


class PutPart(Asked, frozen=True, kw_only=True):
    herd: HerdText
    upload: UploadText
    number: NumberText
    content: bytes


class ListBundles(AskedPage, frozen=True, kw_only=True):
    herd: HerdText


class OfBundle(Asked, frozen=True, kw_only=True):
    herd: HerdText
    bundle: BundleText


class UploadDocument(msgspec.Struct, frozen=True):
    """An archive that comes in. Part N holds the bytes from N * part_bytes on. `missing` are the numbers that are still to be sent."""

    herd: str
    upload: str
    sha256: str
    size_bytes: int
    part_bytes: int
    parts: int
    missing: tuple[int, ...]
    begun_ms: int
    kept_s: int
    revision: int


class BundleDocument(msgspec.Struct, frozen=True):
    """A bundle that the herd has brought. `sha256` is that of the archive in which it came."""

    herd: str
    bundle: str
    files: int
    size_bytes: int
    sha256: str
    put_by: str
    put_ms: int
    revision: int


LIST: Final = Operation(
    name="bundles.list",
    method=Method.GET,
    path="/herds/{herd}/bundles",
    request=ListBundles,
    answer=BundleDocument,
    kind=Kind.PAGE,
    verb=Verb.LIST,
    resource=Resource.BUNDLES,
    summary="List the bundles that the herd has brought.",
)
GET: Final = Operation(
    name="bundles.get",
    method=Method.GET,
    path="/herds/{herd}/bundles/{bundle}",
    request=OfBundle,
    answer=BundleDocument,
    verb=Verb.GET,
    resource=Resource.BUNDLES,
    summary="Say whether the herd has brought a bundle, and what is in it.",
)
DELETE: Final = Operation(
    name="bundles.delete",
    method=Method.DELETE,
    path="/herds/{herd}/bundles/{bundle}",
    request=OfBundle,
    kind=Kind.NOTHING,
    status=204,
    verb=Verb.DELETE,
    resource=Resource.BUNDLES,
    summary="Let go of a bundle that nothing is published or in force with.",
    description="Runs that were submitted with it go on.",
    errors=("bundle_in_use",),
)
BEGIN: Final = Operation(
    name="bundles.uploads.begin",
    method=Method.POST,
    path="/herds/{herd}/uploads",
    request=BeginUpload,
    answer=UploadDocument,
    status=201,
    verb=Verb.CREATE,
    resource=Resource.BUNDLES,
    summary="Begin to upload a bundle's archive, or find how far it has come.",
    description="The archive is a tar file, compressed by gzip or not, of the project's own files: no links, no paths that lead out of it. "
    "Who asks for the same archive again goes on where he was. What nothing comes for is forgotten after an hour.",
    errors=("uploads_full", "bundles_full", "herd_deleted"),
    is_idempotent=True,
    example={"sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "size_bytes": 2048},
)  # fmt: skip
FIND: Final = Operation(
    name="bundles.uploads.get",
    method=Method.GET,
    path="/herds/{herd}/uploads/{upload}",
    request=OfUpload,
    answer=UploadDocument,
    verb=Verb.CREATE,
    resource=Resource.BUNDLES,
    summary="Say which parts of your upload are there.",
)
PUT_PART: Final = Operation(
    name="bundles.uploads.put-part",
    method=Method.PUT,
    path="/herds/{herd}/uploads/{upload}/parts/{number}",
    request=PutPart,
    answer=UploadDocument,
    takes="application/octet-stream",
    body_bytes_max=PART_BYTES,
    subject="upload",
    verb=Verb.CREATE,
    resource=Resource.BUNDLES,
    summary="Send a part of an archive, in any order, and again if need be.",
    errors=("part_invalid",),
)
FINISH: Final = Operation(
    name="bundles.uploads.finish",
    method=Method.POST,
    path="/herds/{herd}/uploads/{upload}/finish",
    request=OfUpload,
    answer=BundleDocument,
    status=201,
    verb=Verb.CREATE,
    resource=Resource.BUNDLES,
    summary="Have an archive examined whose parts are all there, and its bundle kept.",
    errors=("upload_incomplete", "upload_damaged", "bundle_refused", "bundle_too_large"),
    is_idempotent=True,
)
DROP: Final = Operation(
    name="bundles.uploads.delete",
    method=Method.DELETE,
    path="/herds/{herd}/uploads/{upload}",
    request=OfUpload,
    kind=Kind.NOTHING,
    status=204,
    verb=Verb.CREATE,
    resource=Resource.BUNDLES,
    summary="Forget your upload, with all that has come of it.",
)
BUNDLES: Final = (LIST, GET, DELETE, BEGIN, FIND, PUT_PART, FINISH, DROP)
