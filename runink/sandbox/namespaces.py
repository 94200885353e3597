"""Processes in namespaces of their own, and the id maps between them.

`cloned` is `os.fork` with flags: the child is a copy of this (single-threaded) interpreter.  A child with a user namespace of its own has no ids
until somebody with power over them writes its maps (`map_ids`): until then it must wait.

Id ranges.  A herd has IDS ids on a node, `first`, `first + 1`, ...; inside, they are 0, 1, ...  Slices run as OWN of them.  What lies on disk
belongs to who runs the node, and is shown to a slice as its own by mounts with an id map (`mounts.py`), so that no id of a herd is
ever written to a disk.
"""

from __future__ import annotations

import ctypes
import enum
import os
import signal
import struct
import sys
from collections.abc import Callable, Mapping
from importlib.machinery import EXTENSION_SUFFIXES
from types import ModuleType
from typing import Any, Final, NamedTuple

from runink.sandbox.calls import ANY, asked, called
from runink.sandbox.syscalls import (
    CLONE_CHILD_CLEARTID,
    CLONE_CHILD_SETTID,
    CLONE_NEWUSER,
    CLONE_PIDFD,
    PR_GET_TID_ADDRESS,
    prctl,
)

IDS: Final = 1 << 16
OWN: Final = 1000  # the user and group that a slice's code runs as, inside
NEEDLESS: Final = frozenset({"threading", "logging", "concurrent.futures.thread", "random"})
# Whose libraries register nothing with C, or what is of no use where they have done no more than a rehearsal (`actors/rehearsal.py`): Arrow guards pools of threads, which hold none, and its
# jemalloc locks of which nobody holds one. These handlers alone touch 60 pages of two processes.
NEEDLESS_OF_C: Final = frozenset({"pyarrow", "msgspec", "msgpack"})
Twice = Callable[..., int]  # returns in both processes: the copy's number, and 0 in the copy
_fork: Final[Twice] = called("fork", "fork", wanted=ANY).function
_HAS_BARE_FORK: Final = hasattr(ctypes.PyDLL(None), "_Fork")  # glibc from 2.34 on
_bare_fork: Final[Twice] = called("fork", "_Fork", wanted=ANY).function if _HAS_BARE_FORK else _fork
DENIED: Final = b"deny"
_CLONE_ARGS = struct.Struct("11Q")  # struct clone_args of linux/sched.h


class Child(NamedTuple):
    """A new process, as its parent knows it. In the child itself both are 0."""

    pid: int
    pidfd: int


class MapRefused(OSError):
    """The kernel has not written an id map as it was asked to."""


def cloned(flags: int, *, cgroup: int = 0, exit_signal: int = signal.SIGCHLD) -> Child:
    """Copy this process with `flags` (CLONE_NEW*, CLONE_PARENT, CLONE_INTO_CGROUP with the descriptor `cgroup`). Returns twice. Raises OSError."""
    # What the interpreter does around os.fork: its locks, its idea of the main thread, the seeds of `random`.
    ctypes.pythonapi.PyOS_BeforeFork()
    try:
        child = cloned_untold(flags, cgroup=cgroup, exit_signal=exit_signal)
    except OSError:
        ctypes.pythonapi.PyOS_AfterFork_Parent()
        raise
    if not child.pid:
        ctypes.pythonapi.PyOS_AfterFork_Child()
    else:
        ctypes.pythonapi.PyOS_AfterFork_Parent()
    return child


def cloned_untold(flags: int, *, cgroup: int = 0, exit_signal: int = signal.SIGCHLD) -> Child:
    """Do what `cloned` does without the interpreter's knowing: for a copy that runs little Python and nothing foreign, of a process that has one thread of Python's.

    What is registered to be done after a fork touches a quarter of the pages that such a copy ever does.
    """
    function, arguments, pidfd = cloning(flags, cgroup=cgroup, exit_signal=exit_signal)
    pid = answered(function(*arguments))
    return Child(pid, pidfd.value) if pid else Child(0, 0)


def cloning(
    flags: int, *, cgroup: int = 0, exit_signal: int = signal.SIGCHLD, thread_id_at: int = 0
) -> tuple[Twice, tuple[object, ...], ctypes.c_int]:
    """Return what to call for that, with which arguments, and where the pidfd then is: a copy touches least if nothing has to be put together or looked up at its beginning.

    With `thread_id_at` the kernel puts the copy's own number there, as C's fork has it do (`thread_id_address`).
    """
    pidfd = ctypes.c_int(-1)
    flags |= CLONE_PIDFD | (CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID if thread_id_at else 0)
    rest = (thread_id_at, 0, exit_signal, *(0,) * 5, cgroup)
    fields = (flags, ctypes.addressof(pidfd), *rest)
    packed = ctypes.create_string_buffer(_CLONE_ARGS.pack(*fields), _CLONE_ARGS.size)
    call = asked("clone3", "clone3", packed, _CLONE_ARGS.size, wanted=ANY)
    return call.function, call.arguments, pidfd


