"""Groups for a test, and processes that try what a group is to stop. Only the standard library, so it runs on the smallest machine.

A machine with v1 and v2 is arranged twice: as it is, and as if it had v1 alone.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import select
import signal
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from runink.sandbox import cgroup_files as files
from runink.sandbox.cgroup_layout import located
from runink.sandbox.cgroup_probe import detect_in
from runink.sandbox.cgroups import Group, Hierarchy, OomWatch, leave, leftovers
from runink.sandbox.syscalls import CLONE_INTO_CGROUP, call_locked

WAIT_S = 60.0  # what takes longer hangs
MIB = 1 << 20
Tell = Callable[[Any], None]
Fork = Callable[..., "Child"]
HERE = located(files.read("/proc/self/mountinfo"), files.read("/proc/self/cgroup"))
V1 = [one for one in HERE if not one.is_v2]
ARRANGEMENTS = {"machine": HERE} | ({"v1": V1} if V1 and len(V1) < len(HERE) else {})
_numbers = count()


def a_name() -> str:
    return f"runink-test-{os.getpid()}-{next(_numbers)}"


def a_base(here: list[Hierarchy]) -> Iterator[Group]:
    """Give a base of the test's own, and remove it with everything in it."""
    base = Group(detect_in(here, a_name()))
    yield base
    base.groups.clear()  # whatever the test has left is left over
    assert not leftovers(base, within_s=WAIT_S).staying
    assert leave(base)


def forks() -> Iterator[Fork]:
    """Give what makes a Child; whatever of them still runs in the end is killed."""
    made: list[Child] = []

    def forked(body: Callable[[Tell], None], **groups: Group) -> Child:
        made.append(Child(body, **groups))
        return made[-1]

    yield forked
    for child in made:
        child.end()


def v2_controllers(here: Hierarchy) -> list[str]:
    return files.read(f"{here.directory}/cgroup.controllers").split()


class Child:
    """A process that joins the group, or is born in it, before it runs `body(tell)`; what it tells is read with `told`."""

    def __init__(
        self,
        body: Callable[[Tell], None],
        *,
        joins: Group | None = None,
        born_in: Group | None = None,
    ) -> None:
        go, self._go = os.pipe()
        self._report, report = os.pipe()
        self.pid = os.fork() if born_in is None else _cloned_into(born_in.descriptor)
        if self.pid == 0:
            try:
                os.close(self._go)
                if os.read(go, 1):
                    body(lambda what: os.write(report, json.dumps(what).encode() + b"\n"))
            finally:
                os._exit(0)
        os.close(go)
        os.close(report)
        self._text = b""
        self.status: int | None = None
        if joins is not None:
            joins.join(self.pid)
        if born_in is not None:
            born_in.join(self.pid, is_cloned=True)
        os.write(self._go, b"g")

    def told(self) -> Any:
        """Return the next thing that was told, nothing if the process ended without it."""
        while b"\n" not in self._text:
            ready = select.select([self._report], [], [], WAIT_S)[0]
            assert ready, "the process hangs"
            piece = os.read(self._report, 65536)
            if not piece:
                return None
            self._text += piece
        line, _, self._text = self._text.partition(b"\n")
        return json.loads(line)

    def ended(self) -> int:
        """Wait for the end, and return the exit code, or the signal as a negative number."""
        if self.status is None:
            pidfd = os.pidfd_open(self.pid)
            assert select.select([pidfd], [], [], WAIT_S)[0], "the process does not end"
            os.close(pidfd)
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status

    def end(self) -> None:
        """Kill it, if it was not waited for, and forget it; what it has forked is the group's to end."""
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.ended()
        if self._report >= 0:
            os.close(self._report)
            os.close(self._go)
            self._report = -1


def _cloned_into(descriptor: int) -> int:
    words = struct.pack("11Q", CLONE_INTO_CGROUP, 0, 0, 0, signal.SIGCHLD, *[0] * 5, descriptor)
    return call_locked("clone3", ctypes.create_string_buffer(words, len(words)), len(words))


def idle(tell: Tell) -> None:
    tell(os.getpid())
    while True:
        signal.pause()


def _family(count: int) -> list[int]:
    """Fork so many processes that wait for their end; return their ids."""
    pids = []
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            while True:
                signal.pause()
        pids.append(pid)
    return pids


