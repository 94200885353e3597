"""How the spawner leaves the machine's namespaces: it becomes the first process of a pid namespace of its own, with its own mounts.

When it ends, for whatever reason, the kernel ends everything in that namespace: all fork servers, cells and slices.  Who may not make such namespaces as
root makes them in a user namespace of its own, in which it is root over nothing but its own id.

    launcher (started by the agent)          clones the spawner as the agent's child (CLONE_PARENT), writes its maps if it needs any, ends
    spawner                                  waits for them, then makes its mounts its own
"""

from __future__ import annotations

import contextlib
import os
from typing import Final

from runink.sandbox.log import describe, log
from runink.sandbox.mounts import SAFE, attach, new_filesystem
from runink.sandbox.namespaces import IdMap, cloned, forbid_setgroups, map_ids
from runink.sandbox.skeleton import Skeleton, runtime_folders
from runink.sandbox.syscalls import (
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_PARENT,
    MNT_DETACH,
    MOUNT_ATTR_NOEXEC,
    MS_REC,
    MS_SLAVE,
    call,
)
from runink.sandbox.walls import Walls

FOLDER_SUFFIX: Final = (
    ".root"  # of the socket's path: where the skeleton is mounted, seen by nobody else
)
FOLDER_MODE: Final = 0o700


def secluded(socket_path: str, shown: list[str]) -> tuple[Walls | None, str]:
    """Go on as the first process of new namespaces, and return the walls for cells; or say why that cannot be. Ends the process that called.

    `shown` are folders beside the installed packages that slices import from.
    """
    try:
        has_ranges = _go_on_as_first()
    except OSError as error:
        return None, describe(error)
    try:
        call("mount", b"none", b"/", None, MS_REC | MS_SLAVE, None)
        attach(new_filesystem("proc", SAFE | MOUNT_ATTR_NOEXEC), "/proc")
        folder = socket_path + FOLDER_SUFFIX
        os.makedirs(folder, mode=FOLDER_MODE, exist_ok=True)  # noqa: PTH103 - the sandbox does without pathlib
        skeleton = Skeleton(folder, runtime=runtime_folders(shown))
    except OSError as error:
        return None, describe(error)
    return Walls(skeleton, has_ranges=has_ranges), ""


def leave(socket_path: str) -> None:
    """Take the skeleton's folder away: it was but the place of a mount that only this process sees."""
    folder = socket_path + FOLDER_SUFFIX
    with contextlib.suppress(OSError):
        call("umount2", os.fsencode(folder), MNT_DETACH)
    with contextlib.suppress(OSError):
        os.rmdir(folder)  # noqa: PTH106 - the sandbox does without pathlib


def _go_on_as_first() -> bool:
    """Clone the caller into the namespaces, in which it returns whether it may give ids away, and end the caller itself. Raises OSError."""
    user, group = os.geteuid(), os.getegid()
    source, target = os.pipe()
    flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_PARENT | (CLONE_NEWUSER if user else 0)
    try:
        child = cloned(flags, exit_signal=0)  # with CLONE_PARENT it is its parent's
    except OSError:
        os.close(source)
        os.close(target)
        raise
    if child.pid:
        try:
            if user:
                forbid_setgroups(child.pid)
                map_ids(child.pid, IdMap(0, user, 1), IdMap(0, group, 1))
            os.write(target, b"g")
        except OSError as error:
            log("spawner has no ids", problem=describe(error))
        os._exit(0)
    os.close(target)
    has_ids = os.read(source, 1)
    os.close(source)
    if not has_ids:
        os._exit(1)
    return not user
