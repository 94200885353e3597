"""The environments of a node: `ready` finds the one of a lock or makes it, and begins a use of it.

    nobody has the key's lock     we take it; an environment that is there is whole, else we make it aside and rename it
    somebody has it               we look again every LOOK_S: it makes the same environment, or is about to begin a use, or removes it

Two runs, and two agents, make an environment once.  Who dies while making one leaves a folder in `making/`, which is never taken for an environment.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import anyio

from runink.environments.holding import new_lease, try_lock
from runink.environments.lock import NAME, Lock
from runink.environments.making import make
from runink.environments.packages import Package, packages_of
from runink.errors import TimedOut, Unavailable

FOLDER: Final = "environments"
MAKE_S_MAX: Final = (
    900.0  # the largest take a minute on a slow line; who waits longer waits for a dead index
)
LOOK_S: Final = 0.1  # between two looks whether another has made it
REMOVE_S: Final = 30.0
FOLDER_MODE: Final = 0o700
CACHE: Final = "cache"  # its lock is shared by those who make environments from it
_PARTS: Final = ("making", "gone", "locks", "leases")


@dataclass(frozen=True, slots=True)
class Places:
    """Where the parts of a node's environments are; see the package's docstring."""

    root: Path

    @property
    def making(self) -> Path:
        return self.root / "making"

    @property
    def gone(self) -> Path:
        return self.root / "gone"

    @property
    def leases(self) -> Path:
        return self.root / "leases"

    @property
    def cache(self) -> Path:
        return self.root / CACHE

    def environment(self, key: str) -> Path:
        return self.root / key

    def lock(self, key: str) -> Path:
        return self.root / "locks" / key

    def make_all(self) -> None:
        self.root.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        for name in _PARTS:
            (self.root / name).mkdir(mode=FOLDER_MODE, exist_ok=True)


@dataclass(frozen=True, slots=True)
class Use:
    """An environment that is not removed while `descriptor` is open, in this process or in one that it was handed to."""

    folder: Path
    packages: tuple[Package, ...]
    descriptor: int

    def close(self) -> None:
        os.close(self.descriptor)


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told how it goes on: `waits` what is waited for, `line` each line that uv prints, without secrets."""

    waits: Callable[[str], None]
    line: Callable[[str], None]


class Environments:
    """Those in one folder, which only this user may see."""

    def __init__(self, root: Path) -> None:
        self._places = Places(root.absolute())  # uv and slices have working folders of their own

    async def ready(self, lock: Lock, listener: Listener, *, within: float = MAKE_S_MAX) -> Use:
        """Return a use of the lock's environment, which is made if it is not there.

        Raises TimedOut (`environment_timed_out`), Unavailable (`environment_not_made`) and what `diagnosing` knows.
        """
        try:
            with anyio.fail_after(within):
                self._places.make_all()
                return await self._ready(lock, listener)
        except TimeoutError:
            raise TimedOut(
                f"the packages of this run were not there within {within:g} s",
                code="environment_timed_out",
                hint="runi logs shows how far it came; what was downloaded is kept for the next try",
            ) from None
        except OSError as error:
            raise Unavailable(
                f"the folder of environments {self._places.root} cannot be used: {error}",
                code="environment_not_made",
                hint="make room on the node's disk, or have the folder belong to who runs Runink",
            ) from error

    async def _ready(self, lock: Lock, listener: Listener) -> Use:
        key = lock.key
        for_another = partial(listener.waits, f"another run has {_counted(lock)}")
        async with _locked(self._places.lock(key), for_another):
            folder = self._places.environment(key)
            if not folder.is_dir():
                listener.waits(f"{_counted(lock)} are being installed")
                await self._make(lock, folder, listener)
            packages = packages_of(folder)
            os.utime(folder)
            return Use(folder, packages, new_lease(self._places.leases, key))

    async def _make(self, lock: Lock, target: Path, listener: Listener) -> None:
        aside = self._places.making / f"{lock.key}.{os.urandom(8).hex()}"
        aside.mkdir(mode=FOLDER_MODE)
        cache = self._places.cache
        try:
            async with _locked(self._places.lock(CACHE), _nobody, shared=True):
                cache.mkdir(mode=FOLDER_MODE, exist_ok=True)
                made = await make(lock, aside, cache=cache, target=target, told=listener.line)
            _publish(made, target)
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(REMOVE_S):
                await anyio.to_thread.run_sync(partial(remove_tree, aside))


@asynccontextmanager
async def _locked(
    path: Path, must_wait: Callable[[], None], *, shared: bool = False
) -> AsyncIterator[None]:
    """Have a lock for as long as the block. `must_wait` is told if somebody else has it."""
    descriptor = try_lock(path, shared=shared)
    if descriptor is None:
        must_wait()
    while descriptor is None:  # up to the caller's deadline
        await anyio.sleep(LOOK_S)
        descriptor = try_lock(path, shared=shared)
    try:
        yield
    finally:
        os.close(descriptor)


def _nobody() -> None:
    """Tell nobody: who removes the cache has it for a moment."""


def _publish(made: Path, target: Path) -> None:
    made.rename(target)
    target.chmod(0o555)


def _counted(lock: Lock) -> str:
    return f"the packages of {NAME} ({len(lock.pins)})"


def remove_tree(folder: Path) -> None:
    """Remove a folder, also one without the right to write; what cannot be removed stays for the next try."""
    for above, _, _ in os.walk(folder):
        _make_writable(Path(above))
    shutil.rmtree(folder, ignore_errors=True)


def _make_writable(folder: Path) -> None:
    with suppress(OSError):  # removed by another meanwhile
        folder.chmod(0o700)
