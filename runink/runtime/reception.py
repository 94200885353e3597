"""The reception of a link: puts what the peer sends into the mailboxes of our actors, and sends their answers back.

    comes                                              goes back
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
from typing import Any

import anyio.abc

from runink.errors import Invalid, Overloaded, RuninkError, Unavailable
from runink.runtime.directory import Directory
from runink.runtime.envelope import Envelope, Request
from runink.runtime.ref import LocalRef
from runink.wire.link import Link
from runink.wire.messages import Ask, Tell

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

    def told(self, tell: Tell, link: Link) -> None:
        try:
            actor = self._directory.local(tell.target)
            message = actor.message(tell.type, tell.body)
        except RuninkError as error:
            fields = {"target": tell.target, "type": tell.type, "code": error.code}
            _log.warning("message dropped", extra=fields)
            link.settle_tell()
            return
        envelope = Envelope(message, traceparent=tell.traceparent)
        self._deliver(actor.ref, envelope, link.settle_tell)

    def asked(self, ask: Ask, link: Link) -> None:
        try:
            actor = self._directory.local(ask.target)
            message = actor.message(ask.type, ask.body)
            if not isinstance(message, Request):
                raise Invalid(f"{ask.type} is told, not asked", code="not_a_request")
        except RuninkError as error:
            link.fail(ask.number, error)
            return
        settle = partial(self._answered, link, ask.number)
        envelope: Envelope[Any] = Envelope(message, settle, traceparent=ask.traceparent)
        self._served[ask.number] = envelope
        self._deliver(actor.ref, envelope, _nobody)

    def expired(self, number: int) -> None:
        if (envelope := self._served.pop(number, None)) is not None:
            envelope.abandon()

    def close(self) -> None:
        """Take note that the connection is over."""
        for envelope in self._served.values():
            envelope.abandon()
        self._served.clear()

    def _answered(self, link: Link, number: int, value: object, error: RuninkError | None) -> None:
        del self._served[number]
        if error is None:
            link.answer(number, value)
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
