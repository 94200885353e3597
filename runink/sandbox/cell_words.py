"""What cells say, understood by the spawner.  What one says when it is closed, and when its slice begins, the others at its place have said before it, so that is understood once."""

from __future__ import annotations

from runink.sandbox.inner_protocol import (
    FROM_CELL,
    INNER_FIELDS,
    Sealed,
    Started,
    Unborn,
    Worked,
    worked,
)
from runink.sandbox.packets import Packet, understood

KEPT_MAX = 64  # of a kilobyte each

Word = Sealed | Started | Unborn | Worked


class CellWords:
    """One for a spawner."""

    def __init__(self) -> None:
        self._known: dict[bytes, Sealed | Started] = {}

    def of(self, packet: Packet) -> Word:
        """Return the message in the packet, which nobody may change. Raises BadMessage, after closing the packet's descriptors."""
        if packet.whole and not packet.descriptors:
            known = self._known.get(packet.body)
            if known is not None:
                return known
            how_ended = worked(packet.body)
            if how_ended is not None:
                return how_ended
        message: Word = understood(packet, FROM_CELL, INNER_FIELDS).message
        if isinstance(message, Sealed | Started):
            if len(self._known) >= KEPT_MAX:
                self._known.clear()
            self._known[packet.body] = message
        return message
