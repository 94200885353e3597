"""The control plane of a simulated cluster: members that take the office in turn, each with its own way to the one Barn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import anyio

from runink.actors.desk import Desk
from runink.actors.office import TERM_ALONE_S, TERM_S, NewClient, Office, Reached, Seat
from runink.actors.runs import RunController
from runink.actors.scheduler import Scheduler
from runink.actors.schedules import ScheduleKeeper
from runink.actors.vigil import Acting, NodeVigil
from runink.barn.commands import Compare
from runink.clients.barn import BarnClient
from runink.clients.cluster import RUNS
from runink.clients.fenced import FencedBarn
from runink.errors import LinkLost
from runink.runtime.actor import Actor
from runink.runtime.ref import LocalRef
from runink.runtime.supervisor import Supervisor
from runink.testing.disk import in_loop
from runink.testing.links import Link, Way
from runink.testing.lives import Lives, now_ms

SCHEDULER: Final = "scheduler"
KEEPER: Final = "keeper"
VIGIL: Final = "vigil"


class SimulatedMember:
    """A member. `desk` is what people and agents ask, `inner` what the other members do."""

    def __init__(self, name: str, plane: ControlPlane) -> None:
        self.name = name
        self.link = Link(plane.barn)
        self.seat = Seat()
        self.desk: LocalRef[Any]
        self.inner: LocalRef[Any]
        self.is_there = False
        self._plane = plane
        self._supervisor: Supervisor

    async def start(self, lives: Lives) -> None:
        self._supervisor = lives.supervisor
        self.desk = await lives.start(f"desk-{self.name}", lambda: Desk(self.seat))
        self.inner = await lives.start(f"inner-{self.name}", lambda: Desk(self.seat, is_inner=True))
        await self._begin()

    async def away(self, seconds: float, *, is_killed: bool) -> None:
        """Be gone for so long; one that is killed leaves its office under its lease."""
        if not self.is_there:
            return
        self.is_there = False
        if is_killed:
            self.link.way = Way.LOSES_REQUESTS
        await self._supervisor.stop(f"office-{self.name}")
        await anyio.sleep(seconds)
        self.link.way = Way.OPEN
        await self._begin()

    async def _begin(self) -> None:
        self.is_there = True
        lives = Lives(self._supervisor, self._plane.refs)
        await lives.start(f"office-{self.name}", self._office)

    def _office(self) -> Actor[Any]:
        plane = self._plane
        return Office(
            BarnClient(self.link, new_id=plane.new_id),
            self.seat,
            member=self.name,
            begin=self._act,
            reach=plane.reach,
            fenced=self._fenced,
            now_ms=now_ms,
            term_s=TERM_S if len(plane.members) > 1 else TERM_ALONE_S,
        )

    def _fenced(self, fence: Compare) -> FencedBarn:
        return FencedBarn(self.link, fence, new_id=self._plane.new_id)

    async def _act(self, supervisor: Supervisor, client: NewClient) -> Acting:
        self._plane.overlaps += [(other, self.name) for other in self._plane.acting()]
        lives = Lives(supervisor, self._plane.refs)
        make_runs = partial(RunController, session=self._plane.session, now_ms=now_ms)
        runs = await lives.start(RUNS, lambda: make_runs(client()))
        vigil = await lives.start(VIGIL, lambda: NodeVigil(client(), now_ms=now_ms))
        await lives.start(SCHEDULER, lambda: Scheduler(client(), now_ms=now_ms))
        keep = partial(ScheduleKeeper, now_ms=now_ms, offload=in_loop)
        await lives.start(KEEPER, lambda: keep(client()))
        return Acting(runs, vigil)


class ControlPlane:
    """The members by name. `refs` are actors by address, those that act under the names that they have at each member.

    `overlaps` are pairs of members of which the second began to act before the first had stopped: there are to be none.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        *,
        barn: LocalRef[Any],
        refs: dict[str, LocalRef[Any]],
        session: str,
        new_id: Callable[[], str],
    ) -> None:
        self.barn = barn
        self.refs = refs
        self.session = session
        self.new_id = new_id
        self.overlaps: list[tuple[str, str]] = []
        self.members = {name: SimulatedMember(name, self) for name in names}

    def acting(self) -> list[str]:
        """Return who believes to have the office."""
        return [name for name, member in self.members.items() if member.seat.is_here]

    @asynccontextmanager
    async def reach(self, name: str) -> AsyncIterator[Reached]:
        member = self.members[name]
        if not member.is_there or member.link.way is not Way.OPEN:
            raise LinkLost(f"{name} is not to be reached")
        yield Reached(member.inner, anyio.sleep_forever)
