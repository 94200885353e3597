"""How a cell is closed, step by step.  What each step left in force stands in the report that becomes part of the slice's record.

    who       step                         what
    spawner    1  id range                 the herd's range on this node
               2  limits                   the cell's cgroups with all limits, before anybody is in them
               3  trees                    the mounts that the slice is to see, detached
    zygote     4  clone                    user, mount, pid, net, ipc, uts namespaces, with a pidfd (into the v2 cgroup where there is one); user and net are those of a home (`homes.py`)
    spawner    5  cgroups                  joined, while the child waits
               6  id maps                  written, where the home is new, and read back
    first      7  session                  a new one; ids of the new user namespace
               8  cgroup namespace         now that it stands where it stays (at the clone it was still the zygote's)
               9  root                     private mounts, a small read-only root, fresh /proc with masks, /dev, pivot
              10  network and name         loopback up, where the home does not have it so; the host's name
              11  limits of the process    no core, nothing ahead of others
              12  privileges               no groups, no capability in any set, the slice's own ids
              13  no new privileges
              14  Landlock                 a second wall around files
              15  descriptors              all closed but the cell's socket and what the slice is to have
              16  not dumpable             nobody of the same user looks into it
              17  seccomp                  last: it forbids much of what stands above
    worker    18  lifeline                 forked with all of that in force; a session of its own; it ends with the first process, the first process with the spawner's socket
              19  sealed                   said with the report

The cell's first process closes itself off, and then forks the worker: there is no moment at which one of the two is behind fewer walls than the other, and no step is gone twice.
A worker that is alone is the first process itself (`first.py`).

A step that fails is told with its number, and the cell ends: nothing runs half closed.  What the machine has not got at all is no step that fails.  Without Landlock cells are
sealed all the same, and so they are without seccomp; but those are given only to slices that may do without it (`walls.py`).
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import struct
from collections.abc import Collection
from typing import Final, NamedTuple

from runink.capabilities import FULL, ISOLATION, PARTIAL
from runink.sandbox import landlock, privileges, seccomp
from runink.sandbox.calls import ANY, Call, asked, called, next_free, perform, prctl
from runink.sandbox.faults import end
from runink.sandbox.mounts import MASK, Scratch, Tree, entering
from runink.sandbox.namespaces import OWN
from runink.sandbox.protocol import HERD_NETWORK, HOST_NETWORK, NO_NETWORK
from runink.sandbox.syscalls import CLONE_NEWCGROUP, PR_SET_NAME

WORKER: Final = "runi-slice"  # the name that ps shows
HOST_NAME: Final = b"slice"
NETWORKS: Final = {
    NO_NETWORK: "none",
    HERD_NETWORK: "the herd's",
    HOST_NETWORK: "the node's",
}  # as the report says it
OWN_FOLDERS: Final = ("/tmp", "/dev")  # noqa: S108 - the slice's own; of /dev only what its mount leaves
SCRATCH_FILES: Final = 1 << 18  # a slice that makes more files than that is not spooling
# What whoever starts the node may have a right to, and a slice has not: a core, a nice value below 0, real time.
NONE_OF: Final = (resource.RLIMIT_CORE, resource.RLIMIT_NICE, resource.RLIMIT_RTPRIO)
_SIOCSIFFLAGS: Final = 0x8914
_IFF_UP: Final = 1
_IFREQ: Final = struct.Struct("16sH22x")

STEPS: Final = {
    1: "id range",
    2: "limits",
    3: "trees",
    4: "clone",
    5: "cgroups",
    6: "id maps",
    7: "session",
    8: "cgroup namespace",
    9: "root",
    10: "network and name",
    11: "limits of the process",
    12: "privileges",
    13: "no new privileges",
    14: "Landlock",
    15: "descriptors",
    16: "not dumpable",
    17: "seccomp",
    18: "lifeline",
    19: "sealed",
}


class Rooms(NamedTuple):
    """What a cell's root is built of. `writable` are the targets that it may change; `mask` is that of files that slices have, which is the agent's."""

    trees: list[Tree]
    links: list[list[str]]
    writable: list[str]
    folder: str
    scratch_bytes: int
    mask: int


class Seals(NamedTuple):
    """What is the same for all cells of a zygote, and made before the fork. There is no `filter` where there is no seccomp; `landlock` is the kernel's version of it, 0 for none."""

    filter: seccomp.Filter | None
    landlock: int
    has_groups: bool
    network: str


class Progress:
    """Which step a process is at. Tests have it end at one (`faults.py`)."""

    def __init__(self, end_at: int) -> None:
        self.step = 0
        self._end_at = end_at

    def at(self, step: int) -> None:
        self.step = step
        if step == self._end_at:
            end(step)


Deeds = list[tuple[int, list[Call]]]  # the calls of each step, in their order


def do(deeds: Deeds, progress: Progress) -> None:
    """Take these steps. Raises OSError; the progress then is at the step that failed."""
    for step, calls in deeds:
        progress.at(step)
        perform(calls)


def become_root() -> None:
    """Become the first user of the namespace; with a single id it is OWN, and has the powers of the namespace all the same. Raises OSError."""
    if os.getuid() != OWN:
        perform(becoming_root())


