"""A network between members that does what networks do: it loses, delays, doubles and reorders messages, and falls into parts.

What it carries is bytes, as on the wire: a message is encoded when it is sent, once for each copy that arrives it is decoded anew.
A sender hears of a snapshot's fate in any case, of other losses now and then; it may also hear that something was lost which arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from runink.raft.messages import Message, MessageType
from runink.testing.raft_group_world import MS, World

REPORTED: Final = 0.3  # of the losses: a broken connection shows, a lost packet does not
FALSE_ALARM: Final = 0.1  # of the snapshots that arrive: the acknowledgement was lost

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Message).decode


@dataclass(frozen=True, slots=True)
class Weather:
    """How bad the network is: shares of messages lost and doubled, and delays in microseconds, of which long ones are rare."""

    lost: float = 0.0
    doubled: float = 0.0
    delay_us_min: int = 300
    delay_us_max: int = 2 * MS


CALM: Final = Weather()


class Report(Protocol):
    def __call__(self, sender: int, message: Message, *, is_delivered: bool) -> None: ...


class Network:
    """Links between members; `deliver` hands a message over, `report` tells a sender what became of one."""

    def __init__(
        self,
        world: World,
        deliver: Callable[[int, Message], None],
        report: Report,
    ) -> None:
        self.weather = CALM
        self._world = world
        self._deliver = deliver
        self._report = report
        self._cut: set[tuple[int, int]] = set()

    def cut(self, links: Iterable[tuple[int, int]]) -> None:
        """Let nothing pass over these links (from, to), until they are healed."""
        self._cut.update(links)

    def heal(self) -> None:
        self._cut.clear()

    def send(self, sender: int, message: Message) -> None:
        world, weather = self._world, self.weather
        world.statistics.messages += 1
        is_snapshot = message.type is MessageType.MsgSnap
        world.statistics.snapshots_sent += is_snapshot
        data = _encode(message)
        world.note(data)
        if (sender, message.to) in self._cut or world.chance(weather.lost):
            world.statistics.lost += 1
            if is_snapshot or world.chance(REPORTED):
                self._tell(sender, message, is_delivered=False)
            return
        copies = 1
        if world.chance(weather.doubled):
            world.statistics.doubled += 1
            copies = 2
        for _ in range(copies):
            delay = world.between(weather.delay_us_min, weather.delay_us_max)
            world.later(delay, "message", lambda: self._deliver(message.to, _decode(data)))
        if is_snapshot:
            self._tell(sender, message, is_delivered=not world.chance(FALSE_ALARM))

    def _tell(self, sender: int, message: Message, *, is_delivered: bool) -> None:
        delay = self._world.between(MS, 40 * MS)
        self._world.later(
            delay, "report", lambda: self._report(sender, message, is_delivered=is_delivered)
        )