def thread_id_address() -> int:
    """Return where C keeps the number of this thread, of which a copy has to have its own there; 0 where the kernel does not say that (CONFIG_CHECKPOINT_RESTORE)."""
    found = ctypes.c_void_p()
    try:
        prctl(PR_GET_TID_ADDRESS, ctypes.addressof(found))
    except OSError:
        return 0
    return found.value or 0


def answered(pid: int) -> int:
    """Return what a call that returns twice has returned. Raises OSError where it returned once, with an error."""
    if pid < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"clone: {os.strerror(code)}")
    return pid


class Needed(enum.Enum):
    """What a copy needs of all that was registered to be done around a fork."""

    EVERYTHING = "everything"
    WITH_C = "what was registered with C"
    NOTHING = "nothing"


class Handlers:
    """What is registered to be done around a fork (`os.register_at_fork`), from here on. `names` are the modules that it is of.

    Of the standard library it is locks, which nobody holds in a process of one thread, and seeds. What is registered with C nobody can list, so it is known by whose libraries there are.
    """

    def __init__(self) -> None:
        self.names: set[str] = set()
        register = os.register_at_fork

        def noting(**handlers: Callable[..., Any]) -> None:
            self.names.update(str(one.__module__) for one in handlers.values())
            register(**handlers)

        vars(os)["register_at_fork"] = noting

    def needed(self, modules: Mapping[str, ModuleType]) -> Needed:
        """Return what a copy cannot do without that has its seeds from elsewhere, where these modules are loaded."""
        if not self.names <= NEEDLESS:
            return Needed.EVERYTHING
        return Needed.NOTHING if _compiled(modules) <= NEEDLESS_OF_C else Needed.WITH_C


def _compiled(modules: Mapping[str, ModuleType]) -> set[str]:
    """Return the packages, but for the standard library's, of which one of these modules is compiled."""
    endings = tuple(EXTENSION_SUFFIXES)
    files = ((name, getattr(module, "__file__", None)) for name, module in modules.items())
    found = {name.partition(".")[0] for name, file in files if (file or "").endswith(endings)}
    return found - sys.stdlib_module_names


def forking(needed: Needed) -> Twice:
    """Return what copies this process and does what is needed around that, and answers as fork does."""
    match needed:
        case Needed.EVERYTHING:
            return os.fork
        case Needed.WITH_C:
            return _fork
        case Needed.NOTHING:
            return _bare_fork


class IdMap(NamedTuple):
    """`length` ids from `inside` on are those from `outside` on."""

    inside: int
    outside: int
    length: int


def map_ids(pid: int, users: IdMap, groups: IdMap) -> None:
    """Write a process's user and group maps, where it has none yet, and read them back. Raises OSError, MapRefused."""
    for name, wanted in (("uid_map", users), ("gid_map", groups)):
        path = f"/proc/{pid}/{name}"
        found = _written(path, f"{wanted.inside} {wanted.outside} {wanted.length}").split()
        if found != list(map(str, wanted)):
            raise MapRefused(0, f"{path} reads {' '.join(found)}, not {wanted}")


def forbid_setgroups(pid: int) -> None:
    """Take a process's right to choose its groups, without which no user may write its group map. Raises OSError."""
    path = f"/proc/{pid}/setgroups"
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        if os.pread(descriptor, len(DENIED), 0) != DENIED:  # a write counts at the beginning only
            os.write(descriptor, DENIED)
    except OSError as error:
        raise OSError(error.errno, f"{path}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def user_namespace(users: IdMap, groups: IdMap) -> int:
    """Return a descriptor of a user namespace with these maps, in which nobody lives. Raises OSError."""
    source, target = os.pipe()
    child = cloned(CLONE_NEWUSER)
    if not child.pid:
        os.close(target)
        os.read(source, 1)
        os._exit(0)
    os.close(source)
    try:
        map_ids(child.pid, users, groups)
        return os.open(f"/proc/{child.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(target)
        os.close(child.pidfd)
        os.waitpid(child.pid, 0)


def _written(path: str, text: str) -> str:
    """Write the text in one call where there is none, and return what the file reads then. Raises OSError that names it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        if not os.pread(
            descriptor, 1, 0
        ):  # a home has its maps from its first cell on (`homes.py`)
            os.write(descriptor, text.encode())
        return os.pread(descriptor, 4096, 0).decode()
    except OSError as error:
        raise OSError(error.errno, f"{path}: {error.strerror}") from error
    finally:
        os.close(descriptor)
