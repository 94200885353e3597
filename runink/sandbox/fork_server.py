"""The fork server: a process that has loaded what slices need, and makes them from itself in milliseconds.

Started by the spawner with one end of a SOCK_SEQPACKET pair at descriptor 3:

    python -I -X utf8 -m runink.sandbox.fork_server --entry MODULE:FUNCTION [--preload MODULE,MODULE]

    imports the modules, then the entry's; says `ready`; for each `fork` makes a slice (`birth.py`); reaps it, says `ended`

Rules
- It runs no thread of its own and starts none: a fork copies the one thread that forks, and a lock that another one held stays locked for
  ever.  The thread variables below keep pyarrow, numpy and polars from starting theirs at import.  One is left: polars 2.1 starts
  its cleaner of spilled files, which no variable turns off; it was idle in every fork tried (hundreds, also of queries that spill).
  `ready` says how many there are.
- Nothing is ever used here, only imported: polars must not be forked after its first query.
- What a module could not be imported is told, not fatal; without its entry no slice can start, and `ready` says so.
- When the spawner is gone (end of the link), it takes the spawner's place as adopter, kills its slices with all that they started, and ends.
"""

from __future__ import annotations

import gc
import importlib
import os
import select
import signal
import socket
import sys
import traceback
import warnings
from collections.abc import Sequence

from runink.sandbox.arguments import options
from runink.sandbox.birth import PARKED, Entry, Handed, be_slice
from runink.sandbox.codec import BadMessage
from runink.sandbox.kernel import (
    become_subreaper,
    children,
    kill_strangers,
    name_process,
    reaped,
    threads,
)
from runink.sandbox.packets import Outbox, Packet, close_all, receive, understood
from runink.sandbox.protocol import (
    CUT_MAX,
    FIELDS,
    FROM_FORK_SERVER,
    TO_FORK_SERVER,
    Ended,
    Fork,
    ForkServerReady,
    Preload,
    Unborn,
)

LINK = 3  # where the spawner puts our end
HANDED_MIN = 4  # descriptors of a slice without data pipes
THREADS_OFF = {
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # pyarrow's jemalloc
    "_RJEM_MALLOC_CONF": "background_thread:false",  # polars' jemalloc
    "OPENBLAS_NUM_THREADS": "1",  # numpy starts a pool of one per core otherwise
}
_POLL_MS = 1000  # only so that no wait is without end; every event wakes us


class ForkServer:
    """The loop. `slices` maps the pid of a slice to its name."""

    def __init__(self, link: socket.socket, entry_name: str) -> None:
        self._link = link
        self._outbox = Outbox(link, FROM_FORK_SERVER)
        self._entry_name = entry_name
        self._entry: Entry | None = None
        self._problem = ""
        self._modules: list[str] = []
        self._failed: list[str] = []
        self._slices: dict[int, str] = {}

    def prepare(self, modules: Sequence[str]) -> None:
        """Import what slices need and say that we are ready."""
        for module in modules:
            self._import(module)
        try:
            module, _, function = self._entry_name.partition(":")
            self._entry = getattr(importlib.import_module(module), function)
        except Exception as error:  # noqa: BLE001 - it is the project's own code: anything may be wrong with it
            traceback.print_exc()
            self._problem = f"{self._entry_name}: {type(error).__name__}: {error}"[:CUT_MAX]
        self._say_ready()

    def serve(self, wakeup: int) -> None:
        """Fork and reap until the spawner is gone."""
        poll = select.poll()
        poll.register(self._link, select.POLLIN)
        poll.register(wakeup, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll(_POLL_MS):
                if descriptor == wakeup:
                    os.read(wakeup, 4096)
                    self._reap()
                else:
                    packet = receive(self._link)
                    if packet is None:
                        return
                    self._handle(packet)

    def end_slices(self) -> None:
        """Kill every slice and all that it started. Nobody is told: nobody is there."""
        become_subreaper()
        while kill_strangers(set()):
            signal.sigtimedwait({signal.SIGCHLD}, 1.0)
            for _ in reaped():
                pass

    def _handle(self, packet: Packet) -> None:
        try:
            message = understood(packet, TO_FORK_SERVER, FIELDS).message
        except BadMessage as problem:
            # The spawner has checked everything already, so this is our own error.
            print(f"fork server: {problem.code}: {problem.text}", file=sys.stderr)  # noqa: T201 - the log
            return
        match message:
            case Fork():
                self._fork(message, packet.descriptors)
            case Preload(modules):
                for module in modules:
                    self._import(module)
                self._say_ready()

    def _fork(self, fork: Fork, descriptors: list[int]) -> None:
        try:
            if self._entry is None or len(descriptors) < HANDED_MIN:
                self._outbox.send(Unborn(fork.slice, self._problem or "descriptors are missing"))
                return
            signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
            pid = os.fork()
            if not pid:
                handed = Handed(*descriptors[:HANDED_MIN], descriptors[HANDED_MIN:])
                be_slice(fork, handed, link=self._link, entry=self._entry)
            self._slices[pid] = fork.slice
        except OSError as error:
            self._outbox.send(Unborn(fork.slice, f"fork: {error.strerror}"))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            close_all(descriptors)

    def _reap(self) -> None:
        for pid, status, utime_s, stime_s, maxrss_bytes in reaped():
            name = self._slices.pop(pid, "")
            if name:
                self._outbox.send(Ended(name, pid, status, utime_s, stime_s, maxrss_bytes))

    def _import(self, module: str) -> None:
        try:
            importlib.import_module(module)
        except Exception as error:  # noqa: BLE001 - a broken library of the machine must not take every slice with it
            print(f"fork server: {module}: {type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201 - the log
            self._failed.append(module)
        else:
            self._modules.append(module)

    def _say_ready(self) -> None:
        # What is loaded lives as long as we do: the collector need not look at it, nor slices copy its pages.
        gc.collect()
        gc.freeze()
        ready = ForkServerReady(os.getpid(), self._modules, self._failed, threads(), self._problem)
        self._outbox.send(ready)


def main() -> None:
    """Serve until the spawner is gone."""
    found = options(sys.argv[1:], required=("entry",), optional={"preload": ""})
    gc.disable()
    name_process("runi-forkserver")
    # From Python 3.12 on a fork beside polars' cleaner thread warns on every launch; why it is safe stands above.
    warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*fork")
    link = _parked_link()
    wakeup = _wakeup_pipe()
    server = ForkServer(link, found["entry"])
    server.prepare([module for module in found["preload"].split(",") if module])
    server.serve(wakeup)
    server.end_slices()


def _parked_link() -> socket.socket:
    """Move the link to a number that no descriptor of a slice will need."""
    first = socket.socket(fileno=LINK)
    place = PARKED - 1
    os.dup2(LINK, place, inheritable=False)
    first.close()
    return socket.socket(fileno=place)


def _wakeup_pipe() -> int:
    """Have the end of a child written into a pipe, which a poll can wait for."""
    source, target = os.pipe()
    os.set_blocking(source, False)  # noqa: FBT003 - the standard library's signature
    os.set_blocking(target, False)  # noqa: FBT003 - the standard library's signature
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(target, warn_on_full_buffer=False)
    return source


if __name__ == "__main__":
    main()
