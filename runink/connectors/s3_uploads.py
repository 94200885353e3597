"""Objects written to S3 aside: a multipart upload is invisible until it is completed, which is how it is published.

    open      the upload is begun and marked; it bears the mark as metadata, so the object tells later whose it is
    write     parts of PART_BYTES go up as they fill
    sync      the last part goes up
    publish   complete: the object appears whole, or replaces the old one whole
    discard   abort: the parts are gone

A mark, because an upload has no name, and a killed slice tells nobody its id: parts 1 and 2, whose sizes say whose upload it is.  The
object's own parts begin with 3; S3 takes any numbers, and parts that are not named when the upload is completed are gone with it.
`abort_marked` finds uploads of that key by these sizes; one without a part, or with nothing but the mark's first, is taken for one
that was killed there (whoever else has just begun to write the same object must begin again).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Final

from runink.connectors.remote_files import filesystem_of, told_remote
from runink.errors import Refused
from runink.stores import Stores

PART_BYTES: Final = 8 << 20  # S3 takes 5 MiB and more
PARTS_A_SIZE: Final = 1000  # then parts grow by PART_BYTES: 10,000 parts of one size end at 80 GB
PART_NUMBER_MAX: Final = 10_000  # S3's limit: about 430 GB
MARKS: Final = (1, 2)
MARK_KEY: Final = "runink"  # of the object's metadata


class UploadFile:
    """A file that goes up in parts. Raises Refused or Unavailable."""

    def __init__(self, place: str, uri: str, stores: Stores, *, mark: str) -> None:
        self._bucket = Bucket(place, uri, stores)
        self._uri = uri
        self._buffer = bytearray()
        self._parts: list[tuple[int, str]] = []
        self._id = self._bucket.begin(mark)
        for number, size in mark_sizes(mark).items():
            self._bucket.upload(self._id, number, bytes(size))

    @property
    def aside(self) -> str:
        return f"{self._bucket.place}?uploadId={self._id}"

    def extra(self) -> dict[str, Any]:
        """Return what completing the upload needs."""
        return {"upload": self._id, "parts": [list(part) for part in self._parts]}

    def write(self, data: Any) -> int:
        with memoryview(data) as view:
            size = view.nbytes
            self._buffer += view
        while len(self._buffer) >= self._part_bytes():
            self._send(self._part_bytes())
        return size

    def sync(self) -> None:
        """Send the last part; an object of no bytes has one of none."""
        if self._buffer or not self._parts:
            self._send(len(self._buffer))

    def discard(self) -> None:
        self._bucket.abort(self._id)

    def _part_bytes(self) -> int:
        return PART_BYTES * (1 + len(self._parts) // PARTS_A_SIZE)

    def _send(self, size: int) -> None:
        number = len(MARKS) + 1 + len(self._parts)
        if number > PART_NUMBER_MAX:
            raise Refused(
                f"{self._uri} grows larger than an upload to S3 can be",
                code="sink_too_large",
                hint="write several objects, or a format that is compressed",
            )
        etag = self._bucket.upload(self._id, number, bytes(self._buffer[:size]))
        del self._buffer[:size]
        self._parts.append((number, etag))


def mark_sizes(mark: str) -> dict[int, int]:
    """Return the sizes of the marking parts, 1 to 65,536 bytes."""
    digest = hashlib.sha256(mark.encode()).digest()
    return {
        number: 1 + int.from_bytes(digest[2 * at : 2 * at + 2], "big")
        for at, number in enumerate(MARKS)
    }


def abort_marked(place: str, uri: str, stores: Stores, *, mark: str) -> None:
    """Abort what a killed writer with that mark has left of its upload. Raises Refused or Unavailable."""
    bucket = Bucket(place, uri, stores)
    sizes = mark_sizes(mark)
    for upload_id in list(bucket.uploads()):
        found = bucket.first_parts(upload_id)
        if found is None or found.items() <= sizes.items() or found.items() >= sizes.items():
            bucket.abort(upload_id)


class Bucket:
    """What we ask of S3 about one key. Raises Refused or Unavailable, with the URI."""

    def __init__(self, place: str, uri: str, stores: Stores) -> None:
        self.place = place
        self._uri = uri
        self._filesystem, path = filesystem_of(place, stores)
        bucket, _, key = path.partition("/")
        self._where = {"Bucket": bucket, "Key": key}
        if not key:
            raise Refused(
                f"{uri} names a bucket and no object in it",
                code="sink_name",
                hint="write s3://bucket/folder/name.parquet",
            )

    def begin(self, mark: str) -> str:
        answer = self._call("create_multipart_upload", Metadata={MARK_KEY: _plain_mark(mark)})
        return str(answer["UploadId"])

    def upload(self, upload_id: str, number: int, data: bytes) -> str:
        answer = self._call("upload_part", UploadId=upload_id, PartNumber=number, Body=data)
        return str(answer["ETag"])

    def complete(self, upload_id: str, parts: list[Any], *, only_new: bool) -> bool:
        """Make the object appear; say whether the upload was open and the object was not there, where that is asked for."""
        if self.first_parts(upload_id) is None:
            return False
        listed = [{"PartNumber": number, "ETag": etag} for number, etag in parts]
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if only_new else {}
        try:
            self._raw(
                "complete_multipart_upload",
                UploadId=upload_id,
                MultipartUpload={"Parts": listed},
                **condition,
            )
        except Exception as error:
            if code_of(error) in ("NoSuchUpload", "PreconditionFailed", "404", "412"):
                return False
            raise told_remote(error, self._uri) from error
        return True

    def abort(self, upload_id: str) -> None:
        """End an upload that may have ended already."""
        try:
            self._raw("abort_multipart_upload", UploadId=upload_id)
        except Exception as error:
            if code_of(error) not in ("NoSuchUpload", "404"):
                raise told_remote(error, self._uri) from error

    def mark_of_object(self) -> tuple[str, int] | None:
        """Return the mark of the object that is there and its size, nothing if there is none."""
        try:
            head = self._raw("head_object")
        except FileNotFoundError:
            return None
        except Exception as error:
            if code_of(error) in ("NoSuchKey", "404"):
                return None
            raise told_remote(error, self._uri) from error
        return str(head["Metadata"].get(MARK_KEY, "")), int(head["ContentLength"])

    def uploads(self) -> Iterator[str]:
        """Yield the ids of the open uploads of the key."""
        marker: dict[str, str] = {}
        while True:  # ends: S3 says when there are no more
            answer = self._call(
                "list_multipart_uploads",
                where={"Bucket": self._where["Bucket"], "Prefix": self._where["Key"]},
                **marker,
            )
            for upload in answer.get("Uploads", ()):
                if upload["Key"] == self._where["Key"]:
                    yield str(upload["UploadId"])
            if not answer.get("IsTruncated"):
                return
            marker = {
                "KeyMarker": answer["NextKeyMarker"],
                "UploadIdMarker": answer["NextUploadIdMarker"],
            }

    def first_parts(self, upload_id: str) -> dict[int, int] | None:
        """Return the sizes of the marking parts and one more; nothing if the upload has ended."""
        try:
            answer = self._raw("list_parts", UploadId=upload_id, MaxParts=len(MARKS) + 1)
        except Exception as error:
            if code_of(error) in ("NoSuchUpload", "404"):
                return None
            raise told_remote(error, self._uri) from error
        return {int(part["PartNumber"]): int(part["Size"]) for part in answer.get("Parts", ())}

    def _call(self, method: str, where: dict[str, str] | None = None, **arguments: Any) -> Any:
        try:
            return self._raw(method, where, **arguments)
        except Exception as error:
            raise told_remote(error, self._uri) from error

    def _raw(self, method: str, where: dict[str, str] | None = None, **arguments: Any) -> Any:
        return self._filesystem.call_s3(method, **(where or self._where), **arguments)


def _plain_mark(mark: str) -> str:
    """Return a mark that fits a header."""
    return hashlib.sha256(mark.encode()).hexdigest()


def is_marked(found: str, mark: str) -> bool:
    return found == _plain_mark(mark)


def code_of(error: BaseException | None) -> str:
    """Return S3's own code of an error, which stands in the one that caused it."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
        error = error.__cause__
    return ""
