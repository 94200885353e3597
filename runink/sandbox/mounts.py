"""What a slice sees of the machine: a small root of its own, put together from detached mounts.

Who has the power makes each piece (`detached`: a copy of a folder or file, read-only or not, shown under other ids) and hands it over as a
descriptor; who is to live in the root attaches them to a new tmpfs at the paths that they have outside, and pivots into it (`enter`).
So a slice needs no right to any path, names nothing that it was not given, and cannot be sent elsewhere by a link that is
swapped between the look and the mount: a descriptor stays what it was.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from runink.sandbox.syscalls import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_RECURSIVE,
    FSCONFIG_CMD_CREATE,
    FSCONFIG_SET_STRING,
    FSMOUNT_CLOEXEC,
    FSOPEN_CLOEXEC,
    MNT_DETACH,
    MOUNT_ATTR_IDMAP,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    MOVE_MOUNT_F_EMPTY_PATH,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    OPEN_TREE_CLOEXEC,
    OPEN_TREE_CLONE,
    call,
)

SAFE: Final = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV
READ_ONLY: Final = SAFE | MOUNT_ATTR_RDONLY
ROOT_FLAGS: Final = MS_NOSUID | MS_NODEV
ROOT_BYTES: Final = "1m"  # folders, links and mount points only
ROOT_INODES: Final = 4096
MASK: Final = 0o022  # of what is made for slices
PLACE: Final = "/tmp"  # noqa: S108 - where the new root stands before the pivot: a folder that is there and holds nothing that we need
_MOUNT_ATTR = struct.Struct("4Q")  # struct mount_attr of linux/mount.h
NOT_SHOWN: Final = "this kernel cannot show its file system under other ids (a tmpfs needs Linux 6.3, an overlay 5.19)"
EMPTY: Final = "dev/empty"  # a folder in the tree of devices
# What /proc tells everybody that is not the slice's own affair; the kernel guards what only root may read.
MASKED: Final = (
    "proc/kallsyms", "proc/kcore", "proc/keys", "proc/key-users", "proc/kmsg", "proc/modules",
    "proc/sysrq-trigger", "proc/timer_list", "proc/cmdline",
)  # fmt: skip
MASKED_FOLDERS: Final = ("proc/acpi", "proc/bus", "proc/fs", "proc/irq", "proc/scsi", "proc/driver")


class Tree(NamedTuple):
    """A detached mount and the absolute path where it is to be seen."""

    target: str
    descriptor: int


class Scratch(NamedTuple):
    """A slice's own memory file systems: sizes in bytes, and how many files."""

    bytes: int
    files: int


def detached(
    path: str,
    attributes: int,
    *,
    source: int | None = None,
    users: int | None = None,
    whole: bool = False,
) -> int:
    """Return a detached copy of what is mounted at `path`, or at that descriptor, with everything mounted beneath it. Raises OSError.

    `users` is a user namespace whose map shows the files' owners as others (an id-mapped mount). A file system that cannot do that
    beneath one that can is left out of the copy, unless the `whole` is wanted: what a mount covers would come to light there.
    """
    try:
        return _copy(path, attributes, source, users, AT_RECURSIVE)
    except OSError as error:
        if users is None or error.errno not in (errno.EINVAL, errno.EPERM):
            raise
        if whole:
            raise OSError(
                error.errno, f"{path}, with what is mounted beneath it: {NOT_SHOWN}"
            ) from error
    try:
        return _copy(path, attributes, source, users, 0)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise OSError(error.errno, f"{path}: {NOT_SHOWN}") from error


def _copy(path: str, attributes: int, source: int | None, users: int | None, depth: int) -> int:
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | depth
    if source is None:
        tree = call("open_tree", AT_FDCWD, os.fsencode(path), flags)
    else:
        tree = call("open_tree", source, b"", flags | AT_EMPTY_PATH)
    try:
        set_attributes(tree, attributes, users=users, depth=depth)
    except BaseException:
        os.close(tree)
        raise
    return tree


def set_attributes(tree: int, attributes: int, *, users: int | None = None, depth: int = 0) -> None:
    """Set mount attributes at a mount's descriptor; what is mounted elsewhere later does not show there. Raises OSError."""
    wanted = attributes if users is None else attributes | MOUNT_ATTR_IDMAP
    packed = _MOUNT_ATTR.pack(wanted, 0, MS_PRIVATE, 0 if users is None else users)
    buffer = ctypes.create_string_buffer(packed, _MOUNT_ATTR.size)
    call("mount_setattr", tree, b"", AT_EMPTY_PATH | depth, buffer, _MOUNT_ATTR.size)


