"""What a cell's walls are made of, for the spawner: id ranges, id maps, and the trees that a slice is shown.

as root             each herd has a range of ids; what lies on disk is shown as the slice's own by mounts with an id map
as another user     there is one id, the user's own: slices of all herds run as it (`ids=shared`), and mounts need no map

Every cell is made of trees, so whoever may not do without a wall that is missing here is refused when they are asked for.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from runink.capabilities import WALLS
from runink.sandbox import rights
from runink.sandbox.ids import ZYGOTE, Ranges
from runink.sandbox.inner_protocol import Root
from runink.sandbox.mounts import READ_ONLY as READ_ONLY_ATTRIBUTES
from runink.sandbox.mounts import SAFE, Tree, detached, is_folder, told
from runink.sandbox.namespaces import IDS, OWN, IdMap, forbid_setgroups, map_ids, user_namespace
from runink.sandbox.packets import close_all
from runink.sandbox.protocol import HERD_NETWORK, HOST_NETWORK, READ_WRITE, Launch
from runink.sandbox.rights import User
from runink.sandbox.skeleton import Skeleton

SHARED: Final = IdMap(OWN, 0, 1)
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class BindRefused(OSError):
    """What is to be shown is not what the agent meant."""


class WallMissing(OSError):
    """The machine has not got what the slice is to be closed off with."""


class Walls:
    """One for a spawner. `has_ranges` says whether it may give away ids that are not its own; `missing` is what the machine has not got, and why."""

    def __init__(
        self, skeleton: Skeleton, *, has_ranges: bool, missing: Mapping[str, str] = NOTHING
    ) -> None:
        self._skeleton = skeleton
        self._has_ranges = has_ranges
        self._missing = {name: why for name, why in missing.items() if name in WALLS}
        self._ranges = Ranges()
        self._shown_as: dict[tuple[str, int, int], int] = {}
        self._numbers: dict[str, int] = {}

    def zygote_root(self, network: str) -> tuple[Root, list[int]]:
        """Return what a zygote is told of its root, and the trees' descriptors. Raises OSError."""
        trees = self._skeleton.trees()
        user = ZYGOTE if self._has_ranges else 0
        root = Root(*told(trees), self._skeleton.links, user, network)
        return root, [tree.descriptor for tree in trees]

    @property
    def has_ranges(self) -> bool:
        """Whether herds have ids of their own here."""
        return self._has_ranges

    @property
    def links(self) -> list[list[str]]:
        return self._skeleton.links

    def claim(self, herd: str) -> None:
        """Have a range for the herd. Raises OSError."""
        if self._has_ranges:
            self._ranges.of(herd)

    def number_of(self, herd: str) -> int:
        """Return the number that stands for a herd where slices of others may read it: in what is told a fork server, of which each cell is a copy."""
        return self._numbers.setdefault(herd, len(self._numbers))

    def give_ids(self, pid: int, herd: str) -> None:
        """Write the id maps of a cell's first process and read them back. Raises OSError, MapRefused."""
        if self._has_ranges:
            whole = IdMap(0, self._ranges.of(herd), IDS)
            map_ids(pid, whole, whole)
        else:
            forbid_setgroups(pid)
            map_ids(pid, SHARED, SHARED)

    def own_id(self, herd: str) -> int:
        """Return the id that the herd's slices run as, seen from outside."""
        return self._ranges.of(herd) + OWN if self._has_ranges else 0

    def trees(
        self, launch: Launch, meant: list[int], *, owner: tuple[int, int], resolver: str
    ) -> list[Tree]:
        """Return everything that a slice is shown. Raises OSError, BindRefused, WallMissing.

        `meant` are the agent's descriptors for its binds, `owner` its user and group, `resolver` the text of its resolv.conf in a herd's network.
        """
        self._check(launch)
        trees = self._skeleton.trees()
        try:
            if launch.network == HOST_NETWORK:
                trees += self._skeleton.online()
            elif launch.network == HERD_NETWORK:
                trees += self._skeleton.resolving(launch.herd, resolver)
            users = self._users(launch.herd, owner)
            for (path, mode), wanted in zip(launch.binds, meant, strict=True):
                is_writable = mode == READ_WRITE
                if owner[0] == os.geteuid():
                    shown = _shown(path, wanted, users, is_writable=is_writable)
                else:
                    shown = _shown_for(User(*owner), path, wanted, users, is_writable=is_writable)
                trees.append(Tree(path, shown, is_folder(shown)))
        except BaseException:
            close_all([tree.descriptor for tree in trees])
            raise
        return trees

    def _check(self, launch: Launch) -> None:
        """Raise WallMissing if the slice may not do without something that is missing here."""
        for name, why in self._missing.items():
            if name not in launch.without:
                text = (
                    f"this node has no {name} ({why}), and herd {launch.herd} does not allow that"
                )
                raise WallMissing(0, text)

    def _users(self, herd: str, owner: tuple[int, int]) -> int | None:
        """Return the user namespace that shows the owner's files as the herd's."""
        if not self._has_ranges:
            return None
        key = (herd, *owner)
        if key not in self._shown_as:
            own = self.own_id(herd)
            user, group = owner
            self._shown_as[key] = user_namespace(IdMap(user, own, 1), IdMap(group, own, 1))
        return self._shown_as[key]


def _shown(path: str, wanted: int, users: int | None, *, is_writable: bool) -> int:
    """Return the tree at `path`, if that still is what the agent's descriptor leads to: the agent may name only what it can open itself."""
    found = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        _check_same(path, found, wanted)
        return detached(path, _attributes(is_writable), source=found, users=users)
    finally:
        os.close(found)


def _shown_for(user: User, path: str, wanted: int, users: int | None, *, is_writable: bool) -> int:
    """Do the same for an agent of another user, with no more than that user's rights (`rights.py`)."""
    attributes = _attributes(is_writable) | rights.flags_of(wanted, path, is_writable=is_writable)
    found = rights.opened(path, user)
    try:
        _check_same(path, found, wanted)
        rights.check(found, path, user, is_writable=is_writable)
        return detached(path, attributes, source=found, users=users, whole=True)
    finally:
        os.close(found)


def _attributes(is_writable: bool) -> int:  # noqa: FBT001 - one fact, and nothing else
    return SAFE if is_writable else READ_ONLY_ATTRIBUTES


def _check_same(path: str, found: int, wanted: int) -> None:
    ours, theirs = os.fstat(found), os.fstat(wanted)
    if (ours.st_dev, ours.st_ino) != (theirs.st_dev, theirs.st_ino):
        raise BindRefused(0, f"{path} is not any more what it was")
