"""The spawner's side of the fork server: start it, keep it warm, start it again when it dies.

    state      on                         becomes
    down       `due` and `start`          starting
    starting   `ready`                    ready        forks may be sent
    starting   its process ended          down         next try after a pause that doubles with each failure
    ready      its process ended          down         next try at once

Whoever finds that the link has ended or that a launch gets no answer calls `kill`; only the end of the process (`lost`) changes the state.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from runink.sandbox.arguments import INTERPRETER_OPTIONS, LINK, kept_environment
from runink.sandbox.confines import Confines
from runink.sandbox.due import soonest
from runink.sandbox.inner_protocol import TO_FORK_SERVER, Fork, Forked, Unforked
from runink.sandbox.network import within
from runink.sandbox.packets import Outbox, Packet, close_all, receive
from runink.sandbox.protocol import MODULES_MAX, NO_NETWORK, ForkServerReady, Preload
from runink.sandbox.walls import Walls

# Else its copies look each function of C up in all libraries, when they first call it. It costs the fork server nothing that can be measured, and slices do not have the name.
BOUND_NOW = {"LD_BIND_NOW": "1"}
PAUSE_S = 0.1  # before a fork server that never became ready is tried again; doubles
PAUSE_S_MAX = (
    5.0  # a broken installation must not fill the processor, nor keep a repaired one waiting
)


class Loaded(NamedTuple):
    """What every fork server of a spawner is started with; `limits` are the descriptor limits that it, and so every slice, starts with."""

    entry: str
    path: str
    limits: tuple[int, int]
    modules: list[str]
    end_at: str = ""  # for tests (`faults.py`)


class Nurseries:
    """The fork servers of a spawner, one for each network that slices were asked for with. The first is there from the start. `make` makes something else in their place."""

    def __init__(self, wanted: Loaded, make: MakeNursery | None = None) -> None:
        self._wanted = wanted
        self._make = make or Nursery
        self._all = {NO_NETWORK: self._make(wanted, NO_NETWORK)}

    def __iter__(self) -> Iterator[Nursery]:
        return iter(list(self._all.values()))

    @property
    def first(self) -> Nursery:
        return self._all[NO_NETWORK]

    @property
    def pids(self) -> set[int]:
        return {nursery.pid for nursery in self._all.values()}

    def of_network(self, network: str) -> Nursery:
        """Return the one whose slices have this network; a new one is started when it is due, which is now."""
        if network not in self._all:
            self._all[network] = self._make(self._wanted, network)
        return self._all[network]

    def of_process(self, pid: int) -> Nursery | None:
        return next((nursery for nursery in self._all.values() if nursery.pid == pid), None)

    def due_s(self) -> float | None:
        """Return when the next must be started, or nothing while all are there."""
        return soonest(*[nursery.due_s() for nursery in self._all.values()])

    def want(self, modules: Iterable[str]) -> bool:
        """Have these modules loaded from now on, also by later fork servers. False if they would be too many."""
        loaded = self._wanted.modules
        added = [module for module in dict.fromkeys(modules) if module not in loaded]
        if len(loaded) + len(added) > MODULES_MAX:
            return False
        loaded += added
        for nursery in self._all.values():
            nursery.load_missing()
        return True

    def close(self) -> None:
        """End all of them."""
        for nursery in self._all.values():
            nursery.kill()
            nursery.leave()


class Nursery:
    """The fork server's process and link. `network` names the one that its slices have: its kind, and for a herd's the herd."""

    def __init__(self, wanted: Loaded, network: str) -> None:
        self._wanted = wanted
        self.network = network
        self.namespace = -1  # of the network, where it is not the spawner's or an empty one
        self.resolver = ""
        self.ready: ForkServerReady | None = None
        self.pid = 0
        self.link: socket.socket | None = None
        self.outbox: Outbox | None = None
        self.start_at_s = 0.0
        self._failures = 0

    def join(self, namespace: int, resolver: str) -> None:
        """Have its slices in this network from now on. One that runs in another is killed: its slices go on in the network that they have. Raises OSError."""
        self.resolver = resolver
        if self.namespace >= 0 and os.path.samestat(os.fstat(self.namespace), os.fstat(namespace)):
            return
        self.kill()
        self.leave()
        # Ours: the giver's is closed when the network is renewed.
        self.namespace = os.dup(namespace)

    def leave(self) -> None:
        """Let go of the network's namespace."""
        if self.namespace >= 0:
            os.close(self.namespace)
            self.namespace = -1

    def due_s(self) -> float | None:
        """Return when it must be started, or nothing while there is one."""
        return None if self.pid else self.start_at_s

    def start(self, walls: Walls | None, confines: Confines | None) -> None:
        """Start the process, and tell it the root that it is to close itself off in. Without walls it makes plain slices. Raises OSError."""
        assert not self.pid
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                with within(self.namespace) if self.namespace >= 0 else contextlib.nullcontext():
                    self.pid = self._spawn(theirs.fileno(), is_plain=walls is None)
            except BaseException:
                ours.close()
                raise
        ours.setblocking(False)
        self.link, self.outbox = ours, Outbox(ours, TO_FORK_SERVER)
        if confines is not None:
            confines.take_in_zygote(self.pid)
        if walls is not None:
            root, trees = walls.zygote_root(self.network.partition(" ")[0])
            self.outbox.send(root, descriptors=trees)
            close_all(trees)

    @property
    def is_ready(self) -> bool:
        """Whether it can be asked for cells."""
        return self.ready is not None and self.outbox is not None

    def ask(self, fork: Fork, handed: Sequence[int]) -> bool:
        """Ask for a cell. False if it is gone. Raises BadMessage."""
        return self.outbox is not None and self.outbox.send(fork, descriptors=handed)

    def told(self) -> Sequence[tuple[Forked | Unforked, list[int]]]:
        """Return what is known already of the cells that were asked for: nothing, a fork server says that over its link."""
        return ()

    def is_now_ready(self, ready: ForkServerReady) -> None:
        """Take note of what it has loaded, and ask for what is wanted since it was started."""
        assert self.outbox is not None
        self.ready, self._failures = ready, 0
        self.load_missing()

    def load_missing(self) -> None:
        """Have it load what is wanted since it was started, if it is ready; else it is asked when it is."""
        missing = [module for module in self._wanted.modules if not self.has_tried(module)]
        if missing and self.ready is not None and self.outbox is not None:
            self.outbox.send(Preload(missing))

    def has_tried(self, module: str) -> bool:
        """Say whether the present fork server has loaded the module, or could not."""
        return self.ready is not None and module in (*self.ready.modules, *self.ready.failed)

    def packets(self) -> Iterator[Packet]:
        """Yield what has come. Kills a fork server whose link has ended."""
        while self.link is not None:
            try:
                packet = receive(self.link)
            except BlockingIOError:
                return
            if packet is None:
                self.kill()
                return
            yield packet

    def kill(self) -> None:
        """End the process; `lost` follows when it has been reaped. Its link is not read any more."""
        if self.link is not None and self.outbox is not None:
            self.outbox.close()
            self.link.close()
            self.link = self.outbox = None
        if self.pid:
            # It is our child and not reaped yet, so the number is still its own.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def lost(self, *, now_s: float) -> None:
        """Take note that the process has been reaped, and plan the next."""
        self.pid = 0
        self.kill()
        if self.ready is None:
            self.start_at_s = now_s + min(PAUSE_S * 2**self._failures, PAUSE_S_MAX)
            self._failures = min(self._failures + 1, 10)
        else:
            self.start_at_s = now_s
        self.ready = None

    def _spawn(self, link: int, *, is_plain: bool) -> int:
        words = [sys.executable, *INTERPRETER_OPTIONS, "-m", "runink.sandbox.fork_server"]
        words += ["--entry", self._wanted.entry, "--path", self._wanted.path]
        words += ["--preload", ",".join(self._wanted.modules)]
        words += ["--plain", "yes" if is_plain else "", "--end-at", self._wanted.end_at]
        ours = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, self._wanted.limits)
        try:
            return os.posix_spawn(
                sys.executable,
                words,
                kept_environment(os.environ) | BOUND_NOW,
                # Everything else that we hold is close-on-exec.
                file_actions=[(os.POSIX_SPAWN_DUP2, link, LINK)],
                setsigmask=(),
                setsigdef=(signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD),
            )
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, ours)


MakeNursery = Callable[[Loaded, str], Nursery]
