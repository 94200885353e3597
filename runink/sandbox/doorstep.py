"""How a fork server, which has no rights, clones a cell into a home (`homes.py`): by a process that stands there for that moment.

    fork server    clones a process that shares its memory and descriptors (CLONE_VM, CLONE_FILES), and is stopped until that has ended (CLONE_VFORK)
    the process    enters the home, over which the fork server has all rights as its maker; or it was cloned into new namespaces, raises the loopback, and opens what keeps them (`homes.KEPT`)
                   clones the cell as the fork server's child (CLONE_PARENT), into a user and network namespace that it stands in itself, and ends
    fork server    goes on, with the cell's number and pidfd, and reaps the process

Whoever enters a user namespace does not come back: that would need rights where he came from.  So it is another process each time; it has no memory of its own, and takes 30 us.

Rules
- It runs on the fork server's own stack, far below what is in use there (ROOM_BYTES): whoever stands above it is stopped. So Python's own guard, which knows where the stack ends, holds there too, and in the cell, which goes on from there.
- The kernel forgets where the C library wants to be told which core a process runs on (rseq) when memory is shared; it is told again, and the cell gets that from it. Where in memory that is can be said on x86-64 only: elsewhere
  there is no doorstep, and every cell is cloned into new namespaces.
- All signals are blocked.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
from collections.abc import Callable
from typing import Any, Final, NoReturn

from runink.sandbox.calls import next_free, perform
from runink.sandbox.homes import KEPT, Home
from runink.sandbox.isolation import raising_loopback
from runink.sandbox.namespaces import Twice, answered
from runink.sandbox.packets import close_all
from runink.sandbox.syscalls import (
    CLONE_FILES,
    CLONE_NEWNET,
    CLONE_NEWUSER,
    CLONE_VFORK,
    CLONE_VM,
    NUMBERS,
)

ROOM_BYTES: Final = (
    256 << 10
)  # a fork server that asks for a cell uses a few kB more than one that has just begun
STACK_BYTES_MIN: Final = 4 << 20  # for a slice to have what it needs below that
_PAGE: Final = 4096
_SHARED: Final = CLONE_VM | CLONE_VFORK | CLONE_FILES | int(signal.SIGCHLD)
_RSEQ_BYTES: Final = 32  # what every kernel takes
_RSEQ_SIGNATURE: Final = 0x53053053  # of x86, as the C library has it
_CONTEXT_BYTES: Final = (
    4096  # ucontext_t of x86-64 has 968, and what it says of the stack pointer (REG_RSP) is at 160
)
_USED_AT: Final = 160
_libc: Final = ctypes.PyDLL(
    None, use_errno=True
)  # with the interpreter's lock: nobody may come between
_clone, _setns, _syscall = _libc.clone, _libc.setns, _libc.syscall
_clone.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
_Step = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)


class HomeRefused(OSError):
    """The kernel does not let a cell into a home that is there."""


class Doorstep:
    """One for a fork server of one thread."""

    def __init__(self, stack: int, told: int) -> None:
        self._stack = stack
        # The call that has the core told at this address; nothing for 0.
        self._told = (
            (NUMBERS["rseq"], ctypes.c_void_p(told), _RSEQ_BYTES, 0, _RSEQ_SIGNATURE)
            if told
            else ()
        )
        self._step = _Step(self._stand)
        self._home: Home | None = None
        self._opened: list[int] = []
        self._cloning: tuple[Twice, tuple[object, ...]] | None = None
        self._be: Callable[[], NoReturn] | None = None
        self._pid = 0
        self._has_entered = False

    def clone(
        self,
        clone: Twice,
        arguments: tuple[object, ...],
        home: Home | None,
        be: Callable[[], NoReturn],
    ) -> tuple[int, list[int]]:
        """Clone a cell by this call, which makes it a sibling, in a home or in a new one; it then is what `be` says. Return its number and what keeps a new home. Raises OSError, HomeRefused."""
        self._home, self._cloning, self._be = home, (clone, arguments), be
        self._pid, self._opened, self._has_entered = -errno.ECHILD, [], False
        flags = _SHARED | (0 if home is not None else CLONE_NEWUSER | CLONE_NEWNET)
        os.waitpid(answered(_clone(self._step, self._stack, flags, None)), 0)
        if self._pid > 0:
            return self._pid, self._opened
        close_all(self._opened)
        kind = OSError if self._has_entered else HomeRefused
        raise kind(-self._pid, f"clone: {os.strerror(-self._pid)}")

    def _stand(self, _nothing: Any) -> int:
        """Be the process, and the cell."""
        try:
            self._enter()
            self._has_entered = True
            self._be_told()
            assert self._cloning is not None
            assert self._be is not None
            clone, arguments = self._cloning
            pid = clone(*arguments)
            if not pid:
                self._be()
            self._pid = pid if pid > 0 else -ctypes.get_errno()
        except OSError as error:
            self._pid = -(error.errno or errno.EPERM)
        return 0

    def _enter(self) -> None:
        if self._home is None:
            perform(raising_loopback(next_free()))
            self._open()
            return
        user, network = self._home.namespaces
        if _setns(user, CLONE_NEWUSER) or _setns(network, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")

    def _be_told(self) -> None:
        if self._told and _syscall(*self._told):
            raise OSError(ctypes.get_errno(), "rseq")

    def _open(self) -> None:
        """Open what keeps the new home; where that cannot be, it is as new as before for the one cell, and not kept."""
        try:
            for name in KEPT:
                path = f"/proc/thread-self/{name}"
                self._opened.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            close_all(self._opened)
            self._opened = []


def doorstep() -> Doorstep | None:
    """Return what clones cells into homes from where it is called or deeper, nothing where that cannot be done."""
    if "rseq" not in NUMBERS or os.uname().machine != "x86_64":
        return None
    if not hasattr(_libc, "getcontext"):  # musl
        return None
    limit = resource.getrlimit(resource.RLIMIT_STACK)[0]
    if limit != resource.RLIM_INFINITY and limit < STACK_BYTES_MIN:
        return None
    return Doorstep((_used() - ROOM_BYTES) // _PAGE * _PAGE, _where_the_core_is_told())


def _used() -> int:
    """Return how far down the stack is in use."""
    context = ctypes.create_string_buffer(_CONTEXT_BYTES)
    _libc.getcontext(context)
    return int.from_bytes(context.raw[_USED_AT : _USED_AT + 8], "little")


def _where_the_core_is_told() -> int:
    """Return the address that the C library has had the kernel write the core to; 0 where it has not."""
    try:
        size = ctypes.c_uint.in_dll(_libc, "__rseq_size").value
        offset = ctypes.c_ssize_t.in_dll(_libc, "__rseq_offset").value
    except ValueError:  # before glibc 2.35
        return 0
    own = _libc.pthread_self
    own.restype = ctypes.c_size_t  # on x86-64 the thread pointer itself
    return int(own()) + offset if size else 0
