"""Who runs a Barn's group while things happen to it: takes members in, lets others go, hands the leadership about, as `runi cluster` does.

    hire       room is made for a member under a new number; it is added as a learner and started with --join
    promote    when it has caught up, by a snapshot and what came since; until then the leader refuses
    transfer   sometimes another one leads first
    remove     a voter is let go, every other time the leader; it runs on for a moment and knows of nothing, then it is stopped

A change may be refused, or its outcome be unknown: then it is looked, at a member that shows all that was committed before, and asked for again.  After each
round the group has the size that it began with.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random
from typing import Final

import anyio
from barn_faults import Faults
from barn_group import WAIT_S, BarnGroup, until
from runink.barn.keyvalue import one_key
from runink.clients.barn import BarnClient
from runink.clients.membership import Membership, MembershipAdmin
from runink.errors import RuninkError

ASK_S: Final = 5.0  # for one change
LOOK_S: Final = 2.0
REST_S: Final = 3.0  # at most, between two rounds
RUN_ON_S: Final = 1.5  # at most, of a member that was removed
PAUSE_S: Final = 0.1


class Operator:
    """Changes of a group's membership, beside its faults. `refusals` counts what was refused, `joined` says behind which entry each new member's snapshot stood."""

    def __init__(self, group: BarnGroup, seed: int, faults: Faults) -> None:
        self.refusals: dict[str, int] = {}
        self.joined: list[int] = []
        self.removed: list[int] = []
        self._group = group
        self._faults = faults
        self._random = Random(f"operator {seed}")
        self._size = len(group.members)

    async def run(self, seconds: float) -> None:
        """Begin rounds for so long, and bring the last one to its end."""
        deadline_s = time.monotonic() + seconds
        while time.monotonic() < deadline_s:
            await self._round()
            await anyio.sleep(self._random.uniform(0, REST_S))

    async def _round(self) -> None:
        newcomer = await self._take_in()
        await self._make(
            partial(self._admin, lambda admin: admin.promote(newcomer)),
            lambda known: newcomer in known.status.voters,
            f"promote {newcomer}",
        )
        known = await until(partial(self._known_of, newcomer), f"word of member {newcomer}")
        self.joined.append(known.status.snapshot_index)
        leaver = await self._leaver(newcomer)
        self._group.leaving.add(leaver)
        await self._make(
            partial(self._admin, lambda admin: admin.remove(leaver)),
            lambda known: leaver not in {*known.members, *known.addresses},
            f"remove {leaver}",
        )
        await anyio.sleep(self._random.uniform(0, RUN_ON_S))
        async with self._faults.hands:
            self._faults.look_for_failures()
            code = await self._group.retire(leaver)
        if code:
            self._faults.findings.append(f"member {leaver} was removed, and ended with {code}")
        self.removed.append(leaver)

    async def _take_in(self) -> int:
        newcomer = await self._group.hire()
        place = self._group.place(newcomer)
        await self._make(
            partial(self._admin, lambda admin: admin.add(newcomer, place)),
            lambda known: newcomer in known.members,
            f"add {newcomer}",
        )
        self._group.start(newcomer)
        return newcomer

    async def _leaver(self, newcomer: int) -> int:
        others = [member for member in self._group.members if member != newcomer]
        if self._random.random() < 0.3:
            successor = self._random.choice(self._group.members)
            self._faults.note(f"have {successor} lead")
            await self._admin(lambda admin: admin.transfer(successor))
        if self._random.random() < 0.5:
            lead = (await until(self._look, "word of the group")).status.lead
            if lead in others:
                return lead
        return self._random.choice(others)

    async def _make(
        self,
        change: Callable[[], Awaitable[None]],
        is_made: Callable[[Membership], bool],
        what: str,
    ) -> None:
        """Ask for a change until it is made."""
        self._faults.note(what)
        deadline_s = time.monotonic() + WAIT_S
        while True:  # ends when it is made, or with an error
            await change()
            if is_made(await until(self._look, "word of the group")):
                self._faults.note(f"{what}: done")
                return
            assert time.monotonic() < deadline_s, f"in {WAIT_S:g} s nobody could {what}"
            await anyio.sleep(PAUSE_S)

    async def _admin(self, change: Callable[[MembershipAdmin], Awaitable[None]]) -> None:
        async with self._group.client(within_s=ASK_S) as barn:
            try:
                await change(MembershipAdmin(barn))
            except RuninkError as error:
                self.refusals[error.code] = self.refusals.get(error.code, 0) + 1

    async def _look(self) -> Membership:
        """Return the group as some member that is up to date knows it."""
        stay = [one for one in self._group.members if one not in self._group.leaving]
        return await self._known_of(self._random.choice(stay))

    async def _known_of(self, member: int) -> Membership:
        async with self._group.connect(member) as ref:
            barn = BarnClient(ref, within_s=LOOK_S)
            await barn.read(one_key("/"))  # shows all that was committed before, members too
            return await MembershipAdmin(barn).look()

    async def judge(self) -> list[str]:
        """Return what is wrong with the group in the end, when nothing happens any more."""
        findings = []
        expected = tuple(sorted(self._group.members))
        if len(expected) != self._size:
            findings.append(f"a group of {self._size} members ends as {expected}")
        for member in expected:
            known = await until(partial(self._known_of, member), f"word of member {member}")
            if tuple(sorted(known.status.voters)) != expected or known.status.learners:
                findings.append(
                    f"member {member} knows voters {known.status.voters} and learners {known.status.learners}, not {expected}"
                )
        places = {member: self._group.place(member) for member in expected}
        if known.addresses != places:
            findings.append(f"the Barn says that members listen at {known.addresses}, not {places}")
        findings += [
            f"a member that joined had no snapshot but one up to entry {index}"
            for index in self.joined
            if index <= 1
        ]
        return findings
