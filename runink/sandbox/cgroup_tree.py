"""A cgroup's directory with all cgroups below it, in one hierarchy: who is in it, the end of all of them, its removal.

by                 what happens
cgroup.kill        v2 from Linux 5.14 on: the kernel ends everything, also what is being forked at the moment
freezer            v1 `freezer.state`, v2 `cgroup.freeze`: nothing can fork or end while it is frozen, so the numbers in cgroup.procs stay true until
                   the signal is sent; in v1 it is felt only after the thaw
signals            neither: each process is held by a descriptor, looked up again in cgroup.procs, and ended.  A process that forks faster than we
                   read escapes this round, not the next: its number of processes is limited
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Iterator
from typing import Final

from runink.sandbox import cgroup_files as files

DEPTH_MAX: Final = 8  # base, herd, slice; deeper ones were not made by us
FREEZE_LOOKS: Final = 20  # a process in the middle of a system call freezes at its end
FREEZE_LOOK_S: Final = 0.0001
LOOK_S: Final = 0.001
BUSY: Final = frozenset({errno.EBUSY, errno.ENOTEMPTY})
REMOVE_TRIES: Final = 3  # just after its last process the kernel still holds a group for a moment


def below(directory: str, *, depth: int = DEPTH_MAX) -> Iterator[str]:
    """Return all cgroups below this one and then itself: the order in which they can be removed."""
    if depth:
        for name in files.children(directory):
            yield from below(f"{directory}/{name}", depth=depth - 1)
    yield directory


def pids(directory: str) -> list[int]:
    """Return the processes in it and below."""
    found = []
    for group in below(directory):
        with contextlib.suppress(FileNotFoundError):
            found += files.pids(files.read(f"{group}/cgroup.procs"))
    return found


def is_populated(directory: str) -> bool:
    """Say whether any process is in it or below; not if it is gone. Zombies do not count."""
    events = files.read_if_any(f"{directory}/cgroup.events")
    if events:
        return bool(files.numbers(events)["populated"])
    return any(files.read_if_any(f"{group}/cgroup.procs") for group in below(directory))


def kill_by_kernel(directory: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        files.write(f"{directory}/cgroup.kill", "1")


def kill_frozen(directory: str) -> None:
    """Freeze it with all below, send SIGKILL to everyone, and thaw it."""
    if not files.exists(directory):
        return
    is_v2 = files.exists(f"{directory}/cgroup.freeze")
    name, cold, warm = (
        ("cgroup.freeze", "1", "0") if is_v2 else ("freezer.state", "FROZEN", "THAWED")
    )
    files.write(f"{directory}/{name}", cold)
    try:
        for _ in range(FREEZE_LOOKS):
            if _is_frozen(directory, is_v2=is_v2):
                break
            time.sleep(FREEZE_LOOK_S)
        kill_each(directory)  # what does not freeze in time may still end and give its number away
    finally:
        files.write(f"{directory}/{name}", warm)


def _is_frozen(directory: str, *, is_v2: bool) -> bool:
    if is_v2:
        return bool(files.numbers(files.read(f"{directory}/cgroup.events")).get("frozen"))
    return files.read(f"{directory}/freezer.state").strip() == "FROZEN"


def kill_each(directory: str) -> None:
    """Send SIGKILL to everyone in it and below."""
    held: dict[int, int] = {}
    try:
        for pid in pids(directory):
            with contextlib.suppress(ProcessLookupError):
                held[pid] = os.pidfd_open(pid)
        # Who still is in the group is who we hold: its number was not given away in between.
        for pid in pids(directory) if held else ():
            if pid in held:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(held[pid], signal.SIGKILL)
    finally:
        for descriptor in held.values():
            os.close(descriptor)


def remove(directories: list[str]) -> bool:
    """Remove these cgroups in this order, and say whether all are gone. Not if a process is in one. Raises OSError for every other reason."""
    for tries_left in reversed(range(REMOVE_TRIES)):
        directories = [one for one in directories if not _is_removed(one)]
        if not directories:
            return True
        if tries_left:
            time.sleep(LOOK_S)
    return False


def _is_removed(directory: str) -> bool:
    try:
        os.rmdir(directory)  # noqa: PTH106 - pathlib is 2 MB that the spawner does not need
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in BUSY:
            return False
        raise
    return True
