"""Takes away environments that nobody used for long, what dead makers left, and a cache that has grown too large.

An environment that a process uses stays, whatever its age: see `holding.py`.  Of the others go those that were not used for `unused_s`, then the
ones used longest ago until the rest takes no more than `bytes_max`.  It is moved away first, so what is half removed is never
taken for one.  Whatever may go wrong with one of them leaves it to the next time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runink.environments.holding import drop_lock, is_used, try_lock
from runink.environments.lock import read_lock
from runink.environments.store import CACHE, Places, remove_tree
from runink.environments.worker import size_bytes
from runink.errors import Invalid

UNUSED_S: Final = 14 * 86_400.0
BYTES_MAX: Final = 20 << 30
CACHE_BYTES_MAX: Final = 5 << 30  # of files that no environment shares
LEFT_S: Final = (
    3600.0  # what a maker left may be removed later than what it made: nobody counts on it
)
KEY_LENGTH: Final = 64


@dataclass(frozen=True, slots=True)
class Policy:
    """What may go. `kept` are keys that stay, `cache_bytes_max` is how large the files may be that only the cache has."""

    unused_s: float = UNUSED_S
    bytes_max: int = BYTES_MAX
    cache_bytes_max: int = CACHE_BYTES_MAX
    kept: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class _Found:
    key: str
    used_s: float
    bytes: int


def collect(root: Path, policy: Policy, *, now_s: float | None = None) -> list[str]:
    """Remove what the policy says, and return the keys of the environments that are gone. It reads folders: call it in a thread."""
    places = Places(root)
    if not root.is_dir():
        return []
    now_s = time.time() if now_s is None else now_s
    gone = [key for key in _due(_found(root), policy, now_s=now_s) if _remove(places, key)]
    _sweep(places, now_s=now_s)
    _limit_cache(places, policy.cache_bytes_max)
    return gone


def keys_of(bundles: Path, hashes: Collection[str]) -> set[str]:
    """Return the keys of the environments that these bundles need. A lock that is wrong needs none."""
    found = set()
    for name in hashes:
        try:
            lock = read_lock(bundles / name)
        except Invalid:
            continue
        if lock is not None:
            found.add(lock.key)
    return found


def _found(root: Path) -> list[_Found]:
    """List environments, the one used longest ago first."""
    found = []
    for entry in os.scandir(root):
        if len(entry.name) == KEY_LENGTH and entry.is_dir(follow_symlinks=False):
            used_s = entry.stat(follow_symlinks=False).st_mtime
            found.append(_Found(entry.name, used_s, size_bytes(Path(entry.path))))
    return sorted(found, key=lambda one: one.used_s)


def _due(found: list[_Found], policy: Policy, *, now_s: float) -> list[str]:
    due = []
    total = sum(one.bytes for one in found)
    for one in found:
        if one.key in policy.kept:
            continue
        if now_s - one.used_s >= policy.unused_s or total > policy.bytes_max:
            due.append(one.key)
            total -= one.bytes
    return due


def _remove(places: Places, key: str) -> bool:
    """Remove an environment that nobody uses; say whether it is gone."""
    lock = try_lock(places.lock(key))
    if lock is None:
        return False
    folder = places.environment(key)
    if is_used(places.leases, key):
        os.close(lock)
        return False
    aside = places.gone / os.urandom(8).hex()
    folder.chmod(0o700)  # else only root may move it
    folder.rename(aside)
    drop_lock(places.lock(key), lock)
    remove_tree(aside)
    return True


def _sweep(places: Places, *, now_s: float) -> None:
    """Remove what died in the middle: of those who made an environment, and of those who removed one."""
    known = {path.name.partition(".")[0] for path in _entries(places.leases)}
    known |= {path.name.partition(".")[0] for path in _entries(places.making)}
    known |= {path.name for path in _entries(places.lock(""))}
    for key in known - {CACHE}:
        _sweep_key(places, key)
    for folder in _entries(places.gone):
        if now_s - folder.stat().st_mtime >= LEFT_S:
            remove_tree(folder)


def _sweep_key(places: Places, key: str) -> None:
    """Remove what is left of an environment's makers and users; its lock, too, where nothing else is left of it."""
    lock = try_lock(places.lock(key))
    if lock is None:
        return
    for folder in places.making.glob(f"{key}.*"):
        remove_tree(folder)
    if is_used(places.leases, key) or places.environment(key).exists():
        os.close(lock)
    else:
        drop_lock(places.lock(key), lock)


def _limit_cache(places: Places, bytes_max: int) -> None:
    """Remove the cache if it is too large, unless somebody makes an environment from it."""
    if not places.cache.is_dir() or _unshared_bytes(places.cache) <= bytes_max:
        return
    lock = try_lock(places.lock(CACHE))
    if lock is None:
        return
    aside = places.gone / os.urandom(8).hex()
    places.cache.rename(aside)
    os.close(lock)
    remove_tree(aside)


def _unshared_bytes(folder: Path) -> int:
    total = 0
    for above, _, names in os.walk(folder):
        for name in names:
            status = Path(above, name).lstat()
            total += status.st_size if status.st_nlink == 1 else 0
    return total


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
