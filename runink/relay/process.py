"""The process of a relay: its switchboard, the agent that it serves, and when it ends.

    descriptor   what
    0            its settings, once (`RelaySettings`)
    3            the Unix socket at which the agent asks (`protocol.py`)
    4            the TCP socket at which other relays come in

The newest agent that comes is its agent.  It goes on without one while it carries streams, for `orphan_s`: slices outlive their agent for as long.  Without streams it ends with its agent.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from runink.errors import Forbidden, ProtocolViolation
from runink.relay.greeting import Greeting, with_secret
from runink.relay.protocol import (
    ASKING,
    LISTENING,
    Count,
    Counted,
    Leave,
    Read,
    RelaySettings,
    Told,
    Welcome,
    Write,
)
from runink.relay.switchboard import Switchboard
from runink.sandbox.log import log
from runink.sandbox.packets import close_all, receive
from runink.wire.sockets import check_peer

SETTINGS_BYTES_MAX: Final = 1 << 20
TICK_S: Final = 1.0
GOODBYE_S: Final = 2.0  # for others to hear that we end
AGENT_S: Final = 30.0  # for the agent that has started us to come

_decoder: Final = msgspec.msgpack.Decoder(Told)


class RelayProcess:
    """One for a process. `now` is a clock that never goes back, seconds."""

    def __init__(
        self,
        settings: RelaySettings,
        asking: socket.socket,
        listening: socket.socket,
        *,
        now: Callable[[], float],
    ) -> None:
        asking.setblocking(False)
        listening.setblocking(False)
        self._settings = settings
        self._asking = asking
        self._listening = listening
        self._now = now
        self._switchboard = Switchboard(_greeting(settings), now=now)
        self._agent: socket.socket | None = None
        self._alone_until_s = now() + max(AGENT_S, settings.orphan_s)
        self._had_agent = False
        self._is_leaving = False
        self._switchboard.watch(asking.fileno(), self._on_agent)
        self._switchboard.watch(listening.fileno(), self._on_relay)

    @property
    def is_done(self) -> bool:
        """Say whether nobody needs this process any more."""
        if self._is_leaving or self._agent is not None:
            return self._is_leaving
        is_idle = self._had_agent and not self._switchboard.has_streams
        return is_idle or self._now() >= self._alone_until_s

    def run(self) -> None:
        """Serve until it is done."""
        ticked_s = self._now()
        while not self.is_done:
            self._switchboard.turn(TICK_S)
            if self._now() - ticked_s >= TICK_S:
                ticked_s = self._now()
                self._switchboard.tick()
        self._switchboard.part()
        until_s = self._now() + GOODBYE_S
        while self._switchboard.has_connections and self._now() < until_s:
            self._switchboard.turn(GOODBYE_S)
        self._switchboard.close()

    def _on_relay(self, _: int) -> None:
        with suppress(
            OSError
        ):  # who came has gone again, or we are out of descriptors: tried again in the next turn
            self._switchboard.accept(self._listening.accept()[0])

    def _on_agent(self, _: int) -> None:
        try:
            link = self._asking.accept()[0]
        except OSError:
            return
        try:
            check_peer(link)
            link.setblocking(False)
            link.send(msgspec.msgpack.encode(Welcome(os.getpid(), self._settings.digest)))
        except (Forbidden, OSError) as error:
            log("agent not admitted", why=str(error))
            link.close()
            return
        self._part()
        self._agent, self._had_agent = link, True
        self._switchboard.watch(link.fileno(), self._on_told)

    def _part(self) -> None:
        if self._agent is not None:
            self._switchboard.unwatch(self._agent.fileno())
            self._agent.close()
            self._agent = None
        self._alone_until_s = self._now() + self._settings.orphan_s

    def _on_told(self, _: int) -> None:
        assert self._agent is not None
        try:
            packet = receive(self._agent)
        except BlockingIOError:
            return
        except OSError:
            packet = None
        if packet is None:
            self._part()
            return
        try:
            self._do(_decoder.decode(packet.body), packet.descriptors)
        except (msgspec.MsgspecError, ProtocolViolation) as error:
            log("agent said nonsense", why=str(error))
            self._part()
        finally:
            close_all(packet.descriptors)

    def _do(self, told: Told, pipes: list[int]) -> None:
        """Do what the agent says; what is taken of `pipes` is taken out."""
        match told:
            case Leave():
                self._is_leaving = True
            case Count(number):
                self._answer(Counted(number, self._switchboard.readings()))
            case Write() | Read() if len(pipes) != 1:
                raise ProtocolViolation(f"{type(told).__name__} with {len(pipes)} pipes")
            case Write():
                self._switchboard.write(told, pipes.pop())
            case Read():
                self._switchboard.read(told, pipes.pop())

    def _answer(self, counted: Counted) -> None:
        """Tell the agent what it has asked; one that does not take what it is told asks again when it needs it."""
        assert self._agent is not None
        with suppress(OSError):
            self._agent.send(msgspec.msgpack.encode(counted))


def _greeting(settings: RelaySettings) -> Greeting:
    """Return what connections begin with. Raises Refused (`bad_certificate`, `not_joined`)."""
    if not settings.trust:
        return with_secret(settings.node, settings.secret)
    from runink.relay.trusting import with_certificates  # noqa: PLC0415 - the library for certificates, which takes 11 MB

    return with_certificates(settings.node, Path(settings.trust))


def main() -> None:
    """Be the relay that an agent has started."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the agent says when to end
    with open(0, "rb") as file:
        settings = msgspec.msgpack.decode(file.read(SETTINGS_BYTES_MAX), type=RelaySettings)
    asking = socket.socket(fileno=ASKING)
    listening = socket.socket(fileno=LISTENING)
    process = RelayProcess(settings, asking, listening, now=time.monotonic)
    log("relay started", address=settings.address)
    process.run()
    log("relay ended")


if __name__ == "__main__":
    main()