def new_filesystem(kind: str, attributes: int, **options: str | int) -> int:
    """Return a detached mount of a new file system. Raises OSError."""
    context = call("fsopen", kind.encode(), FSOPEN_CLOEXEC)
    try:
        for name, value in options.items():
            text = str(value).encode()
            call("fsconfig", context, FSCONFIG_SET_STRING, name.encode(), text, 0)
        call("fsconfig", context, FSCONFIG_CMD_CREATE, None, None, 0)
        return call("fsmount", context, FSMOUNT_CLOEXEC, attributes)
    finally:
        os.close(context)


def attach(tree: int, path: str) -> None:
    """Mount a detached tree at an existing path, and close its descriptor. Raises OSError."""
    try:
        call("move_mount", tree, b"", AT_FDCWD, os.fsencode(path), MOVE_MOUNT_F_EMPTY_PATH)
    except OSError as error:
        raise OSError(error.errno, f"{path}: {error.strerror}") from error
    finally:
        os.close(tree)


@contextmanager
def made_for_slices() -> Iterator[None]:
    """Have what is made meanwhile open to be read: slices are other users than who runs the node, whose own mask may keep those out."""
    mask = os.umask(MASK)
    try:
        yield
    finally:
        os.umask(mask)


@made_for_slices()
def enter(
    trees: Sequence[Tree],
    links: Iterable[Sequence[str]],
    scratch: Scratch,
    *,
    masked: bool,
    folder: str = "/",
) -> None:
    """Make the new root, move into it and leave nothing of the old one. The caller is root in namespaces of its own. Raises OSError.

    `folder` is there in any case, empty but for what belongs into it. Without `masked` its /proc shows everything: the kernel gives a new /proc only to who sees one that hides nothing.
    """
    _mount("none", "/", MS_REC | MS_PRIVATE)
    _mount("tmpfs", PLACE, ROOT_FLAGS, f"size={ROOT_BYTES},nr_inodes={ROOT_INODES},mode=755")
    os.chdir(PLACE)
    for path, leads_to in links:
        os.symlink(leads_to, path)  # noqa: PTH211 - the sandbox does without pathlib
    # Before the trees, of which some may lie beneath /tmp.
    _mount("proc", _made("proc"), ROOT_FLAGS | MS_NOEXEC)
    memory = f"size={scratch.bytes},nr_inodes={scratch.files},mode=1777"
    _mount("tmpfs", _made("tmp"), ROOT_FLAGS, memory)
    _fill(trees)
    os.makedirs(folder.lstrip("/") or ".", mode=0o755, exist_ok=True)  # noqa: PTH103 - as above
    _mount("tmpfs", "dev/shm", ROOT_FLAGS | MS_NOEXEC, memory)
    call("pivot_root", b".", b".")
    # The old root lies over the new one at the same place.
    call("umount2", b".", MNT_DETACH)
    os.chdir("/")
    if masked:
        _mask()
    _mount("none", "/", MS_REMOUNT | MS_BIND | MS_RDONLY | ROOT_FLAGS)


def _mount(source: str, target: str, flags: int, data: str = "") -> None:
    """Make the mount call of old, which takes one system call for what the new ones take five. Raises OSError."""
    kind = b"" if source == "none" else source.encode()
    try:
        call("mount", source.encode(), os.fsencode(target), kind, flags, data.encode())
    except OSError as error:
        raise OSError(error.errno, f"{target}: {error.strerror}") from error


def _fill(trees: Sequence[Tree]) -> None:
    """Attach the trees, those that hold others first."""
    for tree in sorted(trees):
        is_folder = stat.S_ISDIR(os.fstat(tree.descriptor).st_mode)
        attach(tree.descriptor, _made(tree.target.lstrip("/"), is_folder=is_folder))


def _made(path: str, *, is_folder: bool = True) -> str:
    """Return the path, relative to the new root, as something to mount at."""
    if is_folder:
        os.makedirs(path, mode=0o755, exist_ok=True)  # noqa: PTH103 - as above
        return path
    folder = os.path.dirname(path)  # noqa: PTH120 - as above
    if folder:
        os.makedirs(folder, mode=0o755, exist_ok=True)  # noqa: PTH103 - as above
    if not os.path.exists(path):  # noqa: PTH110 - as above
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o444))
    return path


def _mask() -> None:
    """Cover what /proc tells of the machine, where it tells it."""
    for cover, paths in (("dev/null", MASKED), (EMPTY, MASKED_FOLDERS)):
        for path in paths:
            try:
                call("mount", cover.encode(), path.encode(), b"", MS_BIND, b"")
            except FileNotFoundError:
                continue
