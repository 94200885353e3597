"""The code of runs on a worker node: what is not there is fetched from the Barn, once, and kept in the node's own folder.

A bundle that has its name is whole, also behind a power cut: it is synced before it gets it.  They are kept for the runs to come, up to BYTES_MAX together; beyond that those
go first that were used longest ago.  One of a run that is not over stays, and so does one that cannot be fetched again and that a run is known by.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import anyio

from runink.actors.offload import Offload, in_thread
from runink.barn.keys import RUNS
from runink.bundles import unpack
from runink.clients.barn import BarnClient
from runink.clients.bundle_store import fetch_bundle, stored_bundles
from runink.errors import Unavailable
from runink.names import BundleHash
from runink.runs.records import RunRecord

BYTES_MAX: Final = 1 << 30  # of all bundles of a node together: thousands of versions of a project
FRESH_S: Final = 3600.0  # a run that is submitted at this moment has no record yet
NOTED_S: Final = (
    60.0  # in which it is noted once that a bundle is used: each slice of a run uses it
)
EVER_MS: Final = 1 << 62


class KeptBundle(NamedTuple):
    """A bundle of a node, its size, and when it was used last, in seconds of the Unix epoch."""

    name: str
    size_bytes: int
    used_s: float


class Bundles:
    """One for a node. `folder` holds a folder for each bundle, under its hash."""

    def __init__(self, barn: BarnClient, folder: Path, *, offload: Offload = in_thread) -> None:
        self._barn = barn
        self._folder = folder
        self._offload = offload
        self._noted_s: dict[BundleHash, float] = {}
        self._fetching: dict[BundleHash, anyio.Lock] = {}

    async def ready(self, name: BundleHash) -> None:
        """Return when the bundle is there. Raises NotFound, Broken, Unavailable (`disk_full` and `bundle_not_kept` for a disk that will not)."""
        if self._is_there(name):
            return
        lock = self._fetching.setdefault(name, anyio.Lock())
        try:
            async with lock:
                if not self._is_there(name):
                    bundle = await fetch_bundle(self._barn, name)
                    await self._offload(partial(unpack, bundle, self._folder, is_synced=True))
        except OSError as error:
            raise Unavailable(
                f"the run's code cannot be kept in {self._folder}: {error.strerror or error}",
                code="disk_full" if error.errno == errno.ENOSPC else "bundle_not_kept",
                hint="make room on the node, or mend the folder",
            ) from error
        finally:
            if not lock.statistics().tasks_waiting:
                self._fetching.pop(name, None)

    def _is_there(self, name: BundleHash) -> bool:
        """Say whether a bundle is there, and take note that it is used."""
        path = self._folder / name
        if not path.is_dir():
            return False
        now_s = time.monotonic()
        if now_s - self._noted_s.get(name, -NOTED_S) >= NOTED_S:
            self._noted_s[name] = now_s
            with suppress(OSError):  # another user's, who keeps it
                os.utime(path)
        return True

    async def collect(self, *, bytes_max: int = BYTES_MAX) -> None:
        """Take away what is too much. Raises Unavailable, OSError."""
        kept: list[KeptBundle] = await self._offload(partial(bundles_in, self._folder))
        if sum(one.size_bytes for one in kept) <= bytes_max:
            return
        listing = await self._barn.range(RUNS.prefix(), RunRecord)
        runs = [found.value for found in listing.items]
        stored = await stored_bundles(self._barn, before_ms=EVER_MS)
        needed = {one.bundle for one in runs if not one.state.is_over or one.bundle not in stored}
        gone = too_many(kept, needed, bytes_max=bytes_max, before_s=time.time() - FRESH_S)
        await self._offload(partial(_remove, self._folder, gone))


def too_many(
    kept: Iterable[KeptBundle], needed: set[BundleHash], *, bytes_max: int, before_s: float
) -> list[str]:
    """Return which bundles are to go so that the rest is no larger than that: the ones used longest ago, none that is needed, none used since `before_s`."""
    by_age = sorted(kept, key=lambda one: (one.used_s, one.name))
    over = sum(one.size_bytes for one in by_age) - bytes_max
    gone = []
    for one in by_age:
        if over <= 0:
            break
        if one.name not in needed and one.used_s < before_s:
            gone.append(one.name)
            over -= one.size_bytes
    return gone


def bundles_in(folder: Path) -> list[KeptBundle]:
    """Return the bundles of a folder; what is being unpacked at this moment is none yet. Raises OSError."""
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        if not path.name.startswith(".") and path.is_dir():
            size = sum(file.lstat().st_size for file in path.rglob("*"))
            found.append(KeptBundle(path.name, size, path.stat().st_mtime))
    return found


def _remove(folder: Path, names: Iterable[str]) -> None:
    """Take bundles away: first the name, so that none is ever half there."""
    for name in names:
        aside = folder / f".{name}.gone"
        with suppress(FileNotFoundError):
            (folder / name).rename(aside)
        shutil.rmtree(aside, ignore_errors=True)
