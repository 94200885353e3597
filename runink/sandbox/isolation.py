"""How a cell is closed, step by step.  What each step left in force stands in the report that becomes part of the slice's record.

    who       step                         what
    spawner    1  id range                 the herd's range on this node
               2  limits                   the cell's cgroups with all limits, before anybody is in them
               3  trees                    the mounts that the slice is to see, detached
    zygote     4  clone                    user, mount, pid, net, ipc, uts namespaces, with a pidfd (into the v2 cgroup where there is one)
    spawner    5  cgroups                  joined, while the child waits
               6  id maps                  written and read back
    first      7  session                  a new one; ids of the new user namespace
               8  cgroup namespace         now that it stands where it stays (at the clone it was still the zygote's)
               9  root                     private mounts, a small read-only root, fresh /proc with masks, /dev, pivot
              10  network and name         loopback up; the host's name
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

A step that fails is told with its number, and the cell ends: nothing runs half closed.  What the machine has not got at all is no step that fails.  Without Landlock cells are
sealed all the same, and so they are without seccomp; but those are given only to slices that may do without it (`walls.py`).
"""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import socket
import struct
from typing import Final, NamedTuple

from runink.capabilities import FULL, ISOLATION, PARTIAL
from runink.sandbox import landlock, privileges, seccomp
from runink.sandbox.faults import end
from runink.sandbox.mounts import Scratch, Tree, enter
from runink.sandbox.namespaces import OWN
from runink.sandbox.protocol import HERD_NETWORK, HOST_NETWORK, NO_NETWORK
from runink.sandbox.syscalls import CLONE_NEWCGROUP, call

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
_SIOCGIFFLAGS: Final = 0x8913
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
    """What a cell's root is built of. `writable` are the targets that it may change."""

    trees: list[Tree]
    links: list[list[str]]
    writable: list[str]
    folder: str
    scratch_bytes: int


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


def bound() -> None:
    """Do of step 12 what can be done before a cell has its ids. Raises OSError."""
    privileges.drop_bounding_set()


def become_root() -> None:
    """Become the first user of the namespace; with a single id it is OWN, and has the powers of the namespace all the same. Raises OSError."""
    if os.getuid() != OWN:
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)


def close_off(rooms: Rooms, progress: Progress, network: str) -> None:
    """Do steps 7 to 10 in a first process that has its ids. Raises OSError."""
    progress.at(7)
    os.setsid()
    become_root()
    progress.at(8)
    call("unshare", CLONE_NEWCGROUP)
    progress.at(9)
    scratch = Scratch(rooms.scratch_bytes, SCRATCH_FILES)
    enter(rooms.trees, rooms.links, scratch, masked=True, folder=rooms.folder)
    progress.at(10)
    if network == NO_NETWORK:
        _raise_loopback()
    call("sethostname", HOST_NAME, len(HOST_NAME))


def prepared_seals(network: str) -> Seals:
    """Make what cells will need. Raises OSError on a machine that they cannot be sealed on."""
    wall, calls = landlock.abi(), None
    if not seccomp.absence():
        calls = seccomp.prepared(egress=network != NO_NETWORK, links=wall > 0)
    privileges.known_capabilities()  # which is remembered
    # Who was given one id only (rootless) has no power over groups.
    return Seals(calls, wall, has_groups=os.geteuid() != 0, network=network)


def seal(
    seals: Seals, writable: list[str], progress: Progress, *, kept: tuple[int, ...]
) -> dict[str, str]:
    """Do steps 11 to 17 in a first process, and return what is in force. Raises OSError."""
    progress.at(11)
    for which in NONE_OF:
        privileges.limit(which, 0)
    progress.at(12)
    privileges.become(OWN, OWN, groups_forbidden=not seals.has_groups)
    privileges.drop_capabilities()
    progress.at(13)
    privileges.forbid_new_privileges()
    progress.at(14)
    rules = landlock.prepared(
        read_only=("/",),
        read_write=[folder for folder in OWN_FOLDERS if not _holds(folder, writable)],
        unlinked=[*writable, *(folder for folder in OWN_FOLDERS if _holds(folder, writable))],
        network=True,
        version=seals.landlock,
    )
    wall = landlock.restrict(rules)
    progress.at(15)
    privileges.close_others(kept)
    progress.at(16)
    privileges.hide()
    progress.at(17)
    if seals.filter is not None:
        seccomp.install(seals.filter)
    privileges.check_powerless()
    return {
        ISOLATION: FULL if seals.filter is not None else PARTIAL,
        "namespaces": "user mount pid net ipc uts cgroup",
        "network": NETWORKS[seals.network],
        "user": str(OWN),
        "ids": "the herd's" if seals.has_groups else "shared",
        "landlock": f"abi {wall.abi}" if wall.abi else "off",
        "seccomp": "on" if seals.filter is not None else "off",
    }


def bind_worker(progress: Progress) -> None:
    """Do step 18 in a worker. Raises OSError."""
    progress.at(18)
    os.setsid()
    privileges.die_with_parent(signal.SIGKILL)


def _holds(folder: str, paths: list[str]) -> bool:
    """Say whether one of the paths is the folder or lies beneath it: a rule for that would hold there, too."""
    return any(f"{path}/".startswith(f"{folder}/") for path in paths)


def _raise_loopback() -> None:
    """Have 127.0.0.1 work: programs talk to their own children over it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
        found = fcntl.ioctl(control, _SIOCGIFFLAGS, _IFREQ.pack(b"lo", 0))
        flags = _IFREQ.unpack(found)[1]
        if not flags & _IFF_UP:
            fcntl.ioctl(control, _SIOCSIFFLAGS, _IFREQ.pack(b"lo", flags | _IFF_UP))