def becoming_root() -> list[Call]:
    """Return the calls that do it where there is more than that id."""
    return [called("become root", f"setres{name}", 0, 0, 0) for name in ("gid", "uid")]


def closing_off(rooms: Rooms, seals: Seals, *, free: int, is_home: bool) -> Deeds:
    """Return steps 7 to 10, in a first process that has its ids and whose lowest free descriptor will be `free`; in a home the loopback is up."""
    scratch = Scratch(rooms.scratch_bytes, SCRATCH_FILES)
    enter = entering(rooms.trees, rooms.links, scratch, masked=True, folder=rooms.folder)
    masks = [called("file mode mask", "umask", mask, wanted=ANY) for mask in (MASK, rooms.mask)]
    is_raised = seals.network == NO_NETWORK and not is_home
    name = asked("name the host", "sethostname", HOST_NAME, len(HOST_NAME))
    return [
        (
            7,
            [
                called("session", "setsid", wanted=ANY),
                *(becoming_root() if seals.has_groups else ()),
            ],
        ),
        (8, [asked("cgroup namespace", "unshare", CLONE_NEWCGROUP)]),
        (9, [masks[0], *enter, masks[1]]),
        (10, [*(raising_loopback(free) if is_raised else ()), name]),
    ]


def prepared_seals(network: str) -> Seals:
    """Make what cells will need. Raises OSError on a machine that they cannot be sealed on."""
    wall, calls = landlock.abi(), None
    if not seccomp.absence():
        calls = _filter(network, wall, alone=False)
    privileges.known_capabilities()  # which is remembered
    # Who was given one id only (rootless) has no power over groups.
    return Seals(calls, wall, has_groups=os.geteuid() != 0, network=network)


def seals_of_one(seals: Seals) -> Seals:
    """Return what cells of one process need instead."""
    if seals.filter is None:
        return seals
    return seals._replace(filter=_filter(seals.network, seals.landlock, alone=True))


def seal(
    seals: Seals, writable: list[str], progress: Progress, *, kept: tuple[int, ...]
) -> dict[str, str]:
    """Take steps 11 to 17 in this process, and return what is in force. Raises OSError."""
    files = [path for path in writable if not os.path.isdir(path)]  # noqa: PTH112 - the sandbox does without pathlib
    do(sealing(seals, writable, files, kept=kept, free=next_free()), progress)
    privileges.check_powerless()
    return in_force(seals)


def sealing(
    seals: Seals, writable: list[str], files: Collection[str], *, kept: tuple[int, ...], free: int
) -> Deeds:
    """Return steps 11 to 17, in a first process whose lowest free descriptor will be `free`."""
    rules = landlock.prepared(
        read_only=("/",),
        read_write=[folder for folder in OWN_FOLDERS if not _holds(folder, writable)],
        unlinked=[*writable, *(folder for folder in OWN_FOLDERS if _holds(folder, writable))],
        network=True,
        version=seals.landlock,
    )
    limits = [call for which in NONE_OF for call in privileges.limiting(which, 0)]
    become = privileges.becoming(OWN, OWN, groups_forbidden=not seals.has_groups)
    return [
        (11, limits),
        (12, [*become, *privileges.dropping_capabilities()]),
        (13, privileges.forbidding_new_privileges()),
        (14, landlock.restricting(rules, files, free=free)),
        (15, privileges.closing_others(kept)),
        (16, privileges.hiding()),
        (17, seccomp.installing(seals.filter) if seals.filter is not None else []),
    ]


def in_force(seals: Seals) -> dict[str, str]:
    """Return what holds for a cell that is sealed."""
    return {
        ISOLATION: FULL if seals.filter is not None else PARTIAL,
        "namespaces": "user mount pid net ipc uts cgroup",
        "network": NETWORKS[seals.network],
        "user": str(OWN),
        "ids": "the herd's" if seals.has_groups else "shared",
        "landlock": f"abi {seals.landlock}" if seals.landlock else "off",
        "seccomp": "on" if seals.filter is not None else "off",
    }


def binding_worker(*, is_alone: bool) -> Deeds:
    """Return step 18, in a worker. One that is alone has a session, and ends with the spawner's pid namespace, as its first process would."""
    name = prctl("name", PR_SET_NAME, WORKER.encode())
    if is_alone:
        return [(18, [name])]
    lifeline = privileges.dying_with_parent(signal.SIGKILL)
    return [(18, [name, called("session", "setsid", wanted=ANY), *lifeline])]


def _holds(folder: str, paths: list[str]) -> bool:
    """Say whether one of the paths is the folder or lies beneath it: a rule for that would hold there, too."""
    return any(f"{path}/".startswith(f"{folder}/") for path in paths)


def _filter(network: str, wall: int, *, alone: bool) -> seccomp.Filter:
    return seccomp.prepared(egress=network != NO_NETWORK, links=wall > 0, alone=alone)


def raising_loopback(free: int) -> list[Call]:
    """Return the calls that have 127.0.0.1 work: programs talk to their own children over it. Of its flags only this one is ours to set."""
    says, kind = "loopback", socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
    return [
        called(says, "socket", int(socket.AF_INET), int(kind), 0, wanted=free),
        called(says, "ioctl", free, _SIOCSIFFLAGS, _IFREQ.pack(b"lo", _IFF_UP)),
        called(says, "close", free),
    ]
