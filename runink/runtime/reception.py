"""The reception of a link: puts what the peer sends into the mailboxes of our actors, and sends their answers back.

    comes                                              goes back
    what the other side may not send (`guests.py`)     Failure: Forbidden
    an Ask for an actor that is served                 what the actor answers
    an Ask for another, of an unknown or bad message   Failure: NotFound, Invalid
    a Tell that cannot be delivered                    nothing; it is logged, and counted as delivered

A message for a full mailbox waits in the lane of its actor, so that a slow actor holds up nobody else on the same connection.  Lanes hold no more
than the peer has credit and places for, and keep the order of its messages to one actor.  When the connection ends, Asks that no actor
has begun are dropped: nobody waits for them.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import anyio
import anyio.abc

from runink.errors import Invalid, Overloaded, RuninkError, Unavailable
from runink.runtime.directory import Directory, Served
from runink.runtime.envelope import Envelope, Request
from runink.runtime.guests import Guest
from runink.runtime.ref import LocalRef
from runink.wire.link import Link
from runink.wire.messages import Ask, Tell
from runink.wire.strangers import Seldom

DROPPED_TOLD_MAX: Final = (
    10  # lines of the log in TOLD_S: a peer that tells nonsense tells much of it
)

_log = logging.getLogger(__name__)


_Arrived = tuple[
    Envelope[Any], Callable[[], object]
]  # a message, and who is told that it has found its place


class Reception:
    """Serves one link with the actors of a directory. Its lanes run in `group`."""

    def __init__(self, directory: Directory, group: anyio.abc.TaskGroup) -> None:
        self._directory = directory
        self._group = group
        self._lanes: dict[str, deque[_Arrived]] = {}
        self._served: dict[int, Envelope[Any]] = {}
        self._dropped = Seldom(lines=DROPPED_TOLD_MAX)

    def told(self, tell: Tell, link: Link) -> None:
        try:
            actor, message = self._taken(tell, link)
        except RuninkError as error:
            if times := self._dropped.count(anyio.current_time()):
                fields = {"target": tell.target, "type": tell.type, "code": error.code}
                _log.warning("message dropped", extra=fields | {"times": times})
            link.settle_tell(tell.number)
            return
        envelope = Envelope(message, traceparent=tell.traceparent)
        self._deliver(actor.ref, envelope, partial(link.settle_tell, tell.number))

    def asked(self, ask: Ask, link: Link) -> None:
        try:
            actor, message = self._taken(ask, link)
            if not isinstance(message, Request):
                raise Invalid(f"{ask.type} is told, not asked", code="not_a_request")
        except RuninkError as error:
            link.fail(ask.number, error)
            return
        settle = partial(self._answered, link, ask.number, message.answer_bytes_max)
        envelope: Envelope[Any] = Envelope(message, settle, traceparent=ask.traceparent)
        self._served[ask.number] = envelope
        self._deliver(actor.ref, envelope, _nobody)

    def _taken(self, sent: Tell | Ask, link: Link) -> tuple[Served, Any]:
        """Return the actor that is meant and the message. Raises Forbidden, NotFound, Invalid."""
        assert link.peer is not None, "nothing comes before the handshake"
        guest: Guest | None = link.peer.guest
        if guest is None:
            actor = self._directory.local(sent.target)
            return actor, actor.message(sent.type, sent.body)
        guest.check(sent.target, sent.type)
        actor = self._directory.local(sent.target)
        return actor, guest.examine(sent.target, actor.message(sent.type, sent.body))

    def expired(self, number: int) -> None:
        if (envelope := self._served.pop(number, None)) is not None:
            envelope.abandon()

    def close(self) -> None:
        """Take note that the connection is over."""
        for envelope in self._served.values():
            envelope.abandon()
        self._served.clear()

    def _answered(
        self, link: Link, number: int, bytes_max: int, value: object, error: RuninkError | None
    ) -> None:
        del self._served[number]
        if error is None:
            link.answer(number, value, bytes_max=bytes_max)
        else:
            link.fail(number, error)

    def _deliver(
        self, ref: LocalRef[Any], envelope: Envelope[Any], placed: Callable[[], object]
    ) -> None:
        lane = self._lanes.get(ref.address) if self._lanes else None
        if lane is not None:
            lane.append((envelope, placed))
            return
        try:
            ref.put_nowait(envelope)
        except Overloaded:
            self._lanes[ref.address] = deque([(envelope, placed)])
            self._group.start_soon(self._empty_lane, ref)
        except Unavailable as error:
            envelope.fail(error)
            placed()
        else:
            placed()

    async def _empty_lane(self, ref: LocalRef[Any]) -> None:
        lane = self._lanes[ref.address]
        while lane:
            envelope, placed = lane[0]
            try:
                await ref.put(envelope)
            except Unavailable as error:
                envelope.fail(error)
            lane.popleft()
            placed()
        del self._lanes[ref.address]


def _nobody() -> None:
    """An Ask keeps its place until it is answered."""
