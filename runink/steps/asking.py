"""How a slice asks its agent for its token: over its control socket, where the answer comes back.

    TokenWanted     to the agent, with a number
    TokenGiven      from it, with the same number: answers that came too late for an earlier question are passed over

Nothing else comes over that socket to the slice.  It is loaded when a step first asks.
"""

from __future__ import annotations

import os
import select
from time import monotonic
from typing import Final

import msgspec

from runink.errors import LinkLost, TimedOut, from_wire
from runink.jobs import TokenGiven, TokenWanted
from runink.own_token import Given
from runink.wire.blocking import BlockingChannel
from runink.wire.codec import decode
from runink.wire.frames import FrameReader

WAIT_S: Final = 15.0
ANSWER_BYTES_MAX: Final = 64 << 10  # a token has two kilobytes
READ_BYTES: Final = 4 << 10


class Asking:
    """One for a slice, asked by one thread at a time. `control` is its control socket, which `channel` sends to."""

    def __init__(self, channel: BlockingChannel, control: int, *, wait_s: float = WAIT_S) -> None:
        self._channel = channel
        self._control = control
        self._wait_s = wait_s
        self._frames = FrameReader(bytes_max=ANSWER_BYTES_MAX)
        self._number = 0

    def token(self, *, anew: bool = False) -> Given:
        """Return a token, with `anew` another than before. Raises TimedOut (`agent_silent`), LinkLost, and the errors that the agent tells."""
        self._number += 1
        self._channel.send(TokenWanted(self._number, anew))
        until_s = monotonic() + self._wait_s
        while True:  # ends with the answer, the time, or the agent
            answer = msgspec.convert(self._receive(until_s), TokenGiven)
            if answer.number == self._number:
                if answer.error is not None:
                    raise from_wire(answer.error)
                return Given(answer.token, answer.good_s)

    def _receive(self, until_s: float) -> object:
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        while (body := self._frames.next()) is None:  # as above
            if not poll.poll(max(until_s - monotonic(), 0.0) * 1000):
                raise TimedOut(
                    f"this slice's agent has given it no token within {self._wait_s:g} s",
                    code="agent_silent",
                    hint="ask again; if it stays so, look whether the cluster can be reached from the node: runi node list",
                )
            try:
                data = os.read(self._control, READ_BYTES)
            except BlockingIOError:  # another process of the slice has taken it
                continue
            if not data:
                raise LinkLost(
                    "this slice's agent has closed its link", hint="the slice is about to end"
                )
            self._frames.feed(data)
        return decode(body)
