"""The cell: an actor's lasting home. Mailbox and address are the cell's; the actor in it lives, crashes and is made anew.

What is answered when a life ends, to requests that have no answer yet:

    the request that `receive` was working on       OutcomeUnknown, after a crash and after a cut
    a Later that is open, after a crash or a cut    OutcomeUnknown
    a Later that is open, after a stop              Unavailable (stopping): `stopped` has had its chance to answer
    unread messages, when no life follows           Unavailable (stopping)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import anyio

from runink.errors import Broken, OutcomeUnknown, Refused, RuninkError, Unavailable
from runink.runtime.actor import Actor, Context
from runink.runtime.envelope import TRACEPARENT, Envelope, Later, Request
from runink.runtime.mailbox import MESSAGES_MAX, Mailbox
from runink.runtime.ref import LocalRef

M = TypeVar("M")

STOPPED_S_MAX: Final = 5.0  # for `stopped`: a sync of a slow disk takes one second


def first_error(error: BaseException) -> BaseException:
    """Return the first real error of an exception group, however deep it stands; cancellation is none. Anything else is returned as it is."""
    while isinstance(error, BaseExceptionGroup):
        real = error.subgroup(lambda one: isinstance(one, Exception) and not _is_group(one))
        if real is None:
            return error
        error = real.exceptions[0]
    return error


def _is_group(error: BaseException) -> bool:
    return isinstance(error, BaseExceptionGroup)


class Cell(Generic[M]):
    """The home of the actor with this address; `make` makes one for each life."""

    def __init__(
        self, address: str, make: Callable[[], Actor[M]], *, messages_max: int = MESSAGES_MAX
    ) -> None:
        self.mailbox = Mailbox[M](address, messages_max)
        self.ref = LocalRef(self.mailbox)
        self._make = make
        self._current: Envelope[M] | None = None
        self._open: set[Later] = set()
        self._is_finishing = False

    @property
    def address(self) -> str:
        return self.mailbox.address

    async def live(self, begun: Callable[[], object]) -> None:
        """Live one life. `begun` is called when `started` has returned. Raises what the actor crashed with, never a group."""
        self._is_finishing = False
        actor = self._make()
        try:
            await self._live(actor, begun)
            await self._stop(actor)
        except BaseException as error:
            self._settle_open(self._outcome_unknown())
            first = first_error(error)
            if first is error:
                raise
            raise first from first.__cause__
        self._settle_open(_stopping(self.address))

    async def _live(self, actor: Actor[M], begun: Callable[[], object]) -> None:
        try:
            async with anyio.create_task_group() as group:
                context = Context(
                    self.ref, group, self._finish, self._is_closed, self.mailbox.__len__
                )
                await actor.started(context)
                begun()
                await self._receive_all(actor)
                group.cancel_scope.cancel()
        except BaseException as error:
            try:
                await self._stop(actor)
            except Exception as second:  # noqa: BLE001 - what came first is the one to tell
                first_error(error).add_note(f"stopped() failed too: {second!r}")
            raise

    def close(self) -> None:
        """Take no more messages; the life ends when those that are there are received."""
        self.mailbox.close()

    def end(self) -> int:
        """Close for good, refuse what nobody has read, and return how many messages that were."""
        left = self.mailbox.leftovers()
        for envelope in left:
            envelope.fail(_stopping(self.address))
        return len(left)

    def _is_closed(self) -> bool:
        return self.mailbox.is_closed

    def _finish(self) -> None:
        self._is_finishing = True
        self.mailbox.interrupt()

    async def _receive_all(self, actor: Actor[M]) -> None:
        while not self._is_finishing:  # ends when the mailbox is closed and empty
            envelope = await self.mailbox.get()
            if envelope is None:
                return
            if not envelope.is_abandoned:
                await self._receive(actor, envelope)

    async def _receive(self, actor: Actor[M], envelope: Envelope[M]) -> None:
        self._current = envelope
        if envelope.traceparent != TRACEPARENT.get():
            TRACEPARENT.set(envelope.traceparent)
        try:
            answer = await actor.receive(envelope.message)
        except Exception as error:
            first = first_error(error)
            if not isinstance(first, Refused | Unavailable) or not _is_request(envelope):
                raise
            envelope.fail(first)
        else:
            if not isinstance(answer, Later):
                envelope.answer(answer)
            elif answer.bind(envelope, self._open.discard) and envelope.is_awaited:
                self._open.add(answer)
        self._current = None

    async def _stop(self, actor: Actor[M]) -> None:
        with anyio.move_on_after(STOPPED_S_MAX, shield=True) as limit:
            await actor.stopped()
        if limit.cancelled_caught:
            raise Broken(
                f"{self.address} did not end within {STOPPED_S_MAX:g} s", code="stop_timed_out"
            )

    def _settle_open(self, error: RuninkError) -> None:
        if self._current is not None:
            self._current.fail(self._outcome_unknown())
            self._current = None
        for later in tuple(self._open):
            later.fail(error)
        assert not self._open

    def _outcome_unknown(self) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"{self.address} ended while it held the request",
            hint="whether it took effect is not known; look before you repeat it",
        )


def _is_request(envelope: Envelope[Any]) -> bool:
    return isinstance(envelope.message, Request)


def _stopping(address: str) -> Unavailable:
    return Unavailable(f"{address} has stopped", code="stopping", hint="try again later")
