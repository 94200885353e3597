"""Reaching a Barn of several members: one connection to each, kept up, and requests to the one that serves them best.

    request                           goes to
    Propose, ChangeMembers            the leader, if it is known and connected; else any
    what only reads, and watches      the members in turn
    MoveLeader                        any
    to an actor `beside` the Barn     the members in turn: each hands on to the one that acts

Members that know of a leader come first: one that does not may be cut off.  What only reads is asked of another member if one does not answer, for as long as there is time.
A write is not: who asks (`BarnClient`) knows whether it may be sent twice, and when it asks again it comes to another one.  Nor is a watch, which waits for all of its time at one
member, and goes on at any because it says from which revision.  A member that is silent is noticed by itself: its connection ends, and what waits there with it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, TypeVar

import anyio

from runink.clients.barn_requests import BarnRequest, ChangeMembers, Propose, Status, WatchFrom
from runink.errors import LinkLost, Overloaded, Refused, RuninkError, Unavailable
from runink.runtime.envelope import Request
from runink.runtime.ref import Ref
from runink.runtime.remote import RemoteRef

PAUSE_S: Final = 0.05  # before the next try to connect; doubled with each
PAUSE_S_MAX: Final = 1.0
LOOK_S: Final = 1.0  # between two looks at who leads
LOOK_WITHIN_S: Final = 2.0
ASK_S: Final = 1.0  # at least, before another member is asked
LOST: Final = frozenset({"link_lost", "outcome_unknown", "stopping"})  # of one member, not of all

_log = logging.getLogger(__name__)

R = TypeVar("R")
Connect = Callable[[], AbstractAsyncContextManager[Ref[BarnRequest]]]


class Members:
    """The members of one Barn, as if they were one actor. Made by `reaching`."""

    address = "barn"

    def __init__(self, connects: Mapping[int, Connect]) -> None:
        self._connects = connects
        self._refs: dict[int, Ref[BarnRequest]] = {}
        self._led: set[int] = set()  # those that know of a leader
        self._lead = 0
        self._turn = 0
        self._trouble: RuninkError | None = None  # the last that was in the way of a connection
        self._troubles: dict[int, RuninkError] = {}  # of each, the last
        self._is_changed = anyio.Event()
        self._round = 0
        self._met: set[int] = set()

    @property
    def lead(self) -> int:
        """Who leads, as far as is known; 0 if nobody does."""
        return self._lead

    @property
    def connected(self) -> frozenset[int]:
        return frozenset(self._refs)

    async def tell(self, message: BarnRequest) -> None:
        await self.next().tell(message)

    def tell_nowait(self, message: BarnRequest) -> None:
        self.next().tell_nowait(message)

    def flush(self) -> None:
        """Do nothing: it is sent soon."""

    async def ask(self, request: Request[R], *, within: float) -> R:
        """Ask the member that serves this best, when one is connected. Raises LinkLost, TimedOut, and what it answers with."""
        until_s = anyio.current_time() + within
        is_write = isinstance(request, (Propose, ChangeMembers))
        is_asked_once = is_write or isinstance(request, WatchFrom)
        while True:  # ends with an answer, or with the time
            await self.wait_connected(until_s)
            member = self._lead if is_write and self._lead in self._refs else self._turned()
            left_s = until_s - anyio.current_time()
            # One that is silent must leave time for another.
            within_s = left_s if is_asked_once else min(left_s, max(ASK_S, left_s / 2))
            try:
                return await self._refs[member].ask(request, within=within_s)
            except Unavailable as error:
                if member == self._lead:
                    self._lead = 0  # until the next look: it may have stopped leading
                is_late = anyio.current_time() + PAUSE_S >= until_s
                if is_asked_once or is_late or isinstance(error, Overloaded):
                    raise
            await anyio.sleep(PAUSE_S)

    def beside(self, name: str) -> Beside:
        """Return what reaches an actor that each member has beside its Barn."""
        return Beside(self, name)

    async def wait_connected(self, until_s: float) -> None:
        """Return when a member is connected. Raises LinkLost when the time is over."""
        with anyio.move_on_at(until_s):
            while not self._refs:  # ends with a connection, or with the time
                await self._is_changed.wait()
        if not self._refs:
            raise self._unreached()

    async def wait_admitted(self, until_s: float) -> None:
        """Return when a member is connected, as who is new here does. Raises what one refuses us with as soon as all have been tried, LinkLost when the time is over."""
        with anyio.move_on_at(until_s):
            while not self._refs:  # ends with a connection, a refusal, or the time
                refusals = [one for one in self._troubles.values() if isinstance(one, Refused)]
                if refusals and len(self._troubles) == len(self._connects):
                    raise refusals[0]
                await self._is_changed.wait()
        if not self._refs:
            raise self._unreached()

    def next(self) -> Ref[Any]:
        """Return the Barn of the member whose turn it is. Raises LinkLost."""
        if not self._refs:
            raise self._unreached()
        return self._refs[self._turned()]

    def _unreached(self) -> LinkLost:
        why = f": {self._trouble.text}" if self._trouble is not None else ""
        hint = self._trouble.hint if self._trouble is not None else "try again"
        return LinkLost(f"no member of the Barn can be reached{why}", hint=hint)

    def _turned(self) -> int:
        members = sorted(self._led & self._refs.keys() or self._refs)
        self._turn += 1
        return members[self._turn % len(members)]

    async def keep(self, member: int) -> None:
        """Keep the connection to a member. Ends by being cancelled."""
        pause_s = PAUSE_S
        while True:  # ends by being cancelled
            try:
                async with self._connects[member]() as ref:
                    pause_s = PAUSE_S
                    await self._use(member, ref)
            except RuninkError as error:
                # It is tried again, for as long as anybody wants the members.
                if isinstance(error, Refused):
                    self._tell_refusal(member, error)
                self._trouble = self._troubles[member] = error
                self._tell_changed()
            finally:
                self._refs.pop(member, None)
                self._led.discard(member)
            await anyio.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSE_S_MAX)

    def _tell_refusal(self, member: int, error: Refused) -> None:
        """Say in the log why a member that we were connected to does not let us in any more, once until it says something else: it is asked again each second."""
        before = self._troubles.get(member)
        if member in self._met and (before is None or before.text != error.text):
            fields = {"code": error.code, "text": error.text, "hint": error.hint}
            _log.warning("a member does not let us in", extra=fields)

    def connect_anew(self) -> None:
        """Have each connection made anew, soon: what we show has changed. What is under way on it is asked again, as if it had been lost."""
        self._round += 1

    async def _use(self, member: int, ref: Ref[BarnRequest]) -> None:
        """Let requests come to a member, and look who leads, until it is silent or is to be connected anew."""
        used = self._round
        while used == self._round:
            status = await ref.ask(Status(), within=LOOK_WITHIN_S)
            (self._led.add if status.lead else self._led.discard)(member)
            if member not in self._refs:
                self._refs[member] = ref
                self._met.add(member)
                self._tell_changed()
            if status.lead == member or self._lead not in self._refs:
                self._lead = status.lead
            await anyio.sleep(LOOK_S)

    def _tell_changed(self) -> None:
        self._is_changed.set()
        self._is_changed = anyio.Event()


class Beside:
    """An actor that all members have, as if it were one. What it is asked may be asked twice: where a member is lost, another is asked."""

    def __init__(self, members: Members, name: str) -> None:
        self.address = name
        self._members = members

    async def tell(self, message: Any) -> None:
        """Tell one member. Raises LinkLost if none is connected, or the connection ends."""
        await self._beside(self._members.next()).tell(message)

    def tell_nowait(self, message: Any) -> None:
        """Tell one member, or raise Overloaded, LinkLost."""
        self._beside(self._members.next()).tell_nowait(message)

    def flush(self) -> None:
        """Do nothing: it is sent soon."""

    async def ask(self, request: Request[R], *, within: float) -> R:
        """Ask one member, and the next if that is lost. Raises LinkLost, TimedOut, and what is answered."""
        until_s = anyio.current_time() + within
        while True:  # ends with an answer, or with the time
            await self._members.wait_connected(until_s)
            ref = self._beside(self._members.next())
            try:
                return await ref.ask(request, within=until_s - anyio.current_time())
            except Unavailable as error:
                is_late = anyio.current_time() + PAUSE_S >= until_s
                if is_late or error.code not in LOST:
                    raise
            await anyio.sleep(PAUSE_S)

    def _beside(self, ref: Ref[Any]) -> Ref[Any]:
        assert isinstance(ref, RemoteRef), "members are reached over a wire"
        return ref.beside(self.address)


@asynccontextmanager
async def reaching(connects: Mapping[int, Connect]) -> AsyncIterator[Members]:
    """Keep connections to all members for as long as the block; requests wait for the first of them."""
    members = Members(connects)
    async with anyio.create_task_group() as group:
        for member in connects:
            group.start_soon(members.keep, member)
        try:
            yield members
        finally:
            group.cancel_scope.cancel()
