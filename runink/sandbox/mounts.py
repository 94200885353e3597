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

from runink.sandbox.calls import Call, asked, called, perform
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
OPEN_FLAGS: Final = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC
ROOT_FLAGS: Final = MS_NOSUID | MS_NODEV
ROOT_BYTES: Final = "1m"  # folders, links and mount points only
ROOT_INODES: Final = 4096
MASK: Final = 0o022  # of what is made for slices
PLACE: Final = "/tmp"  # noqa: S108 - where the new root stands before the pivot: a folder that is there and holds nothing that we need
_MOUNT_ATTR = struct.Struct("4Q")  # struct mount_attr of linux/mount.h
NOT_SHOWN: Final = "this kernel cannot show its file system under other ids (a tmpfs needs Linux 6.3, an overlay 5.19)"
FOLDER: Final = "d"
FILE: Final = "f"
EMPTY: Final = "dev/empty"  # a folder in the tree of devices
# What /proc tells everybody that is not the slice's own affair; the kernel guards what only root may read.
MASKED: Final = (
    "proc/kallsyms", "proc/kcore", "proc/keys", "proc/key-users", "proc/kmsg", "proc/modules",
    "proc/sysrq-trigger", "proc/timer_list", "proc/cmdline",
)  # fmt: skip
MASKED_FOLDERS: Final = ("proc/acpi", "proc/bus", "proc/fs", "proc/irq", "proc/scsi", "proc/driver")


class Tree(NamedTuple):
    """A detached mount and the absolute path where it is to be seen; whether it holds others, being a folder."""

    target: str
    descriptor: int
    holds: bool


def told(trees: Sequence[Tree]) -> tuple[list[str], str]:
    """Return where these trees are to be seen, and the kind of each, as messages have it."""
    kinds = (FOLDER if tree.holds else FILE for tree in trees)
    return [tree.target for tree in trees], "".join(kinds)


def trees_of(targets: Sequence[str], kinds: str, descriptors: Sequence[int]) -> list[Tree]:
    """Return the trees again."""
    each = zip(targets, descriptors, kinds, strict=True)
    return [Tree(target, descriptor, kind == FOLDER) for target, descriptor, kind in each]


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
    flags = OPEN_FLAGS | depth
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


def copied(path: str) -> int:
    """Return a detached copy of a mount of ours, with everything mounted beneath it, as it is; what is mounted elsewhere later shows in none of them. Raises OSError."""
    return call("open_tree", AT_FDCWD, os.fsencode(path), OPEN_FLAGS | AT_RECURSIVE)


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


def own_mask() -> int:
    """Return this process's file mode mask, which can only be read by setting it."""
    mask = os.umask(MASK)
    os.umask(mask)
    return mask


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
    """Make the new root, move into it and leave nothing of the old one. The caller is root in namespaces of its own. Raises OSError."""
    perform(entering(trees, links, scratch, masked=masked, folder=folder))


def is_folder(descriptor: int) -> bool:
    """Say whether what the descriptor leads to is a folder. Raises OSError."""
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


def entering(
    trees: Iterable[Tree],
    links: Iterable[Sequence[str]],
    scratch: Scratch,
    *,
    masked: bool,
    folder: str,
) -> list[Call]:
    """Return the calls that do it; what is made meanwhile has to be open to be read (MASK).

    `folder` is there in any case, empty but for what belongs into it. Without `masked` its /proc shows everything: the kernel gives a new /proc only to who sees one that hides nothing.
    """
    root = f"size={ROOT_BYTES},nr_inodes={ROOT_INODES},mode=755"
    memory = f"size={scratch.bytes},nr_inodes={scratch.files},mode=1777"
    into = Places()
    calls = [
        _mounting("none", "/", MS_REC | MS_PRIVATE),
        _mounting("tmpfs", PLACE, ROOT_FLAGS, root),
        called(PLACE, "chdir", PLACE.encode()),
    ]
    calls += [
        called(path, "symlink", *map(os.fsencode, (leads_to, path))) for path, leads_to in links
    ]
    # Before the trees, of which some may lie beneath /tmp.
    calls += [*into.folder("proc"), _mounting("proc", "proc", ROOT_FLAGS | MS_NOEXEC)]
    calls += [*into.folder("tmp"), _mounting("tmpfs", "tmp", ROOT_FLAGS, memory)]
    for target, descriptor, holds in sorted(trees):  # those that hold others first
        place = target.lstrip("/")
        calls += into.folder(place) if holds else into.file(place)
        calls += _attaching(descriptor, place)
    calls += [
        *into.folder(folder.lstrip("/")),
        _mounting("tmpfs", "dev/shm", ROOT_FLAGS | MS_NOEXEC, memory),
        asked("pivot_root", "pivot_root", b".", b"."),
        # The old root lies over the new one at the same place.
        asked("leave the old root", "umount2", b".", MNT_DETACH),
        called("/", "chdir", b"/"),
    ]
    # What /proc tells of the machine is covered, where it tells it.
    for cover, paths in (("dev/null", MASKED), (EMPTY, MASKED_FOLDERS)) if masked else ():
        calls += [_mounting(cover, path, MS_BIND, forgiven=(errno.ENOENT,)) for path in paths]
    return [*calls, _mounting("none", "/", MS_REMOUNT | MS_BIND | MS_RDONLY | ROOT_FLAGS)]


class Places:
    """Makes what there is to mount at, in a root that is the working directory. What was there before, or was made, stays."""

    def __init__(self) -> None:
        self._made: set[str] = set()

    def folder(self, path: str) -> Iterator[Call]:
        """Yield the calls that make this folder and those above it; none for the root itself."""
        for at in [at for at, mark in enumerate(path) if mark == "/"] + [len(path)]:
            if path[:at] and path[:at] not in self._made:
                self._made.add(path[:at])
                name = os.fsencode(path[:at])
                yield called(path[:at], "mkdir", name, 0o755, forgiven=(errno.EEXIST,))

    def file(self, path: str) -> Iterator[Call]:
        """Yield the calls that make this file, empty, and the folders above it."""
        yield from self.folder(path.rpartition("/")[0])
        mode = stat.S_IFREG | 0o444
        # By its number: C's libraries have a function for it only since 2021.
        place = (AT_FDCWD, os.fsencode(path))
        yield asked(path, "mknodat", *place, mode, 0, forgiven=(errno.EEXIST,))


def _mounting(
    source: str, target: str, flags: int, data: str = "", *, forgiven: tuple[int, ...] = ()
) -> Call:
    """Return the mount call of old, which takes one system call for what the new ones take five."""
    kind = "" if source == "none" else source
    words = [os.fsencode(word) for word in (source, target, kind, data)]
    return asked(target, "mount", *words[:3], flags, words[3], forgiven=forgiven)


def _attaching(tree: int, path: str) -> list[Call]:
    """Return the calls that do what `attach` does."""
    place, flags = os.fsencode(path), MOVE_MOUNT_F_EMPTY_PATH
    return [
        asked(path, "move_mount", tree, b"", AT_FDCWD, place, flags),
        called(path, "close", tree),
    ]
