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
from collections.abc import Iterable, Iterator, Sequence

from runink.sandbox.arguments import INTERPRETER_OPTIONS, LINK, kept_environment
from runink.sandbox.packets import Outbox, Packet, receive
from runink.sandbox.protocol import MODULES_MAX, TO_FORK_SERVER, ForkServerReady, Preload

PAUSE_S = 0.1  # before a fork server that never became ready is tried again; doubles
PAUSE_S_MAX = (
    5.0  # a broken installation must not fill the processor, nor keep a repaired one waiting
)


class Nursery:
    """The fork server's process and link. `limits` are the descriptor limits that it, and so every slice, starts with."""

    def __init__(
        self, entry: str, *, modules: Sequence[str], path: str, limits: tuple[int, int]
    ) -> None:
        self._entry = entry
        self._path = path
        self._limits = limits
        self.modules: list[str] = list(modules)
        self.ready: ForkServerReady | None = None
        self.pid = 0
        self.link: socket.socket | None = None
        self.outbox: Outbox | None = None
        self.start_at_s = 0.0
        self._failures = 0

    def due_s(self) -> float | None:
        """Return when it must be started, or nothing while there is one."""
        return None if self.pid else self.start_at_s

    def start(self) -> None:
        """Start the process. Raises OSError."""
        assert not self.pid
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self.pid = self._spawn(theirs.fileno())
            except BaseException:
                ours.close()
                raise
        ours.setblocking(False)
        self.link, self.outbox = ours, Outbox(ours, TO_FORK_SERVER)

    def is_now_ready(self, ready: ForkServerReady) -> None:
        """Take note of what it has loaded, and ask for what is wanted since it was started."""
        assert self.outbox is not None
        self.ready, self._failures = ready, 0
        missing = [module for module in self.modules if not self.has_tried(module)]
        if missing:
            self.outbox.send(Preload(missing))

    def want(self, modules: Iterable[str]) -> bool:
        """Have these modules loaded from now on, also by later fork servers. False if they would be too many."""
        added = [module for module in dict.fromkeys(modules) if module not in self.modules]
        if len(self.modules) + len(added) > MODULES_MAX:
            return False
        self.modules += added
        if added and self.ready and self.outbox:
            self.outbox.send(Preload(added))
        return True

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

    def _spawn(self, link: int) -> int:
        words = [sys.executable, *INTERPRETER_OPTIONS, "-m", "runink.sandbox.fork_server"]
        words += ["--entry", self._entry, "--preload", ",".join(self.modules), "--path", self._path]
        ours = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, self._limits)
        try:
            return os.posix_spawn(
                sys.executable,
                words,
                kept_environment(os.environ),
                # Everything else that we hold is close-on-exec.
                file_actions=[(os.POSIX_SPAWN_DUP2, link, LINK)],
                setsigmask=(),
                setsigdef=(signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD),
            )
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, ours)
