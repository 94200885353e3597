"""Who acts for the cluster: of the members of a control plane one at a time has the office, and its run controller and scheduler work.

    it sees                                  it does
    nobody has the office, or its own        takes it: a key under a lease of TERM_S, compared with what it saw
    life before had it
    it has it                                starts what acts, with a client of the Barn whose every change depends on that key (`fenced.py`);
                                             renews the lease
    the key is gone, or another's;           stops what acts
    no renewal for PARTED of the term
    another has it                           keeps a connection to that member, for what is asked here (`desk.py`)

The lease decides who begins; that nothing is decided twice does not depend on it, nor on any clock: what was decided under an office that is over
does not commit.  A member that was the only one takes the office of its former life at once: its Barn's lock says that nobody else is that member.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import anyio
import msgspec

from runink.barn.commands import Compare, Is, Of
from runink.barn.keys import OFFICES
from runink.clients.barn import BarnClient, Found, Transaction
from runink.clients.fenced import FencedBarn
from runink.clients.run_requests import DeskRequest
from runink.errors import NotFound, Refused, RuninkError, Unavailable
from runink.runtime.actor import Actor, Context
from runink.runtime.ref import Ref
from runink.runtime.supervisor import Supervisor, supervise

CONTROL_KEY: Final = OFFICES.key("control")
TERM_S: Final = 5.0  # without a renewal: then another member begins
TERM_ALONE_S: Final = 60.0  # nobody waits for it, and each renewal is a write
PARTED: Final = 0.8  # of a term: what acts has stopped before another begins
PAUSE_S: Final = (
    0.05  # until the Barn, or the member in office, is tried again; doubled with each try
)
PAUSE_S_MAX: Final = 1.0


@dataclass(frozen=True, slots=True)
class Reached:
    """The run controller of another member, and what returns when the connection to it is over."""

    runs: Ref[DeskRequest]
    wait_over: Callable[[], Awaitable[None]]


NewClient = Callable[[], BarnClient]
Begin = Callable[[Supervisor, NewClient], Awaitable[Ref[DeskRequest]]]
Reach = Callable[[str], AbstractAsyncContextManager[Reached]]


class Holder(msgspec.Struct, frozen=True):
    """The member that has the office, and since when, in milliseconds of the Unix epoch by its clock."""

    member: str
    since_ms: int


class Seat:
    """Where the run controller is reached that acts now, as far as this member knows."""

    def __init__(self) -> None:
        self.runs: Ref[DeskRequest] | None = None
        self.is_here = False
        self.changed = anyio.Event()

    def take(self, runs: Ref[DeskRequest] | None, *, is_here: bool = False) -> None:
        """Take note of where it is, or that it is nowhere; whoever waits looks again."""
        self.runs, self.is_here = runs, is_here
        self.changed.set()
        self.changed = anyio.Event()

    async def wait_taken(self) -> None:
        """Return when somebody acts, here or elsewhere."""
        while self.runs is None:
            await self.changed.wait()


class Office(Actor[Any]):
    """One for a member. `begin` starts what acts, `reach` connects to the run controller of another member."""

    def __init__(  # noqa: PLR0913 - what a member gives its office
        self,
        barn: BarnClient,
        seat: Seat,
        *,
        member: str,
        begin: Begin,
        reach: Reach,
        fenced: Callable[[Compare], FencedBarn],
        now_ms: Callable[[], int],
        term_s: float = TERM_S,
    ) -> None:
        self._barn = barn
        self._seat = seat
        self._member = member
        self._begin = begin
        self._reach = reach
        self._fenced = fenced
        self._now_ms = now_ms
        self._term_s = term_s
        self._lease = 0

    async def started(self, context: Context[Any]) -> None:
        context.spawn(self._serve)

    async def stopped(self) -> None:
        """Leave the office to the others at once, if the Barn still hears us."""
        self._seat.take(None)
        if self._lease and self._term_s < TERM_ALONE_S:
            with anyio.move_on_after(PAUSE_S_MAX):
                await self._give_up()

    async def _give_up(self) -> None:
        try:
            await self._barn.revoke_lease(self._lease)
        except RuninkError:
            return  # it ends by itself

    async def _serve(self) -> None:
        pause_s = PAUSE_S
        while True:  # ends by being cancelled
            try:
                found = await self._barn.get(CONTROL_KEY, Holder)
                if found is None or found.value.member == self._member:
                    epoch = await self._taken(found)
                    if epoch:
                        await self._act(epoch)
                else:
                    await self._attend(found)
            except* Unavailable:  # by itself, or out of the tasks of an office
                await anyio.sleep(pause_s)
                pause_s = min(2 * pause_s, PAUSE_S_MAX)
            else:
                pause_s = PAUSE_S

    # In office.

    async def _taken(self, found: Found[Holder] | None) -> int:
        """Take the office if nothing has changed since, and return the revision that stands for it; 0 if somebody was faster."""
        self._lease = await self._barn.grant_lease(self._term_s)
        transaction = Transaction()
        transaction = (
            transaction.if_absent(CONTROL_KEY)
            if found is None
            else transaction.if_revision(CONTROL_KEY, found.revision)
        )
        holder = Holder(self._member, self._now_ms())
        committed = await self._barn.commit(transaction.put(CONTROL_KEY, holder, lease=self._lease))
        if not committed.succeeded:
            await self._give_up()
        return committed.revision if committed.succeeded else 0

    async def _act(self, epoch: int) -> None:
        """Run what acts, until the office is lost."""
        fence = Compare(CONTROL_KEY, Of.MOD_REVISION, Is.EQUAL, epoch)
        async with anyio.create_task_group() as group:
            group.start_soon(self._end_when_lost, epoch, group.cancel_scope)
            group.start_soon(self._renew, group.cancel_scope)
            async with supervise() as supervisor:
                try:
                    self._seat.take(
                        await self._begin(supervisor, partial(self._fenced, fence)), is_here=True
                    )
                    await anyio.sleep_forever()
                finally:
                    self._seat.take(None)

    async def _renew(self, office: anyio.CancelScope) -> None:
        renewed_s = anyio.current_time()
        while True:  # ends with the office
            left_s = renewed_s + PARTED * self._term_s - anyio.current_time()
            if left_s <= 0:
                break
            await anyio.sleep(min(self._term_s / 3, left_s))
            asked_s = anyio.current_time()  # the term may have begun anew as early as that
            try:
                with anyio.move_on_at(renewed_s + PARTED * self._term_s):
                    await self._barn.keep_lease(self._lease)
                    renewed_s = asked_s
            except NotFound:
                break
            except Unavailable as error:
                if error.code == "disk_full":  # such a Barn is there, and ends no lease
                    renewed_s = asked_s
        office.cancel()

    async def _end_when_lost(self, epoch: int, office: anyio.CancelScope) -> None:
        await self._changed(epoch)
        office.cancel()

    async def _changed(self, revision: int) -> None:
        """Return when the key has changed behind a revision, or nobody knows any more."""
        changes = self._barn.watch(CONTROL_KEY, after_revision=revision)
        try:
            async with aclosing(changes):
                async for _ in changes:
                    return
        except Refused as error:
            if error.code != "compacted":
                raise

    # While another has it.

    async def _attend(self, found: Found[Holder]) -> None:
        """Keep a connection to the member in office until that changes."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._end_when_lost, found.revision, group.cancel_scope)
            group.start_soon(self._keep_reached, found.value.member)

    async def _keep_reached(self, member: str) -> None:
        pause_s = PAUSE_S
        while True:  # ends when another has the office
            try:
                async with self._reach(member) as reached:
                    pause_s = PAUSE_S
                    self._seat.take(reached.runs)
                    await reached.wait_over()
            except RuninkError:
                pass  # it is tried again for as long as that member has the office
            finally:
                self._seat.take(None)
            await anyio.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSE_S_MAX)
