"""What this machine lets the present user close slices off with: tried, in a process that ends thereby.

The launcher of a spawner (`seclusion.py`) has nothing else to do, has the rights that the spawner has, and ends at once: so it may put itself behind a wall to see whether that
stands.  In this order, because each takes rights away:

    id_ranges     a user namespace with a herd's ids; and with them a view of the state's folder under other ids, which is a matter of its file system
    namespaces    all of a cell's at once, and a mount in them
    landlock      rules that leave nothing but reading
    seccomp       a filter that lets everything pass
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

from runink.capabilities import ID_RANGES, LANDLOCK, NAMESPACES, SECCOMP, Told
from runink.sandbox import landlock, privileges, seccomp
from runink.sandbox.ids import ZYGOTE
from runink.sandbox.log import describe
from runink.sandbox.mounts import SAFE, detached
from runink.sandbox.namespaces import IDS, IdMap, cloned, map_ids
from runink.sandbox.standing import Standing
from runink.sandbox.syscalls import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    MS_PRIVATE,
    MS_REC,
    call,
)

KINDS: Final = {
    "user": CLONE_NEWUSER,
    "mount": CLONE_NEWNS,
    "pid": CLONE_NEWPID,
    "net": CLONE_NEWNET,
    "ipc": CLONE_NEWIPC,
    "uts": CLONE_NEWUTS,
    "cgroup": CLONE_NEWCGROUP,
}  # the user's first: it gives the right to the others


def tried(folder: str, standing: Standing, say: Callable[[Told], object]) -> None:
    """Try everything that one of this standing may, say what was found, and only then wait for what is left of it. This process is good for nothing any more."""
    found = Told({}, {})
    with ExitStack() as left:
        trials: tuple[tuple[str, Callable[[], str]], ...] = (
            (ID_RANGES, lambda: _try_ranges(folder, standing, left)),
            (NAMESPACES, _try_namespaces),
            (LANDLOCK, _try_landlock),
            (SECCOMP, _try_seccomp),
        )
        for name, trial in trials:
            try:
                found.there[name] = trial()
            except OSError as error:
                found.missing[name] = error.strerror or describe(error)
        say(found)


def _try_ranges(folder: str, standing: Standing, left: ExitStack) -> str:
    if standing is not Standing.GIVER:
        raise OSError(errno.EPERM, standing.value)
    users = _user_namespace(IdMap(0, ZYGOTE, IDS), left)
    try:
        os.close(detached(folder, SAFE, users=users))
    except OSError as error:
        raise OSError(error.errno, f"{folder} under other ids: {error.strerror}") from error
    finally:
        os.close(users)
    return f"{IDS} for each herd"


def _user_namespace(ids: IdMap, left: ExitStack) -> int:
    """Return a descriptor of a user namespace with these ids. The process in it ends with `left`: its end takes longer than all the rest. Raises OSError."""
    source, target = os.pipe()
    left.callback(os.close, source)
    child = cloned(CLONE_NEWUSER)
    if not child.pid:
        os.close(target)
        os.read(source, 1)
        os._exit(0)
    left.callback(os.waitpid, child.pid, 0)
    left.callback(os.close, target)
    map_ids(child.pid, ids, ids)
    return os.open(f"/proc/{child.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)


def _try_namespaces() -> str:
    try:
        call("unshare", sum(KINDS.values()))
    except OSError:
        _name_what_fails()
        raise
    call("mount", b"none", b"/", b"", MS_REC | MS_PRIVATE, b"")
    return " ".join(KINDS)


def _name_what_fails() -> None:
    """Raise OSError with the first kind that cannot be made."""
    for kind, flag in KINDS.items():
        try:
            call("unshare", flag)
        except OSError as error:
            raise OSError(error.errno, f"{kind} namespace: {error.strerror}") from error


def _try_landlock() -> str:
    version = landlock.abi()
    if not version:
        raise OSError(errno.ENOSYS, "the kernel has none, or it is not switched on")
    privileges.forbid_new_privileges()
    rules = landlock.prepared(read_only=("/",), read_write=(), network=False, version=version)
    return f"abi {landlock.restrict(rules).abi}"


def _try_seccomp() -> str:
    problem = seccomp.absence()
    if problem:
        raise OSError(errno.ENOSYS, problem)
    privileges.forbid_new_privileges()
    seccomp.install(seccomp.letting_all_pass())
    return "on"
