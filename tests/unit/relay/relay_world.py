"""Two relays' switchboards in one process, joined by real sockets and with real pipes; time stands still unless a test moves it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from runink.pipes.open import PipeEnds, open_pipe
from runink.relay.greeting import with_secret
from runink.relay.protocol import Read, Write
from runink.relay.switchboard import Switchboard
from runink.relay.trusting import with_certificates
from runink.wire.sockets import listen_tcp
from runink.wire.stream_frames import TOKEN_BYTES

TOKEN = bytes(range(TOKEN_BYTES))
HOST = "127.0.0.1"
TURN_S = 0.002
STEP_S = 5.0  # less than after what a relay asks whether the other one is there
STEP_TURNS = 4
TURNS_MAX = 20_000  # far more than anything takes, on a busy machine as well
SECRET = b"all of the cluster's nodes know it"


@dataclass(eq=False)
class Relay:
    """A switchboard that listens, and the contexts that it was made with."""

    board: Switchboard
    listener: socket.socket
    port: int

    def deafen(self) -> None:
        """Listen no more, as if it had not been started yet."""
        self.listener.close()

    def listen(self) -> None:
        self.listener = listen_tcp(HOST, self.port)

    def turn(self) -> None:
        with suppress(OSError):  # nobody has come, or it does not listen
            self.board.accept(self.listener.accept()[0])
        self.board.turn(TURN_S)

    def close(self) -> None:
        self.listener.close()
        self.board.close()


@dataclass
class RelayWorld:
    """The relays of a test and the pipes that it made."""

    now_s: float = 0.0
    relays: list[Relay] = field(default_factory=list)
    _open: set[int] = field(default_factory=set)

    def relay(
        self,
        name: str,
        *,
        secret: bytes = SECRET,
        trust: Path | None = None,
    ) -> Relay:
        greeting = with_certificates(name, trust) if trust else with_secret(name, secret)
        board = Switchboard(greeting, now=lambda: self.now_s)
        listener = listen_tcp(HOST, 0)
        self.relays.append(Relay(board, listener, int(listener.getsockname()[1])))
        return self.relays[-1]

    def pipe(self) -> PipeEnds:
        """Make a pipe of which the test has both ends, until it gives one to a relay or closes it."""
        ends = open_pipe()
        self._open |= set(ends)
        for end in ends:
            os.set_blocking(end, False)
        return ends

    def close_end(self, end: int) -> None:
        self._open.remove(end)
        os.close(end)

    def write(self, source: Relay, target: Relay, edge: str = "edge", *, attempt: int = 1, token: bytes = TOKEN, name: str = HOST) -> int:  # fmt: skip
        """Have an edge carried to another relay; return the pipe's end that a slice would write to."""
        ends = self.pipe()
        self._open.remove(ends.read)
        source.board.write(Write(edge, attempt, token, name, HOST, target.port), ends.read)
        return ends.write

    def read(self, target: Relay, edge: str = "edge", *, attempt: int = 1, token: bytes = TOKEN) -> int:  # fmt: skip
        """Have what comes for an edge written; return the pipe's end that a slice would read from."""
        ends = self.pipe()
        self._open.remove(ends.write)
        target.board.read(Read(edge, attempt, token), ends.write)
        return ends.read

    def until(self, holds: Callable[[], bool]) -> None:
        """Let the relays work until something holds."""
        for _ in range(TURNS_MAX):
            if holds():
                return
            self.work()
        raise AssertionError("it never came to that")

    def work(self) -> None:
        for relay in self.relays:
            relay.turn()

    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds
        for relay in self.relays:
            relay.board.tick()

    def wait(self, seconds: float) -> None:
        """Let time pass, in steps in which the relays answer each other."""
        for _ in range(round(seconds / STEP_S)):
            self.pass_time(STEP_S)
            for _ in range(STEP_TURNS):
                self.work()

    def close(self) -> None:
        for relay in self.relays:
            relay.close()
        for end in list(self._open):
            self.close_end(end)


@dataclass
class Taken:
    """What came out of a pipe: its bytes, and whether it is at its end."""

    pipe: int
    data: bytes = b""
    is_ended: bool = False

    def take(self, most: int = 1 << 20) -> bool:
        """Take what is there; say whether that was the end."""
        with suppress(BlockingIOError):
            data = os.read(self.pipe, most)
            self.data += data
            self.is_ended = not data
        return self.is_ended


def put(pipe: int, data: bytes) -> int:
    """Write what a pipe takes at once; return how much that was. Raises BrokenPipeError."""
    try:
        return os.write(pipe, data)
    except BlockingIOError:
        return 0


def is_broken(pipe: int) -> bool:
    """Say whether nobody reads a pipe any more."""
    try:
        put(pipe, b"x")
    except BrokenPipeError:
        return True
    return False
