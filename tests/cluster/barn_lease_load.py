"""Clients that live by leases, while things happen to the members: what they were answered and when, for `runink.testing.lease_lives` to judge.

    leavers    grant a lease, attach keys, renew it some times or never, and forget it
    keepers    the same, and renew it to the end; if it ends all the same, because nobody took their renewals in time, they begin anew
    watchers   see all the keys that are attached

`LeaseLoad.run` works until `is_over`; before that, `outlived` waits until all leases that were left alone are gone.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Final

import anyio
from barn_group import POLL_S, WAIT_S, BarnGroup
from runink.actors.group import TICK_S as RAFT_TICK_S
from runink.barn.commands import GrantLease, KeepAlive, Put
from runink.barn.keyvalue import Change
from runink.barn.leases import AGAIN_S, LATE_S, TICK_S
from runink.barn.pending import RETRY_TICKS
from runink.clients.barn import BarnClient
from runink.clients.barn_requests import Leases
from runink.errors import NotFound, RuninkError
from runink.testing.lease_lives import LeaseLife, Moment, check_leases

LEAVERS: Final = 4
KEEPERS: Final = 2
TTL_S_MIN: Final = 1.0
TTL_S_MAX: Final = 4.0  # beyond it a lease is none of ours
LASTS_S: Final = TTL_S_MAX + TICK_S + LATE_S + AGAIN_S  # with one leader that is never late
AGAIN_PROPOSED_S: Final = RETRY_TICKS * RAFT_TICK_S  # a member does so with what is not applied
RENEWALS_MAX: Final = 10  # of a lease that is left alone then
KEYS_MAX: Final = 3
PART: Final = 4  # renewals come as often in a time to live
WITHIN_S: Final = 2.0  # for one answer: a renewal that is late is asked for again
PREFIX: Final = "/leased/"
LAST: Final = "/leased/last"  # the watches end with it


@dataclass
class LeaseLoad:
    """Leases of a group. Everything random comes from the seed."""

    group: BarnGroup
    seed: int
    lives: list[LeaseLife] = field(default_factory=list)
    watched: list[list[Change]] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    refusals: dict[str, int] = field(default_factory=dict)
    is_leaving: bool = False  # no lease is granted any more, and only the keepers' are renewed
    is_over: bool = False
    _given_up_s: float = 0.0  # when a client last gave up: its command may yet take effect

    async def run(self, watchers: int = 2) -> None:
        """Work until `is_over`, then let the watchers come to the end."""
        async with anyio.create_task_group() as watching:
            for number in range(watchers):
                self.watched.append([])
                watching.start_soon(self._watch, number)
            async with anyio.create_task_group() as working:
                for number in range(LEAVERS + KEEPERS):
                    working.start_soon(self._live, number)
            async with self.group.client(within_s=WAIT_S) as barn:
                await barn.put(LAST, b"")

    async def _live(self, number: int) -> None:
        random = Random(f"leases {self.seed} {number}")
        is_keeper = number >= LEAVERS
        async with self.group.client(within_s=WITHIN_S) as barn:
            for turn in count():  # ends with the load
                if self.is_leaving:
                    return
                life = await self._granted(barn, random.uniform(TTL_S_MIN, TTL_S_MAX))
                if life is None:
                    continue
                key = f"{PREFIX}{number}/{turn:04}/"
                for part in range(random.randint(1, KEYS_MAX)):
                    await self._attach(barn, life, f"{key}{part}")
                if is_keeper:
                    life.is_kept = True
                    await self._keep(barn, life, key)
                else:
                    await self._keep(barn, life, key, random.randint(0, RENEWALS_MAX))

    async def _granted(self, barn: BarnClient, ttl_s: float) -> LeaseLife | None:
        ttl_ms = round(ttl_s * 1000)
        began = time.monotonic()
        try:
            answer = await barn.propose(GrantLease(ttl_ms))
        except RuninkError as error:
            self._refused(error)
            return None
        life = LeaseLife(answer.lease, ttl_ms / 1000, [self._moment(began, answer.revision)])
        self.lives.append(life)
        return life

    async def _attach(self, barn: BarnClient, life: LeaseLife, key: str) -> None:
        if life.refused_at is not None:
            return
        life.keys[key] = None
        began = time.monotonic()
        try:
            answer = await barn.propose(Put(key, b"", life.lease))
        except NotFound:
            del life.keys[key]
            life.refused_at = time.monotonic()
        except RuninkError as error:
            self._refused(error)
        else:
            life.keys[key] = self._moment(began, answer.revision).revision

    async def _keep(
        self, barn: BarnClient, life: LeaseLife, key: str, renewals: int | None = None
    ) -> None:
        """Renew a lease so many times, or to the end, and give it another key on the way."""
        for number in count():  # ends with the load, if not before
            is_enough = self.is_over if renewals is None else self.is_leaving or number >= renewals
            if is_enough or life.refused_at is not None:
                return
            await anyio.sleep(life.ttl_s / PART)
            began = time.monotonic()
            try:
                answer = await barn.propose(KeepAlive(life.lease))
            except NotFound:
                life.refused_at = time.monotonic()
            except RuninkError as error:
                self._refused(error)
            else:
                life.renewals.append(self._moment(began, answer.revision))
            if number == 1:
                await self._attach(barn, life, f"{key}late")

    def _moment(self, began: float, revision: int) -> Moment:
        moment = Moment(began, time.monotonic(), revision)
        self.moments.append(moment)
        return moment

    def _refused(self, error: RuninkError) -> None:
        self._given_up_s = time.monotonic()
        self.refusals[error.code] = self.refusals.get(error.code, 0) + 1

    async def _watch(self, number: int) -> None:
        seat = number % len(self.group.members) if number % 2 else None
        async with (
            self.group.client(seat=seat) as barn,
            aclosing(barn.watch(PREFIX, after_revision=0)) as answers,
        ):
            async for answer in answers:
                self.watched[number] += answer.changes
                if any(change.key == LAST for change in answer.changes):
                    return

    # The end.

    async def outlived(self) -> None:
        """Wait until every lease that was left alone is gone; not for longer than it may last.

        That begins anew with every new leader, with the last answer that a client had, and when what it gave up may be proposed once more.
        It goes on for as long as the leader stands still, which shows in answers that are late.
        """
        self.is_leaving = True
        began = calm = time.monotonic()
        last_term = 0
        while True:  # ends when they are gone, or it has taken too long
            asked = time.monotonic()
            term, left = await self._left()
            now = time.monotonic()
            if term != last_term or now - asked > LATE_S:
                calm = now
            last_term = term
            calm = max(calm, self._given_up_s + AGAIN_PROPOSED_S, self._last_of_left())
            if term and not left:
                return
            if now - calm > LASTS_S or now - began > WAIT_S:
                self.findings.append(
                    f"nobody renews leases {left}, and {now - calm:.1f} s later they are there"
                )
                return
            await anyio.sleep(POLL_S)

    def _last_of_left(self) -> float:
        """Return when the last grant or renewal of a lease that is left alone was acknowledged."""
        left = (life.renewals[-1].ended for life in self.lives if not life.is_kept)
        return max(left, default=0.0)

    async def _left(self) -> tuple[int, list[int]]:
        """Return the leader's term, 0 if it is not known, and the leases that are there and should not be."""
        kept = {life.lease for life in self.lives if life.is_kept and life.refused_at is None}
        try:
            async with self.group.connect(await self.group.leader()) as ref:
                barn = BarnClient(ref, within_s=WITHIN_S)
                await barn.range(
                    PREFIX, bytes
                )  # it shows all that was committed before, and so do its leases
                leases = (await barn.ask(Leases())).leases
                term = (await barn.status()).term
        except RuninkError:
            return 0, []
        ours = [one.lease for one in leases if one.ttl_ms <= TTL_S_MAX * 1000]
        return term, [lease for lease in ours if lease not in kept]

    def judge(self, moments: Iterable[Moment] = ()) -> list[str]:
        """Return everything that is wrong, for people. `moments` are answers that others were given."""
        findings = list(self.findings)
        first = self.watched[0]
        findings += self._judge_watches(first)
        attached = [change for change in first if change.key != LAST]
        return findings + check_leases(self.lives, attached, (*self.moments, *moments))

    def _judge_watches(self, first: list[Change]) -> Iterator[str]:
        for number, other in enumerate(self.watched[1:], 1):
            if other != first:
                yield f"lease watcher {number} saw {len(other)} changes, lease watcher 0 {len(first)}"
        revisions = [change.revision for change in first]
        if revisions != sorted(revisions):
            yield "a watch of leased keys shows changes out of order"

    def lapsed(self) -> int:
        """Return how many of the keepers' leases ended all the same."""
        return sum(life.is_kept and life.refused_at is not None for life in self.lives)
