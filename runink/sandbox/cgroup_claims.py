"""Whose a base of cgroups is: claims, by which every spawner clears what those have left that were killed and never came back.

    /run/runink/cgroups/NAME      the claim on the base NAME; its lines are the base's directories, and those for processes that had to move (`cgroup_layout.LEAF`)

    a spawner that starts         locks the claim, then makes the base; holds the lock for as long as it lives
    one that ends in order        removes the base, then the claim (unless processes had to move and are there yet), then lets go
    one that is killed            the kernel lets go
    any that starts               takes each claim that nobody holds, removes its cgroups if no process is in them, and the claim with the last of them

Rules
- A base is made and removed by who holds its claim only: what is being made cannot be taken for a dead one's.
- A lock counts if the file is still the one at its path: who waited for it may hold what has just been removed.
- No process is ended here.  Where some are left, the claim stays for the next one to look.
- Claims are root's: another user's cgroups are its service manager's to clear.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Sequence
from typing import Final

from runink.sandbox import cgroup_files as files
from runink.sandbox import cgroup_tree as tree
from runink.sandbox.cgroup_layout import LEAF
from runink.sandbox.log import describe, log

FOLDER: Final = "/run/runink/cgroups"
HELD_S: Final = 2.0  # a predecessor at the same place that has ended for its agent holds its claim for some ms more
LOOK_S: Final = 0.01
NAMES_MAX: Final = 9  # of one place: only where the files of spawners that live were taken away
CLAIM_BYTES_MAX: Final = 1 << 16


class Claim:
    """A claim that is ours. `name` is that of the base."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.name = os.path.basename(path)  # noqa: PTH119 - the sandbox does without pathlib
        self._path = path
        self._descriptor = descriptor

    def write(self, directories: Sequence[str]) -> None:
        """Say where the base will be, before it is made. Raises OSError."""
        os.ftruncate(self._descriptor, 0)
        text = "".join(f"{one}\n{one}{LEAF}\n" for one in directories)
        os.pwrite(self._descriptor, text.encode(), 0)

    def directories(self) -> list[str]:
        """Return what the claim is on."""
        lines = os.pread(self._descriptor, CLAIM_BYTES_MAX, 0).decode().splitlines()
        return [one for one in lines if one.endswith((f"/{self.name}", f"/{self.name}{LEAF}"))]

    def give_up(self) -> None:
        """Remove it, if nothing is left of what it is on; who was moved beside the base may live longer than it."""
        if any(map(files.exists, self.directories())):
            self.close()
        else:
            self.remove()

    def remove(self) -> None:
        """Remove it and let go of it."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)  # noqa: PTH108 - as above
        self.close()

    def close(self) -> None:
        """Let go of it, and leave it to whoever looks next."""
        os.close(self._descriptor)


def claimed(name: str, *, folder: str = FOLDER, within_s: float = HELD_S) -> Claim:
    """Return the claim on a base of this name, or of one like it where that one is held by a spawner that lives. Raises OSError, BlockingIOError."""
    os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103 - as above
    until_s = time.monotonic() + within_s
    while True:
        claim = _taken(f"{folder}/{name}", os.O_CREAT)
        if claim is not None:
            return claim
        if time.monotonic() >= until_s:
            break
        time.sleep(LOOK_S)
    for number in range(2, NAMES_MAX + 1):
        claim = _taken(f"{folder}/{name}-{number}", os.O_CREAT)
        if claim is not None:
            return claim
    raise BlockingIOError(f"{NAMES_MAX} spawners hold {folder}/{name}")


def clear_unclaimed(*, folder: str = FOLDER) -> list[str]:
    """Remove the bases that nobody claims any more and that have no processes; return their names. Raises OSError."""
    removed = []
    for name in sorted(os.listdir(folder)):  # noqa: PTH208 - as above
        claim = _taken(f"{folder}/{name}", 0)
        if claim is None:
            continue
        try:
            is_gone = all(map(_is_gone, claim.directories()))
        except OSError as error:
            log("cgroups of another spawner not removed", name=name, problem=describe(error))
            is_gone = False
        if is_gone:
            removed.append(name)
            claim.remove()
        else:
            claim.close()
    return removed


def _is_gone(directory: str) -> bool:
    return not tree.is_populated(directory) and tree.remove(list(tree.below(directory)))


def _taken(path: str, flags: int) -> Claim | None:
    """Lock the claim; nothing if another holds it or has just removed it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found, held = os.stat(path), os.fstat(descriptor)  # noqa: PTH116 - as above
        if (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino):
            return Claim(path, descriptor)
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None
