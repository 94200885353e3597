"""Who the spawner is to the kernel: found from what it has, not from its number, because root of a user namespace may be anybody's.

standing    who                                                                     how cells get their ids
GIVER       root that has the ids of all herds: the machine's, or of a namespace    each herd has a range
            that was given as many
ONE_ID      an ordinary user, or root of a namespace without those ids (`unshare    all have the spawner's own, in namespaces beneath one of its own
            --map-root-user`, a container), behind which is an ordinary user
BARE_ROOT   root of such a namespace, behind which is the machine's own root        none: that id is the machine's root's, to which its /proc/sys and much else belongs
"""

from __future__ import annotations

import os
from enum import Enum
from typing import Final

from runink.sandbox.ids import FIRST, RANGES
from runink.sandbox.namespaces import IDS

MAPS: Final = ("/proc/self/uid_map", "/proc/self/gid_map")
MACHINES: Final = "/proc/sys"  # it is the machine's root's, wherever it is seen


class Standing(Enum):
    """The value says why there are no ranges."""

    GIVER = ""
    ONE_ID = "who is not the machine's root has one id to give away: its own"
    BARE_ROOT = "this user namespace has not got the ids that herds are given, and its own id is that of the machine's root"


def standing() -> Standing:
    """Return that of this process. Raises OSError where /proc does not tell."""
    user = os.geteuid()
    if not user and all(holds(_read(path), FIRST, RANGES * IDS) for path in MAPS):
        return Standing.GIVER
    # Under whatever number: a namespace of the machine's root may show it as any.
    is_machines = os.stat(MACHINES).st_uid == user  # noqa: PTH116 - the sandbox does without pathlib
    return Standing.BARE_ROOT if is_machines else Standing.ONE_ID


def holds(id_map: str, first: int, length: int) -> bool:
    """Say whether the `length` ids from `first` on are all in a map: lines of the first id inside, that outside, and how many."""
    at = first
    for inside, _, count in sorted(tuple(map(int, line.split())) for line in id_map.splitlines()):
        if inside <= at < inside + count:
            at = inside + count
    return at >= first + length


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:  # noqa: PTH123 - as above
        return file.read()
