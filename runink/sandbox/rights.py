"""What another user may do with files, for a spawner that is root: nobody has more shown, or made writable, than it could open and write itself.

An agent of another user names what its slices are to be shown by a path and a descriptor (O_PATH), which needs no right to the thing itself.  So here

    the path is walked with that user's rights        its user and its own group; groups besides these count for nothing, and root's powers over files are put aside
    it must lead to what the descriptor leads to      as for every agent
    the thing must be open to the user                to be read, or entered if it is a folder; and to be written, if slices shall
    what the agent's own mount forbids stays so       read-only, no programs: an agent may live in mounts that are narrower than the spawner's (ProtectSystem)

What lies beneath is for the kernel to guard: a slice has there what its mount's id map gives it, which is the user's and nothing else.  A process has its rights over files apart from
its others, so nobody can send us a signal meanwhile that could not before (setfsuid(2)).  For a process of one thread.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from runink.sandbox.syscalls import (
    AT_EACCESS,
    AT_EMPTY_PATH,
    AT_FDCWD,
    RESOLVE_NO_MAGICLINKS,
    call,
)

NOBODY: Final = 65_534  # the kernel's overflowuid
UNCHANGED: Final = (
    -1
)  # an id that nobody has: asked for, it changes nothing and the one in force is told
KEPT_FLAGS: Final = (
    os.ST_RDONLY | os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC
)  # the same bits as MOUNT_ATTR_*
_OPEN_HOW = struct.Struct("3Q")  # struct open_how of linux/openat2.h


class NotAllowed(OSError):
    """The user could not do that itself."""


class User(NamedTuple):
    """A user and its own group."""

    uid: int
    gid: int

    @classmethod
    def parse(cls, text: str) -> User:
        """Return what UID:GID means. Raises ValueError: neither may be root's, nor nobody's, which is what everybody seems to be who has no id where we are."""
        uid, _, gid = text.partition(":")
        found = cls(int(uid), int(gid))
        if not all(0 < number < 1 << 32 and number != NOBODY for number in found):
            raise ValueError(f"{text} is root or nobody, or has the group of either")
        return found

    @classmethod
    def ours(cls) -> User:
        """Return who we are."""
        return cls(os.geteuid(), os.getegid())

    def __str__(self) -> str:
        return f"user {self.uid} with group {self.gid}"


def forget_groups() -> None:
    """Have no groups besides our own, which would be counted where files are looked at as another user. Raises OSError."""
    os.setgroups(())


@contextmanager
def files_as(user: User) -> Iterator[None]:
    """Have the user's rights over files for a while, and none of root's. Our own groups must have been forgotten. Raises OSError."""
    ours = _ids()
    try:
        _take(user)
        yield
    finally:
        _take(ours)


def _take(user: User) -> None:
    # The group while we may still choose one. Neither call says whether it has done it.
    if user.uid:
        call("setfsgid", user.gid)
        call("setfsuid", user.uid)
    else:
        call("setfsuid", user.uid)
        call("setfsgid", user.gid)
    if _ids() != user:
        raise PermissionError(errno.EPERM, f"{user}: the kernel does not let us have its rights")


def _ids() -> User:
    return User(call("setfsuid", UNCHANGED), call("setfsgid", UNCHANGED))


def opened(path: str, user: User) -> int:
    """Return what the path leads the user to (O_PATH), the caller's to close. Raises NotAllowed, OSError."""
    how = _OPEN_HOW.pack(os.O_PATH | os.O_CLOEXEC, 0, RESOLVE_NO_MAGICLINKS)
    buffer = ctypes.create_string_buffer(how, _OPEN_HOW.size)
    with files_as(user):
        try:
            return call("openat2", AT_FDCWD, os.fsencode(path), buffer, _OPEN_HOW.size)
        except PermissionError as error:
            raise NotAllowed(f"{user} does not reach {path}") from error
        except OSError as error:
            raise OSError(error.errno, f"{path}: {os.strerror(error.errno or 0)}") from error


def check(found: int, path: str, user: User, *, is_writable: bool) -> None:
    """Raise NotAllowed if the user may not open what the descriptor leads to, or not write there if slices shall; OSError."""
    wanted = os.X_OK if stat.S_ISDIR(os.fstat(found).st_mode) else os.R_OK
    _check(found, wanted, f"{user} may not open {path}", user)
    if is_writable:
        _check(found, wanted | os.W_OK, f"{user} may not write {path}", user)


def _check(found: int, wanted: int, otherwise: str, user: User) -> None:
    with files_as(user):
        try:
            call("faccessat2", found, b"", wanted, AT_EMPTY_PATH | AT_EACCESS)
        except OSError as error:
            raise NotAllowed(f"{otherwise}: {os.strerror(error.errno or 0)}") from error


def flags_of(meant: int, path: str, *, is_writable: bool) -> int:
    """Return what the mount that the agent reached it by forbids, as mount attributes. Raises NotAllowed if that is writing, and slices shall."""
    flags = os.fstatvfs(meant).f_flag & KEPT_FLAGS
    if is_writable and flags & os.ST_RDONLY:
        raise NotAllowed(f"{path} is read-only where its agent lives")
    return flags
