"""What the sandbox asks of the kernel, in one place: prctl, a process's children, sealed memory, sockets in deep folders.

Everything here is a system call or a line of /proc; who may be killed is decided elsewhere.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

from runink.sandbox.calls import Call, called
from runink.sandbox.syscalls import PR_SET_CHILD_SUBREAPER, PR_SET_NAME, prctl

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
OOM_SCORE_ADJ = b"500"  # of 1000: before any service of the machine, after who offers itself fully
_SIG_SETMASK = int(signal.SIG_SETMASK)
_SIGSET_BYTES = 128  # glibc's sigset_t
_SIGNALS_MAX = 64
_SIGINFO_BYTES = 128  # struct signalfd_siginfo, which begins with the number
# By ctypes, of which a cell touches less (`calls.py`) than of what the modules have: os.wait4 looks a module up for each child.
_LIBC = ctypes.PyDLL(None, use_errno=True)
_sigmask, wait4 = _LIBC.pthread_sigmask, _LIBC.wait4
_WAITED = struct.Struct("=i4x18q")  # the status, and struct rusage of linux/resource.h
WAITED_BYTES = _WAITED.size
FDINFO_BYTES_MAX = 4096  # of /proc: a descriptor of a process has some hundred
SUN_PATH_MAX = 107  # bytes of a Unix socket's address, less the zero at the end


def become_subreaper() -> None:
    """Make this process the parent of every descendant that loses its own."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def name_process(name: str) -> None:
    """Set the name that ps and top show; the kernel keeps 15 bytes."""
    prctl(PR_SET_NAME, name.encode()[:15])


def offer_to_oom_killer() -> None:
    """Have the kernel prefer this process when memory runs out. Where /proc may not be written, it goes on without."""
    with (
        contextlib.suppress(OSError),
        open("/proc/self/oom_score_adj", "wb", buffering=0) as score,  # noqa: PTH123 - as below
    ):
        score.write(OOM_SCORE_ADJ)


def wake_on_signals(*numbers: signal.Signals) -> int:
    """Have these signals do nothing but write their number into a pipe, which a poll can wait for; return its reading end."""
    source, target = os.pipe()
    os.set_blocking(source, False)
    os.set_blocking(target, False)
    for number in numbers:
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(target, warn_on_full_buffer=False)
    return source


def signal_set(*numbers: int) -> ctypes.Array[ctypes.c_char]:
    """Return a set of signals for `mask` and `signals_read_by`, which a cell can use without making anything."""
    bits = sum(1 << number - 1 for number in numbers)
    return ctypes.create_string_buffer(bits.to_bytes(_SIGSET_BYTES, sys.byteorder), _SIGSET_BYTES)


NO_SIGNALS = signal_set()
ALL_SIGNALS = signal_set(*range(1, _SIGNALS_MAX + 1))


def mask(blocked: ctypes.Array[ctypes.c_char]) -> None:
    """Block exactly these signals. What Python has for it makes an object of each of 64 signals, in every cell anew."""
    failed = _sigmask(_SIG_SETMASK, blocked, None)
    assert not failed, failed  # only for what is not a set


def masking(blocked: ctypes.Array[ctypes.c_char]) -> Call:
    """Return the call that does it."""
    return called("block signals", "pthread_sigmask", _SIG_SETMASK, blocked, None)


def reading_signals(wanted: ctypes.Array[ctypes.c_char], *, free: int) -> Call:
    """Return the call that opens the descriptor, of this number, by which blocked signals can be read, by a first process too: it would ignore those that it does not block."""
    flags = os.O_CLOEXEC | os.O_NONBLOCK
    return called("read signals", "signalfd", -1, wanted, flags, wanted=free)


def readable(*numbers: int) -> int:
    """Block these signals, and return a descriptor that is readable while one of them waits. No handler of Python's is needed, which a copy of this process would have to undo."""
    wanted = signal_set(*numbers)
    descriptor: int = _LIBC.signalfd(-1, wanted, os.O_CLOEXEC | os.O_NONBLOCK)
    if descriptor < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"read signals: {os.strerror(code)}")
    mask(wanted)
    return descriptor


def signals_read(descriptor: int) -> list[int]:
    """Return the numbers of the signals that have come, of the many at most a packet."""
    try:
        found = os.read(descriptor, _SIGNALS_MAX * _SIGINFO_BYTES)
    except BlockingIOError:
        return []
    return [
        int.from_bytes(found[at : at + 4], sys.byteorder)
        for at in range(0, len(found), _SIGINFO_BYTES)
    ]


def children() -> list[int]:
    """Return this (single-threaded) process's children, also those that have ended and were not reaped.

    The list is complete: the kernel warns of entries that it skips when children go away during the reading, and ours go away
    only when we reap them.
    """
    with open("/proc/thread-self/children", "rb", buffering=0) as listing:  # noqa: PTH123 - pathlib is 2 MB that the spawner does not need
        return [int(pid) for pid in listing.readall().split()]


def threads() -> int:
    """Return how many threads this process has beside the main one."""
    return len(os.listdir("/proc/self/task")) - 1  # noqa: PTH208 - as above


