"""The fork server: a process that has loaded what slices need, and makes them from itself in milliseconds.

Started by the spawner with one end of a SOCK_SEQPACKET pair at descriptor 3:

    python -m runink.sandbox.fork_server --entry MODULE:FUNCTION [--preload MODULE,MODULE] [--path FOLDER:FOLDER]

    imports the modules, then the entry's; says `ready`; for each `fork` makes a slice (`birth.py`); reaps it, says `ended`

Rules
- It runs no thread of its own and starts none: a fork copies the one thread that forks, and a lock that another one held stays locked for
  ever.  THREADS_OFF keep pyarrow, numpy and polars from starting theirs at import.  One is left: polars 2.1 starts
  its cleaner of spilled files, which no variable turns off; it was idle in every fork tried (hundreds, also of queries that spill).
  `ready` says how many there are.
- Nothing is ever used here, only imported: polars must not be forked after its first query.
- What a module could not be imported is told, not fatal; without its entry no slice can start, and `ready` says so.
- `--path` adds folders to import from, behind the others: for an entry that is not installed.
- When the spawner is gone (end of the link), it takes the spawner's place as adopter, kills its slices with all that they started, and ends.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator

from runink.sandbox.arguments import LINK, THREADS_OFF, listed, options
from runink.sandbox.birth import PARKED, Entry, Handed, be_slice, open_standard_streams
from runink.sandbox.codec import BadMessage
from runink.sandbox.kernel import (
    become_subreaper,
    end_children,
    name_process,
    offer_to_oom_killer,
    reaped,
    threads,
    wake_on_signals,
)
from runink.sandbox.log import describe, log
from runink.sandbox.packets import Outbox, Packet, close_all, receive, understood
from runink.sandbox.protocol import (
    FIELDS,
    FROM_FORK_SERVER,
    TO_FORK_SERVER,
    Ended,
    Fork,
    ForkServerReady,
    Preload,
    Unborn,
)

HANDED_MIN = 4  # descriptors of a slice without data pipes
END_PATIENCE_S = 10.0  # who survives SIGKILL that long waits for a broken device
FORK_FAILED = "fork_failed"
NO_ENTRY = "no_entry"
_POLL_MS = 10_000  # only so that no wait is without end; every event wakes us
_ALL_SIGNALS = signal.valid_signals()


class ForkServer:
    """The loop. `slices` maps the pid of a slice to its name."""

    def __init__(self, link: socket.socket, entry_name: str) -> None:
        self._link = link
        self._outbox = Outbox(link, FROM_FORK_SERVER)
        self._entry_name = entry_name
        self._entry: Entry | None = None
        self._problem = ""
        self._modules: dict[str, bool] = {}  # whether it could be imported
        self._slices: dict[int, str] = {}

    def prepare(self, modules: Iterable[str]) -> None:
        """Import what slices need and say that we are ready."""
        self._import(modules)
        module, _, function = self._entry_name.partition(":")
        try:
            with _without_threads():
                self._entry = getattr(importlib.import_module(module), function)
        except Exception as error:  # noqa: BLE001 - it is the project's own code: anything may be wrong with it
            traceback.print_exc()
            self._problem = f"{self._entry_name}: {describe(error)}"
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
        end_children(within_s=END_PATIENCE_S)

    def _handle(self, packet: Packet) -> None:
        try:
            message = understood(packet, TO_FORK_SERVER, FIELDS).message
        except BadMessage as problem:
            # The spawner has checked everything already, so this is our own error.
            log("message refused", code=problem.code, problem=problem.text)
            return
        match message:
            case Fork():
                self._fork(message, packet.descriptors)
            case Preload(modules):
                self._import(modules)
                self._say_ready()

    def _fork(self, fork: Fork, descriptors: list[int]) -> None:
        try:
            if self._entry is None or len(descriptors) < HANDED_MIN:
                text = self._problem or "descriptors are missing"
                self._outbox.send(Unborn(fork.slice, NO_ENTRY, text))
                return
            signal.pthread_sigmask(signal.SIG_SETMASK, _ALL_SIGNALS)
            pid = os.fork()
            if not pid:
                job, control, stdout, stderr, *data = descriptors
                handed = Handed(job, control, stdout, stderr, data)
                be_slice(fork, handed, link=self._link, entry=self._entry)
            self._slices[pid] = fork.slice
        except OSError as error:
            self._outbox.send(Unborn(fork.slice, FORK_FAILED, f"fork: {error.strerror}"))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            close_all(descriptors)

    def _reap(self) -> None:
        for pid, status, utime_s, stime_s, maxrss_bytes in reaped():
            name = self._slices.pop(pid, "")
            if name:
                self._outbox.send(Ended(name, pid, status, utime_s, stime_s, maxrss_bytes))

    def _import(self, modules: Iterable[str]) -> None:
        for module in modules:
            try:
                with _without_threads():
                    importlib.import_module(module)
            except Exception as error:  # noqa: BLE001 - a broken library of the machine must not take every slice with it
                log("module not loaded", module=module, problem=describe(error))
                self._modules[module] = False
            else:
                self._modules[module] = True

    def _say_ready(self) -> None:
        # What is loaded lives as long as we do: the collector need not look at it, nor slices copy its pages.
        gc.collect()
        gc.freeze()
        loaded = [module for module, is_loaded in self._modules.items() if is_loaded]
        failed = [module for module, is_loaded in self._modules.items() if not is_loaded]
        self._outbox.send(ForkServerReady(os.getpid(), loaded, failed, threads(), self._problem))


def main() -> None:
    """Serve until the spawner is gone."""
    found = options(sys.argv[1:], required=("entry",), optional={"preload": "", "path": ""})
    sys.path += listed(found["path"], separator=os.pathsep)
    gc.disable()
    name_process("runi-forkserver")
    offer_to_oom_killer()  # which slices inherit: memory is to be taken from them before the agent
    open_standard_streams()
    # From Python 3.12 on a fork beside polars' cleaner thread warns on every launch; why it is safe stands above.
    warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*fork")
    link = _parked_link()
    wakeup = wake_on_signals(signal.SIGCHLD)
    server = ForkServer(link, found["entry"])
    server.prepare(listed(found["preload"]))
    server.serve(wakeup)
    server.end_slices()


@contextlib.contextmanager
def _without_threads() -> Iterator[None]:
    """Keep what is imported meanwhile from starting threads. A slice may have as many as it likes, so it does not see the variables."""
    os.environ.update(THREADS_OFF)
    try:
        yield
    finally:
        for name in THREADS_OFF:
            os.environ.pop(name, None)


def _parked_link() -> socket.socket:
    """Move the link to a number that no descriptor of a slice will need."""
    first = socket.socket(fileno=LINK)
    place = PARKED - 1
    os.dup2(LINK, place, inheritable=False)
    first.close()
    return socket.socket(fileno=place)


if __name__ == "__main__":
    main()
