"""How the spawner leaves the machine's namespaces: it becomes the first process of a pid namespace of its own, with its own mounts.

When it ends, for whatever reason, the kernel ends everything in that namespace: all fork servers, cells and slices.  Who has but one id (`standing.py`)
makes them in a user namespace of its own, in which it is root over nothing but that id.

    launcher (started by the agent)          clones the spawner as the agent's child (CLONE_PARENT), writes its maps if it needs any, tries what this machine
                                             has of what cells are closed off with, says that, ends.  That of a service stays instead, has another process try, and ends with the spawner
    spawner                                  waits for its maps, makes its mounts its own, hears what was tried and tells it on (`trials.py`)
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
from typing import Final

from runink.capabilities import ID_RANGES, NAMESPACES, WALLS, Told
from runink.sandbox.features import LINE_END, understood, written
from runink.sandbox.kernel import name_process, reaped
from runink.sandbox.log import describe, log
from runink.sandbox.mounts import SAFE, attach, new_filesystem
from runink.sandbox.namespaces import Child, IdMap, cloned, forbid_setgroups, map_ids
from runink.sandbox.notifying import tell_manager
from runink.sandbox.skeleton import Skeleton, runtime_folders
from runink.sandbox.standing import Standing, standing
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
from runink.sandbox.trials import tried
from runink.sandbox.walls import Walls

FOLDER_SUFFIX: Final = (
    ".root"  # of the socket's path: where the skeleton is mounted, seen by nobody else
)
FOLDER_MODE: Final = 0o700
GO: Final = b"g"
SIGNALLED: Final = 128  # and the signal's number: an exit code, as shells have it
STAYING_SIGNALS: Final = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
TRIALS_MS_MAX: Final = 5000  # they take two
TOLD_BYTES_MAX: Final = 1 << 14
NOT_SAID: Final = "whoever was to try it has not said so"


def secluded(
    socket_path: str, shown: list[str], *, state: str = "", stays: bool = False
) -> tuple[Walls | None, Told]:
    """Go on as the first process of new namespaces, and return the walls for cells, where they can be made, and what was found out. Ends the process that called.

    `shown` are folders beside the installed packages that slices import from, `state` is a folder that they are shown files of, the socket's if none is named.  With `stays` the process that called
    ends with the new one and as that does, and passes on that it is to end: whoever started it sees one process.
    """
    folder = state or os.path.dirname(socket_path)  # noqa: PTH120 - the sandbox does without pathlib
    ours = None
    try:
        ours = standing()
        if ours is Standing.BARE_ROOT:
            raise PermissionError(errno.EPERM, ours.value)
        launcher = _go_on_as_first(folder, ours, stays=stays)
        try:
            skeleton = _made_at_home(socket_path, shown)
            found = _heard(launcher)
        finally:
            os.close(launcher)
    except OSError as error:
        found = Told({}, {NAMESPACES: describe(error)})
    if ours is Standing.GIVER and ID_RANGES in found.missing:  # our own id is no wall
        found.missing.setdefault(NAMESPACES, found.missing[ID_RANGES])
    for name in WALLS - found.there.keys():
        found.missing.setdefault(name, NOT_SAID)
    if NAMESPACES in found.missing:
        leave(socket_path)
        return None, found
    return Walls(skeleton, has_ranges=ours is Standing.GIVER, missing=found.missing), found


def _made_at_home(socket_path: str, shown: list[str]) -> Skeleton:
    """Make the mounts of this process its own, and what slices are shown of them. Raises OSError."""
    call("mount", b"none", b"/", None, MS_REC | MS_SLAVE, None)
    attach(new_filesystem("proc", SAFE | MOUNT_ATTR_NOEXEC), "/proc")
    folder = socket_path + FOLDER_SUFFIX
    os.makedirs(folder, mode=FOLDER_MODE, exist_ok=True)  # noqa: PTH103 - as above
    return Skeleton(folder, runtime=runtime_folders(shown))


def leave(socket_path: str) -> None:
    """Take the skeleton's folder away: it was but the place of a mount that only this process sees."""
    folder = socket_path + FOLDER_SUFFIX
    with contextlib.suppress(OSError):
        call("umount2", os.fsencode(folder), MNT_DETACH)
    with contextlib.suppress(OSError):
        os.rmdir(folder)  # noqa: PTH106 - as above


def _go_on_as_first(folder: str, ours: Standing, *, stays: bool) -> int:
    """Clone the caller into the namespaces, in which it returns where its launcher tells what it has tried; end the caller itself, or have it stay. Raises OSError."""
    user, group = os.geteuid(), os.getegid()
    has_one_id = ours is Standing.ONE_ID
    source, target = os.pipe()
    flags = CLONE_NEWPID | CLONE_NEWNS | (CLONE_NEWUSER if has_one_id else 0)
    if not stays:
        flags |= CLONE_PARENT  # it is our parent's
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STAYING_SIGNALS if stays else ())
    try:
        child = cloned(flags, exit_signal=signal.SIGCHLD if stays else 0)
    except OSError:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(source)
        os.close(target)
        raise
    if child.pid:
        try:
            if has_one_id:
                forbid_setgroups(child.pid)
                map_ids(child.pid, IdMap(0, user, 1), IdMap(0, group, 1))
            os.write(target, GO)
            # Who tries gives up the rights to wait for a child, and to end it.
            if not stays or not os.fork():
                tried(folder, ours, lambda found: os.write(target, written(found)))
                os._exit(0)
            tell_manager("READY=1")
            os._exit(_attended(child))
        except OSError as error:
            log("spawner has no ids", problem=describe(error))
        finally:
            os._exit(0)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    os.close(target)
    if not os.read(source, len(GO)):
        os._exit(1)
    return source


def _attended(spawner: Child) -> int:
    """Wait for the spawner's end, and return its exit code; pass on whatever tells us to end."""
    name_process("runi-spawn")
    while True:
        for child in reaped():
            if child.pid == spawner.pid:
                code = os.waitstatus_to_exitcode(child.status)
                return code if code >= 0 else SIGNALLED - code
        if signal.sigwait(STAYING_SIGNALS) != signal.SIGCHLD:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(spawner.pidfd, signal.SIGTERM)


def _heard(launcher: int) -> Told:
    """Return what the launcher says; nothing, if that does not come. Raises OSError."""
    end = select.poll()
    end.register(launcher, select.POLLIN)
    said = b""
    while (
        not said.endswith(LINE_END)
        and end.poll(TRIALS_MS_MAX)
        and (more := os.read(launcher, TOLD_BYTES_MAX))
    ):
        said += more
    try:
        return understood(said)
    except ValueError as error:
        log("launcher has not said what it has tried", problem=describe(error))
        return Told({}, {})
