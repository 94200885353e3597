"""Files written so that they are there after a crash, and what their errors mean for people."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from runink.errors import Forbidden, Refused, RuninkError, Unavailable
from runink.syncing import sync_place

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_FORBIDDEN: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.EOVERFLOW})
_UNKNOWN_ID: Final = (
    65_534  # what the kernel shows for a user or group that has no id in this namespace
)


class AsideFile:
    """A file for writing, unbuffered: whoever writes gives large pieces. Raises Refused or Unavailable.

    It has the mode of the file that it will replace; one that replaces none has that of any new file, or, `is_private`, is this user's only.
    """

    def __init__(self, path: str, uri: str, *, replaces: str, is_private: bool) -> None:
        self._path = Path(path)
        self._uri = uri
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            mode = None if is_private else _mode_of(replaces)
            make_folder(self._path.parent)
            self._fd = os.open(path, flags, 0o600 if is_private or mode is not None else 0o666)
        except OSError as error:
            raise told(error, uri) from error
        if mode is not None:
            with suppress(OSError):  # some filesystems know no modes, and keep their own
                os.fchmod(self._fd, mode)

    def write(self, data: Any) -> int:
        try:
            return write_all(self._fd, data)
        except OSError as error:
            raise told(error, self._uri) from error

    def sync(self) -> None:
        """Bring all that was written to the disk, and the name as well, and close."""
        try:
            os.fsync(self._fd)
            self.close()
            sync_place(self._path.parent)
        except OSError as error:
            raise told(error, self._uri) from error

    def close(self) -> None:
        if self._fd >= 0:
            descriptor, self._fd = self._fd, -1
            os.close(descriptor)

    def discard(self) -> None:
        self.close()
        remove(self._path)


def _mode_of(path: str) -> int | None:
    """Return who may read and write the file that is there; nothing if there is none."""
    try:
        return stat.S_IMODE(Path(path).stat().st_mode) & 0o777
    except FileNotFoundError:
        return None


def write_all(descriptor: int, data: Any) -> int:
    """Write all of it, whatever the number of calls that takes; return how much that was."""
    with memoryview(data) as view, view.cast("B") as left:
        done = 0
        while done < len(left):
            done += os.write(descriptor, left[done:])
        return done


def make_folder(path: Path) -> None:
    """Make a folder and those above it that are missing, so that they are there after a crash, too."""
    if path.is_dir():
        return
    make_folder(path.parent)
    try:
        path.mkdir()
    except FileExistsError:
        if not path.is_dir():
            raise
    sync_place(path.parent)


def remove(path: Path) -> None:
    """Remove a file that may be gone."""
    with suppress(NotADirectoryError):
        path.unlink(missing_ok=True)


def check_target(whole: str, uri: str, *, is_folder: bool) -> None:
    """Raise Refused if what is there can be neither replaced nor added to."""
    try:
        found = Path(whole).stat()
        if _UNKNOWN_ID in (found.st_uid, found.st_gid):
            _check_known(Path(whole), found.st_mode)
    except FileNotFoundError:
        return
    except OSError as error:
        raise told(error, uri) from error
    mode = found.st_mode
    if is_folder and not stat.S_ISDIR(mode):
        raise Refused(
            f"{uri} is a file; mode=append puts parts into a folder of that name",
            code="sink_is_file",
            hint="move the file away, then into the folder (as part-0 with its ending), or append to another name",
        )
    if not is_folder and stat.S_ISDIR(mode):
        raise Refused(
            f"{uri} is a directory",
            code="sink_is_directory",
            hint="name a file in it; mode=append adds parts to a folder",
        )
    if not is_folder and not stat.S_ISREG(mode):
        raise Refused(
            f"{uri} is a device or a pipe, no file that could be replaced",
            code="sink_is_special",
            hint="write to a file, or to - for standard output",
        )


def _check_known(path: Path, mode: int) -> None:
    """Raise OSError (EOVERFLOW) for a file of somebody who has no id in this slice: the kernel will not have it replaced.

    Better now than when other outputs have been published.  Giving it the mode that it has changes nothing, and is refused for the same reason first.
    """
    try:
        path.chmod(stat.S_IMODE(mode))
    except OSError as error:
        if error.errno == errno.EOVERFLOW:
            raise


def told(error: OSError, uri: str) -> RuninkError:
    """Return the error of writing as one that says what to do."""
    what = f"{uri} cannot be written: {error.strerror or error}"
    number = error.errno
    if number in _FULL:
        return Unavailable(
            what,
            code="disk_full",
            hint="free some space there, or write elsewhere; nothing was published",
        )
    if number == errno.EFBIG:
        return Refused(
            what,
            code="sink_too_large",
            hint="the file is larger than the filesystem or a limit (ulimit -f) allows; compress it (.zst), or write Parquet",
        )
    if number == errno.EROFS:
        return Forbidden(what, code="sink_forbidden", hint="that filesystem is read-only")
    if number in _FORBIDDEN:
        return Forbidden(
            what,
            code="sink_forbidden",
            hint="let that folder, and the file if there is one, belong to the user and the group that run the node: a slice has no rights to those of others, not even root's",
        )
    if number in (errno.ENOTDIR, errno.EEXIST):
        return Refused(what, code="sink_no_folder", hint="a part of that path is a file, no folder")
    if number == errno.EISDIR:
        return Refused(what, code="sink_is_directory", hint="name a file in it")
    if number == errno.ENAMETOOLONG:
        return Refused(what, code="sink_name", hint="a file's name has at most 255 bytes")
    return Unavailable(what, code="sink_unwritable", hint="is the disk all right? see dmesg")
