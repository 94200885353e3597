"""The second phase of a sink: what lies aside becomes visible, or goes away. Each may be done again after a crash at any point.

    kind        publish                                                       was done already if
    file        the file aside is renamed to its target (linked, where        it is gone, and the target has its bytes
                mode=error must not replace anything; copied beside it first
                from another filesystem; uploaded where the target is remote)
    multipart   the upload is completed                                       it is gone, and the object bears its mark
    stream      nothing: it was shown                                         always

Before a publish the target is the old one, after it the new one, in between it is one of the two: a reader sees no third thing.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from runink.connectors.local_files import check_target, make_folder, remove, told
from runink.connectors.remote_files import filesystem_of, remote_exists, told_remote
from runink.connectors.s3_uploads import Bucket, UploadFile, abort_marked, is_marked
from runink.connectors.sinks import already_there
from runink.connectors.targets import copy_of, is_remote, target_of
from runink.dag import STANDARD, Mode, Sink
from runink.errors import Conflict, Unavailable
from runink.jobs import Prepared, Ticket
from runink.stores import NO_STORES, Stores, is_s3
from runink.syncing import sync_place

READ_BYTES: Final = 1 << 20
_OBJECT_STORES: Final = frozenset({"gs", "gcs", "az", "abfs", "abfss"})
_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


def publish(prepared: Prepared, *, stores: Stores = NO_STORES) -> None:
    """Make it visible. Raises Conflict where it may not replace what is there, or is lost; Refused or Unavailable."""
    match prepared.kind:
        case "file":
            if is_remote(prepared.target):
                _upload(prepared, stores)
            else:
                _publish_file(prepared)
        case "multipart":
            _complete(prepared, stores)


def discard(prepared: Prepared, *, stores: Stores = NO_STORES) -> None:
    """Take away what lies aside. What has been published stays. Raises Refused or Unavailable."""
    match prepared.kind:
        case "file":
            _remove_aside(Path(prepared.aside), prepared.target, prepared.uri, stores)
        case "multipart":
            Bucket(prepared.target, prepared.uri, stores).abort(prepared.extra["upload"])


def leftovers(node: Sink, *, root: Path, ticket: Ticket, stores: Stores = NO_STORES) -> None:
    """Take away what a killed slice has left aside for the sink. Raises Refused or Unavailable."""
    if node.path == STANDARD:
        return
    target = target_of(node, root=root, ticket=ticket)
    if target.is_multipart:
        abort_marked(target.place, node.uri, stores, mark=target.mark)
    else:
        _remove_aside(Path(target.aside), target.place, node.uri, stores)


def _remove_aside(aside: Path, place: str, uri: str, stores: Stores) -> None:
    try:
        remove(aside)
        if not is_remote(place):
            remove(copy_of(aside, Path(place)))
    except OSError as error:
        raise told(error, uri) from error
    if is_s3(place):
        abort_marked(place, uri, stores, mark=aside.name)
    elif is_remote(place):
        _remove_put(aside, place, uri, stores)


def _remove_put(aside: Path, place: str, uri: str, stores: Stores) -> None:
    """Take away what `_put` has put beside a remote target and could not move."""
    filesystem, key = filesystem_of(place, stores)
    try:
        beside = _beside(key, aside)
        filesystem.invalidate_cache()
        if not _shows_whole_objects(place) and filesystem.exists(beside):
            filesystem.rm_file(beside)
    except Exception as error:
        raise told_remote(error, uri) from error


# Files here.


def _publish_file(prepared: Prepared) -> None:
    aside, target = Path(prepared.aside), Path(prepared.target)
    try:
        if not _is_there(aside):
            if not _is_published(prepared):
                raise _lost(prepared)
            return
        check_target(prepared.target, prepared.uri, is_folder=False)
        make_folder(target.parent)
        _move(aside, target, prepared)
        sync_place(target.parent)
        if aside.parent != target.parent:
            sync_place(aside.parent)
    except OSError as error:
        raise told(error, prepared.uri) from error


def _move(aside: Path, target: Path, prepared: Prepared) -> None:
    """Rename the file aside, or a copy of it where it is on another filesystem."""
    try:
        _rename(aside, target, prepared)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copy = copy_of(aside, target)
        _copy(aside, copy)
        _rename(copy, target, prepared)
    remove(aside)


def _rename(source: Path, target: Path, prepared: Prepared) -> None:
    """Give a file its new name. Raises Conflict if another has it and may not be replaced."""
    if prepared.mode != Mode.ERROR.value:
        source.replace(target)
        return
    try:
        target.hardlink_to(source)
    except FileExistsError:
        if not _is_published(prepared):
            raise already_there(prepared.uri) from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # This filesystem has no links; between the look and the rename another might come.
        if _is_there(target) and not _is_published(prepared):
            raise already_there(prepared.uri) from None
        source.replace(target)
    remove(source)


def _is_there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _copy(source: Path, copy: Path) -> None:
    with source.open("rb") as reader, copy.open("wb") as writer:
        with suppress(OSError):  # some filesystems know no modes, and keep their own
            os.fchmod(writer.fileno(), stat.S_IMODE(source.stat().st_mode))
        shutil.copyfileobj(reader, writer, READ_BYTES)
        writer.flush()
        os.fsync(writer.fileno())


def _is_published(prepared: Prepared) -> bool:
    """Say whether the target has the bytes that were prepared."""
    target = Path(prepared.target)
    try:
        if target.stat().st_size != prepared.bytes:
            return False
        with target.open("rb") as file:
            return _digest(file) == prepared.sha256
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return False


def _digest(file: Any) -> str:
    digest = hashlib.sha256()
    while data := file.read(READ_BYTES):
        digest.update(data)
    return digest.hexdigest()


def _lost(prepared: Prepared) -> Conflict:
    return Conflict(
        f"{prepared.uri}: what was prepared for it is gone, and what is there is something else",
        code="sink_aside_lost",
        hint=f"something removed {prepared.aside}, or replaced the target meanwhile; run it again",
    )


# Files elsewhere.


def _upload(prepared: Prepared, stores: Stores) -> None:
    """Bring a file that lies aside here to where it belongs, whole. Doing it again puts the same object there."""
    aside = Path(prepared.aside)
    if not _is_there(aside):
        if not _is_uploaded(prepared, stores):
            raise _lost(prepared)
        return
    if prepared.mode == Mode.ERROR.value and remote_exists(prepared.target, prepared.uri, stores):
        if not _is_uploaded(prepared, stores):
            raise already_there(prepared.uri)
    elif is_s3(prepared.target):
        _upload_s3(aside, prepared, stores)
    else:
        _put(aside, prepared, stores)
    remove(aside)


def _put(aside: Path, prepared: Prepared, stores: Stores) -> None:
    """Put the file there: under its name at once where that shows whole objects only, else under another first."""
    filesystem, key = filesystem_of(prepared.target, stores)
    beside = _beside(key, aside)
    try:
        filesystem.makedirs(key.rpartition("/")[0], exist_ok=True)
        if _shows_whole_objects(prepared.target):
            filesystem.put_file(str(aside), key)
        else:
            filesystem.put_file(str(aside), beside)
            filesystem.mv(beside, key)
    except Exception as error:
        raise told_remote(error, prepared.uri) from error


def _beside(key: str, aside: Path) -> str:
    return f"{key.rpartition('/')[0]}/{aside.name}"


def _shows_whole_objects(place: str) -> bool:
    return place.partition("://")[0] in _OBJECT_STORES


def _upload_s3(aside: Path, prepared: Prepared, stores: Stores) -> None:
    abort_marked(prepared.target, prepared.uri, stores, mark=aside.name)
    upload = UploadFile(prepared.target, prepared.uri, stores, mark=aside.name)
    with aside.open("rb") as file:
        while data := file.read(READ_BYTES):
            upload.write(data)
    upload.sync()
    found = upload.extra()
    bucket = Bucket(prepared.target, prepared.uri, stores)
    if not bucket.complete(found["upload"], found["parts"], only_new=False):
        raise Unavailable(
            f"{prepared.uri}: somebody has aborted its upload",
            code="remote_failed",
            hint="it is begun again",
        )


def _is_uploaded(prepared: Prepared, stores: Stores) -> bool:
    filesystem, key = filesystem_of(prepared.target, stores)
    try:
        filesystem.invalidate_cache()
        if not filesystem.exists(key) or filesystem.size(key) != prepared.bytes:
            return False
        with filesystem.open(key, "rb") as file:
            return _digest(file) == prepared.sha256
    except Exception as error:
        raise told_remote(error, prepared.uri) from error


def _complete(prepared: Prepared, stores: Stores) -> None:
    bucket = Bucket(prepared.target, prepared.uri, stores)
    only_new = prepared.mode == Mode.ERROR.value
    mark = prepared.extra["mark"]
    found = bucket.mark_of_object() if only_new else None
    if found is not None and not is_marked(found[0], mark):
        raise already_there(prepared.uri)
    if bucket.complete(prepared.extra["upload"], prepared.extra["parts"], only_new=only_new):
        return
    found = bucket.mark_of_object()
    if found is not None and is_marked(found[0], mark) and found[1] == prepared.bytes:
        return
    if found is not None and only_new:
        raise already_there(prepared.uri)
    raise _lost(prepared)