def hog(megabytes: int, *, family: int = 0) -> Callable[[Tell], None]:
    """Fork a family, tell everyone's ids, then use that much memory and tell so."""

    def body(tell: Tell) -> None:
        tell([os.getpid(), *_family(family)])
        memory = mmap.mmap(-1, megabytes * MIB)
        for offset in range(0, len(memory), mmap.PAGESIZE):
            memory[offset] = 1
        tell("used")
        signal.pause()

    return body


def bomb(count: int) -> Callable[[Tell], None]:
    """Fork until it is refused, or so many times; tell how many there are and why no more, and end."""

    def body(tell: Tell) -> None:
        pids, why = [], ""
        try:
            for _ in range(count):
                pids += _family(1)
        except OSError as error:
            why = errno.errorcode[error.errno or 0]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        tell([len(pids), why])

    return body


def write_past_the_cache(folder: str, megabytes: int) -> Callable[[Tell], None]:
    """Write so much straight to the disk, and tell how many seconds it took."""

    def body(tell: Tell) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_DIRECT
        descriptor = os.open(f"{folder}/{os.getpid()}", flags)
        memory = mmap.mmap(-1, MIB // 4)  # direct writes want memory that begins with a page
        start_s = time.monotonic()
        for _ in range(megabytes * 4):
            assert os.write(descriptor, memory) == len(memory)
        tell(time.monotonic() - start_s)

    return body


def spin(seconds: float) -> Callable[[Tell], None]:
    """Use as much of a core as there is for so long, and tell from when to when."""

    def body(tell: Tell) -> None:
        start_s = time.monotonic()
        while time.monotonic() < start_s + seconds:
            sum(range(1000))
        tell([start_s, time.monotonic()])

    return body


def stubborn(count: int) -> Callable[[Tell], None]:
    """Ignore SIGTERM and fork twice, away from session and parent, so many times; tell everyone's ids."""

    def body(tell: Tell) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        source, target = os.pipe()
        for _ in range(count):
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    os.write(target, b"%d " % os.getpid())
                    while True:
                        signal.pause()
                os._exit(0)
            os.wait()
        text = b""
        while text.count(b" ") < count:
            text += os.read(source, 65536)
        tell([os.getpid(), *map(int, text.split())])
        while True:
            signal.pause()

    return body


def swarm(count: int) -> Callable[[Tell], None]:
    """Have so many processes at every moment, each of which forks another one and ends; tell the first one's id."""

    def body(tell: Tell) -> None:
        tell(os.getpid())
        for _ in range(count):
            if os.fork() == 0:
                while os.fork() == 0:
                    pass
                os._exit(0)

    return body


def is_gone(pid: int) -> bool:
    """Say whether the process has ended, reaped or not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] in {"Z", "X"}


def has_killed(watch: OomWatch) -> bool:
    """Wait for the watch's descriptor, and look as long as it wants to be looked at."""
    poll = select.poll()
    poll.register(watch.descriptor, watch.mask)
    until_s = time.monotonic() + WAIT_S
    while time.monotonic() < until_s:
        patience_s = WAIT_S if watch.due_s is None else watch.due_s - time.monotonic()
        is_ready = bool(poll.poll(max(0.0, patience_s) * 1000))
        if watch.look(now_s=time.monotonic(), is_ready=is_ready):
            return True
    return False


def is_empty_soon(group: Group) -> bool:
    """Wait until nobody is in the group; the kernel is asked again and again."""
    until_s = time.monotonic() + WAIT_S
    while group.is_populated:
        if time.monotonic() > until_s:
            return False
    return True


def are_gone_soon(pids: list[int]) -> bool:
    """Wait until these processes have ended: the kernel takes one that ends from its group a moment before."""
    until_s = time.monotonic() + WAIT_S
    while not all(map(is_gone, pids)):
        if time.monotonic() > until_s:
            return False
    return True


def cpu_s(group: Group) -> float:
    usage = group.usage()
    assert usage.cpu_user_s is not None
    assert usage.cpu_system_s is not None
    return usage.cpu_user_s + usage.cpu_system_s


def descriptors() -> int:
    """Return how many files of cgroups this process has open."""
    found = 0
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # that of this listing
            found += "/cgroup" in str(path.readlink())
    return found