def kill_strangers(known: set[int]) -> int:
    """Kill every child that is not `known`, with its process group; return how many are left to be reaped.

    A group is killed at one stroke, so that a bomb inside it cannot outrun us. Both numbers are safe to use: a child's pid is
    not given away before we reap it, nor is its group's while it is in it.
    """
    strangers = [pid for pid in children() if pid not in known]
    spared = known | {os.getpgrp()}
    for pid in strangers:
        with contextlib.suppress(ProcessLookupError):
            group = os.getpgid(pid)
            if group not in spared:
                os.killpg(group, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(strangers)


def end_children(*, within_s: float) -> int:
    """Kill and reap every child until none is left; return how many even SIGKILL did not end in that time."""
    # A blocked signal waits to be taken, so it cannot come between the look and the wait.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD,))
    until_s = time.monotonic() + within_s
    while True:
        for _ in reaped():  # first: the signal of who ended before may have been taken already
            pass
        left = kill_strangers(set())
        patience_s = until_s - time.monotonic()
        if not left or patience_s <= 0:
            return left
        signal.sigtimedwait((signal.SIGCHLD,), min(patience_s, 1.0))


def reaping(record: ctypes.Array[ctypes.c_char], *, at: int = 0) -> tuple[object, ...]:
    """Return the arguments by which `wait4` reaps a child that has ended and puts what it says of it there (WAITED_BYTES). It answers 0 where none has ended, and -1 where there is none."""
    address = ctypes.addressof(record) + at
    return (1 << 32) - 1, ctypes.c_void_p(address), os.WNOHANG, ctypes.c_void_p(address + 8)


class Reaped(NamedTuple):
    """What wait4 says of a child that has ended: its status, and what it used together with those of its own children that it had waited for.

    Context switches are voluntary where a thread waited for something, involuntary where it had to give up its core.
    """

    pid: int
    status: int
    utime_s: float
    stime_s: float
    maxrss_bytes: int
    voluntary_switches: int
    involuntary_switches: int


def reaped() -> Iterator[Reaped]:
    """Reap every child that has ended."""
    while (found := reap()) is not None:
        yield Reaped(*found)


def reap() -> tuple[int, int, float, float, int, int, int] | None:
    """Reap a child that has ended, if there is one, and return the fields of `Reaped`."""
    pid = wait4(*_FOR_ANY)
    if pid <= 0:
        assert not pid or ctypes.get_errno() == errno.ECHILD
        return None
    return (pid, *waited(_waited.raw))


def waited(record: bytes) -> tuple[int, float, float, int, int, int]:
    """Return the fields of `Reaped` behind the pid, from what `wait4` has put there."""
    status, user_s, user_us, system_s, system_us, maxrss_kb, *_, voluntary, involuntary = (
        _WAITED.unpack(record)
    )
    user, system = user_s + user_us / 1e6, system_s + system_us / 1e6
    return status, user, system, maxrss_kb << 10, voluntary, involuntary


_waited = ctypes.create_string_buffer(WAITED_BYTES)
_FOR_ANY = reaping(_waited)


def sealed(content: bytes) -> int:
    """Return a descriptor of memory that holds `content` and that nobody can change any more. Raises OSError."""
    descriptor = open_memory()
    try:
        seal(descriptor, content)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def open_memory() -> int:
    """Return a descriptor of memory that holds nothing yet. Raises OSError."""
    return os.memfd_create("runink-job", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)


def seal(memory: int, content: bytes) -> None:
    """Write the content into new memory; nobody can change it any more. Raises OSError."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(memory, rest) :]
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, _SEALS)


def is_sealed(descriptor: int) -> bool:
    """Say whether the descriptor is memory that nobody can change any more."""
    try:
        return fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & _SEALS == _SEALS
    except OSError:
        return False


def content_of(descriptor: int) -> bytes:
    """Return everything in a sealed memory, wherever its position stands; it is at the end then."""
    size = os.lseek(descriptor, 0, os.SEEK_END)  # which stat would say, with twenty things more
    content = os.pread(descriptor, size, 0)
    while len(content) < size:
        content += os.pread(descriptor, size - len(content), len(content))
    return content


def peer_ids(link: socket.socket) -> tuple[int, int]:
    """Return the user and the group of the process that connected."""
    size = struct.calcsize("3I")
    _, user, group = struct.unpack(
        "3I", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    )
    return user, group


def pid_of(pidfd: int) -> int:
    """Return a process's number as this process sees it; -1 if it has been reaped, 0 if it lives where we do not look."""
    # Without a file object, which costs more than what it reads: each launch asks.
    descriptor = os.open(f"/proc/self/fdinfo/{pidfd}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        facts = os.read(descriptor, FDINFO_BYTES_MAX)
    finally:
        os.close(descriptor)
    _, _, number = facts.partition(b"\nPid:")
    return int(number.split(None, 1)[0])


@contextlib.contextmanager
def address_of(path: str) -> Iterator[str]:
    """Give an address for the socket at `path` that fits into the kernel's 108 bytes, however deep the folder lies."""
    if len(os.fsencode(path)) <= SUN_PATH_MAX:
        yield path
        return
    folder, name = os.path.split(path)
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)
