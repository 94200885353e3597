"""The code of runs on a worker node: what is not there is fetched from the Barn, once, and kept in the node's own folder."""

from __future__ import annotations

import errno
from functools import partial
from pathlib import Path

import anyio

from runink.actors.offload import Offload, in_thread
from runink.bundles import unpack
from runink.clients.barn import BarnClient
from runink.clients.bundle_store import fetch_bundle
from runink.errors import Unavailable
from runink.names import BundleHash


class Bundles:
    """One for a node. `folder` holds a folder for each bundle, under its hash."""

    def __init__(self, barn: BarnClient, folder: Path, *, offload: Offload = in_thread) -> None:
        self._barn = barn
        self._folder = folder
        self._offload = offload
        self._fetching: dict[BundleHash, anyio.Lock] = {}

    async def ready(self, name: BundleHash) -> None:
        """Return when the bundle is there. Raises NotFound, Broken, Unavailable (`disk_full` and `bundle_not_kept` for a disk that will not)."""
        if (self._folder / name).is_dir():
            return
        lock = self._fetching.setdefault(name, anyio.Lock())
        try:
            async with lock:
                if not (self._folder / name).is_dir():
                    bundle = await fetch_bundle(self._barn, name)
                    await self._offload(partial(unpack, bundle, self._folder))
        except OSError as error:
            raise Unavailable(
                f"the run's code cannot be kept in {self._folder}: {error.strerror or error}",
                code="disk_full" if error.errno == errno.ENOSPC else "bundle_not_kept",
                hint="make room on the node, or mend the folder",
            ) from error
        finally:
            if not lock.statistics().tasks_waiting:
                self._fetching.pop(name, None)
