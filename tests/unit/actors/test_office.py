"""Who acts for the cluster, in virtual time: three members of one control plane, each with its own way to the Barn, which the test cuts."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
import trio.testing
from runink.actors.barn import Barn
from runink.actors.desk import HAND_S, NOBODY, Desk
from runink.actors.office import CONTROL_KEY, TERM_S, Holder, Office, Reached, Seat
from runink.actors.runs import RunController
from runink.actors.scheduler import Scheduler
from runink.barn.commands import Compare
from runink.barn.keys import SLICES, node_key
from runink.clients.barn import WITHIN_S, BarnClient, Transaction
from runink.clients.cluster import Cluster
from runink.clients.fenced import FencedBarn
from runink.clients.run_requests import Cancel, Submit
from runink.dag import Resources
from runink.errors import Unavailable
from runink.herds.record import HerdRecord
from runink.names import BundleHash, HerdName, NodeId, RunId, run_id
from runink.runs.records import (
    NodeRecord,
    RunState,
    SliceRecord,
    SliceState,
)
from runink.runtime.ref import LocalRef
from runink.runtime.supervisor import ChildSpec, Supervisor, supervise
from runink.testing.disk import FaultyDisk, in_loop
from runink.testing.links import Link, Way
from runink.testing.lives import Crash, CrashingActor, now_ms

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))

from run_world import staged_dag

pytestmark = pytest.mark.trio
HERD = HerdRecord(HerdName("default"))
SOON_S = 0.5


@dataclass
class OneMember:
    """A member: its way to the Barn, its seat, and how often it began to act."""

    name: str
    link: Link
    seat: Seat = field(default_factory=Seat)
    desk: LocalRef[Any] = field(init=False)
    inner: LocalRef[Any] = field(init=False)
    fences: list[Compare] = field(default_factory=list)
    reachable: bool = True

    @property
    def acts(self) -> bool:
        return self.seat.is_here


@dataclass
class Plane:
    """The members of a control plane, and a client of their Barn that nothing cuts off."""

    barn: BarnClient
    supervisor: Supervisor
    members: dict[str, OneMember] = field(default_factory=dict)

    async def start(self, name: str, *, term_s: float = TERM_S) -> OneMember:
        one = self.members[name]

        def fenced(fence: Compare) -> FencedBarn:
            if fence not in one.fences:
                one.fences.append(fence)
            return FencedBarn(one.link, fence)

        async def begin(supervisor: Supervisor, client: Any) -> LocalRef[Any]:
            runs = await supervisor.start(
                ChildSpec(
                    "runs",
                    lambda: CrashingActor(RunController(client(), session="", now_ms=now_ms)),
                )
            )
            await supervisor.start(
                ChildSpec("scheduler", lambda: Scheduler(client(), now_ms=now_ms))
            )
            return runs

        @asynccontextmanager
        async def reach(other: str) -> AsyncIterator[Reached]:
            member = self.members[other]
            if not member.reachable:
                raise Unavailable(f"{other} is not to be reached", code="link_lost")
            yield Reached(member.inner, anyio.sleep_forever)

        def office() -> Office:
            return Office(
                BarnClient(one.link),
                one.seat,
                member=name,
                begin=begin,
                reach=reach,
                fenced=fenced,
                now_ms=now_ms,
                term_s=term_s,
            )

        await self.supervisor.start(ChildSpec(f"office-{name}", office))
        return one

    async def stop(self, name: str) -> None:
        await self.supervisor.stop(f"office-{name}")

    def acting(self) -> list[str]:
        return [name for name, one in self.members.items() if one.acts]

    async def holder(self) -> str:
        found = await self.barn.get(CONTROL_KEY, Holder)
        return "" if found is None else found.value.member


@asynccontextmanager
async def plane(*names: str) -> AsyncIterator[Plane]:
    disk = FaultyDisk()
    async with supervise() as supervisor:
        barn = await supervisor.start(
            ChildSpec("barn", lambda: Barn(lambda: disk, offload=in_loop))
        )
        made = Plane(BarnClient(barn, new_id=lambda: "t"), supervisor)
        for name in names:
            one = made.members[name] = OneMember(name, Link(barn))
            one.desk = await supervisor.start(
                ChildSpec(f"desk-{name}", lambda one=one: Desk(one.seat))
            )
            one.inner = await supervisor.start(
                ChildSpec(f"inner-{name}", lambda one=one: Desk(one.seat, is_inner=True))
            )
        yield made


@asynccontextmanager
async def begun(*names: str, term_s: float = TERM_S) -> AsyncIterator[Plane]:
    """Start the members one after the other, the first one gets the office."""
    async with plane(*names) as made:
        for name in names:
            await made.start(name, term_s=term_s)
            await anyio.sleep(SOON_S)
        yield made


def submission(number: int = 1) -> Submit:
    run = run_id(now_ms=number, entropy=bytes(10))
    return Submit(run, staged_dag("a"), HERD, "/p", BundleHash("b"))


def client_at(made: Plane, name: str) -> Cluster:
    member = made.members[name]
    return Cluster(made.barn, member.desk, member.desk)


async def placed(made: Plane, run: RunId) -> list[SliceRecord]:
    listing = await made.barn.range(SLICES.prefix(HERD.herd, run), SliceRecord)
    return [one.value for one in listing.items if one.value.state is SliceState.PLACED]


async def add_node(made: Plane) -> None:
    node = NodeRecord(NodeId("n1"), Resources(8000, 8 << 30))
    await made.barn.put(node_key(node.node), node)


async def test_one_member_acts_and_all_take_requests(autojump_clock: trio.testing.MockClock):
    async with begun("a", "b", "c") as made:
        assert made.acting() == ["a"]
        await add_node(made)
        for number, name in enumerate("abc", 1):
            record = await client_at(made, name).submit(submission(number))
            assert record.state is RunState.SUBMITTED
            await anyio.sleep(SOON_S)
            assert len(await placed(made, record.run)) == 1


async def test_an_office_that_is_left_goes_to_another_at_once(
    autojump_clock: trio.testing.MockClock,
):
    async with begun("a", "b") as made:
        began_s = anyio.current_time()
        await made.stop("a")
        await made.members["b"].seat.wait_taken()
        assert made.acting() == ["b"]
        assert anyio.current_time() - began_s < SOON_S


@pytest.mark.parametrize("way", [Way.LOSES_REQUESTS, Way.LOSES_ANSWERS])
async def test_a_member_that_is_cut_off_has_stopped_before_another_begins(
    way: Way, autojump_clock: trio.testing.MockClock
):
    async with begun("a", "b") as made:
        made.members["a"].link.way = way
        for _ in range(round(3 * TERM_S / 0.1)):
            await anyio.sleep(0.1)
            assert len(made.acting()) <= 1
            if made.acting() == ["b"]:
                break
        assert made.acting() == ["b"]
        made.members["a"].link.way = Way.OPEN
        await anyio.sleep(3 * TERM_S)
        assert made.acting() == ["b"]
        assert await made.holder() == "b"


async def test_who_believes_to_act_still_changes_nothing(autojump_clock: trio.testing.MockClock):
    async with begun("a", "b") as made:
        before = FencedBarn(made.members["a"].link, made.members["a"].fences[-1])
        assert (await before.commit(Transaction().put("/tests/x", 1))).succeeded
        await made.stop("a")
        await made.members["b"].seat.wait_taken()
        with pytest.raises(Unavailable) as error:
            await before.commit(Transaction().put("/tests/x", 2))
        assert error.value.code == "deposed"
        found = await made.barn.get("/tests/x", int)
        assert found is not None
        assert found.value == 1


async def test_a_fence_does_not_shift_which_conditions_failed(
    autojump_clock: trio.testing.MockClock,
):
    async with begun("a") as made:
        client = FencedBarn(made.members["a"].link, made.members["a"].fences[-1])
        await client.commit(Transaction().put("/tests/x", 1))
        committed = await client.commit(
            Transaction().if_absent("/tests/y").if_absent("/tests/x").put("/tests/y", 2)
        )
        assert committed.failed == ("/tests/x",)


async def test_a_former_life_s_office_is_taken_at_once(autojump_clock: trio.testing.MockClock):
    async with plane("a") as made:
        lease = await made.barn.grant_lease(1000.0)
        await made.barn.put(CONTROL_KEY, Holder("a", 1), lease=lease)
        began_s = anyio.current_time()
        one = await made.start("a")
        await one.seat.wait_taken()
        assert one.acts
        assert anyio.current_time() - began_s < SOON_S


async def test_another_member_s_office_is_not_taken_while_it_lasts(
    autojump_clock: trio.testing.MockClock,
):
    async with plane("a", "b") as made:
        lease = await made.barn.grant_lease(20.0)
        await made.barn.put(CONTROL_KEY, Holder("b", 1), lease=lease)
        one = await made.start("a")
        await anyio.sleep(20.0 - SOON_S)
        assert not one.acts
        await anyio.sleep(2 * SOON_S + 1.0)
        assert one.acts


async def test_what_is_asked_while_nobody_acts_is_answered_by_the_next(
    autojump_clock: trio.testing.MockClock,
):
    async with begun("a", "b") as made:
        made.members["a"].reachable = False
        made.members["a"].link.way = Way.LOSES_REQUESTS
        while made.members["a"].acts:
            await made.members["a"].seat.changed.wait()
        assert made.acting() == []
        record = await client_at(made, "b").submit(submission())
        assert record.state is RunState.SUBMITTED
        assert made.acting() == ["b"]


async def test_who_asks_for_too_long_is_told_that_nobody_acts(
    autojump_clock: trio.testing.MockClock,
):
    async with plane("a") as made:
        began_s = anyio.current_time()
        with pytest.raises(Unavailable) as error:
            await made.members["a"].desk.ask(Cancel(RunId("0" * 26)), within=2 * HAND_S)
        assert error.value.code == NOBODY
        assert anyio.current_time() - began_s == pytest.approx(HAND_S, abs=1.0)


async def test_a_desk_hands_nothing_on_for_another(autojump_clock: trio.testing.MockClock):
    async with begun("a", "b") as made:
        with pytest.raises(Unavailable) as error:
            await made.members["b"].inner.ask(Cancel(RunId("0" * 26)), within=5.0)
        assert error.value.code == NOBODY


async def test_a_renewal_keeps_the_office_for_as_long_as_the_member_lives(
    autojump_clock: trio.testing.MockClock,
):
    async with begun("a", "b") as made:
        found = await made.barn.get(CONTROL_KEY, Holder)
        assert found is not None
        await anyio.sleep(20 * TERM_S)
        again = await made.barn.get(CONTROL_KEY, Holder)
        assert again is not None
        assert again.revision == found.revision


async def test_an_office_whose_key_somebody_deletes_is_lost_and_taken_again(
    autojump_clock: trio.testing.MockClock,
):
    async with begun("a") as made:
        await made.barn.delete(CONTROL_KEY)
        await anyio.sleep(SOON_S)
        assert made.acting() == ["a"]
        assert len(made.members["a"].fences) == 2
        await add_node(made)
        record = await client_at(made, "a").submit(submission())
        await anyio.sleep(SOON_S)
        assert len(await placed(made, record.run)) == 1


async def test_a_member_that_stops_while_what_acts_cannot_begin_again_ends_without_an_error(
    autojump_clock: trio.testing.MockClock,
):
    async with begun("a", term_s=1000.0) as made:
        member = made.members["a"]
        assert member.seat.runs is not None
        member.link.way = Way.LOSES_REQUESTS
        await member.seat.runs.tell(Crash())
        await anyio.sleep(WITHIN_S - 1.0)
        await made.stop("a")  # what its next life has asked is not answered, and that comes out now
        assert made.acting() == []
