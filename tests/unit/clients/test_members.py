"""A client of several members: who is asked, and what happens when members go."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from runink.barn.commands import Applied, Put
from runink.barn.history import Watched
from runink.clients.barn_requests import BarnStatus, Propose, Read, Status, WatchFrom
from runink.clients.members import LOOK_S, PAUSE_S_MAX, Members, reaching
from runink.errors import Forbidden, LinkLost
from trio.testing import MockClock

pytestmark = pytest.mark.anyio
PUT = Propose("c", 1, Put("/a", b""))


class FakeMember:
    """A member that says who leads, and counts what it was asked."""

    address = "member"

    def __init__(self, number: int, group: list[FakeMember]) -> None:
        self.number = number
        self.is_up = True
        self.is_cut = False  # from the others
        self.refuses: Forbidden | None = None
        self.asked: list[str] = []
        self._group = group

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Any]:
        if not self.is_up:
            raise LinkLost("nobody listens")
        if self.refuses is not None:
            raise self.refuses
        yield self

    async def ask(self, request: Any, *, within: float) -> Any:
        assert within > 0
        if not self.is_up:
            raise LinkLost("it is gone")
        if isinstance(request, Status):
            lead = next((one.number for one in self._group if one.is_up), 0)
            return BarnStatus(*[0] * 13, member=self.number, lead=0 if self.is_cut else lead)
        self.asked.append(type(request).__name__)
        if isinstance(request, WatchFrom):
            with anyio.fail_after(within):
                await anyio.sleep(request.wait_s)
            return Watched((), request.after_revision)
        return Applied(1)

    async def tell(self, message: Any) -> None:
        raise NotImplementedError

    def flush(self) -> None:
        """Do nothing: it is there."""

    def tell_nowait(self, message: Any) -> None:
        raise NotImplementedError


@pytest.fixture(
    params=[pytest.param(("trio", {"clock": MockClock(autojump_threshold=0)}), id="trio")]
)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@asynccontextmanager
async def three() -> AsyncIterator[tuple[list[FakeMember], Members]]:
    group: list[FakeMember] = []
    group += [FakeMember(number, group) for number in (1, 2, 3)]
    async with reaching({one.number: one.connected for one in group}) as members:
        await anyio.sleep(LOOK_S / 2)
        yield group, members


async def test_writes_go_to_the_leader_and_reads_to_the_members_in_turn():
    async with three() as (group, members):
        for _ in range(6):
            await members.ask(PUT, within=1.0)
            await members.ask(Read(()), within=1.0)
    assert [one.asked.count("Propose") for one in group] == [6, 0, 0]
    assert [one.asked.count("Read") for one in group] == [2, 2, 2]


async def test_when_the_leader_is_gone_the_next_one_is_found():
    async with three() as (group, members):
        group[0].is_up = False
        with pytest.raises(LinkLost):
            await members.ask(PUT, within=1.0)
        await anyio.sleep(2 * LOOK_S)
        await members.ask(PUT, within=1.0)
        assert members.lead == 2
        assert members.connected == {2, 3}
    assert group[1].asked == ["Propose"]


async def test_a_member_that_comes_back_is_asked_again():
    async with three() as (group, members):
        group[2].is_up = False
        await anyio.sleep(2 * LOOK_S)
        assert members.connected == {1, 2}
        group[2].is_up = True
        await anyio.sleep(2 * PAUSE_S_MAX)
        assert members.connected == {1, 2, 3}


async def test_what_is_asked_while_nobody_is_there_waits_for_the_first_and_not_for_ever():
    async with three() as (group, members):
        for one in group:
            one.is_up = False
        await anyio.sleep(2 * LOOK_S)
        with pytest.raises(LinkLost):
            await members.ask(PUT, within=1.0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: members.ask(PUT, within=60.0))
            await anyio.sleep(1.0)
            group[1].is_up = True
    assert group[1].asked == ["Propose"]


async def test_a_read_that_a_member_does_not_answer_is_asked_of_another():
    async with three() as (group, members):
        group[1].is_up = False
        for _ in range(6):
            assert await members.ask(Read(()), within=5.0) == Applied(1)
    assert group[1].asked == []


async def test_a_watch_that_sees_nothing_waits_for_all_of_its_time_at_one_member():
    async with three() as (group, members):
        began_s = anyio.current_time()
        watched = await members.ask(WatchFrom(("/",), 7, wait_s=30.0), within=35.0)
        assert watched == Watched((), 7)
        assert anyio.current_time() - began_s == pytest.approx(30.0)
    assert sum(one.asked.count("WatchFrom") for one in group) == 1


async def test_a_member_that_knows_of_no_leader_is_asked_only_if_there_is_no_other():
    async with three() as (group, members):
        group[1].is_cut = True
        await anyio.sleep(2 * LOOK_S)
        for _ in range(6):
            await members.ask(Read(()), within=5.0)
        assert [one.asked.count("Read") for one in group] == [3, 0, 3]
        group[0].is_cut = group[2].is_cut = True
        await anyio.sleep(2 * LOOK_S)
        for _ in range(6):
            await members.ask(Read(()), within=5.0)
        assert [one.asked.count("Read") for one in group] == [5, 2, 5]


async def test_who_is_refused_by_a_member_and_connected_to_none_is_told_at_once():
    group: list[FakeMember] = []
    group += [FakeMember(number, group) for number in (1, 2)]
    group[0].is_up = False
    group[1].refuses = Forbidden("not with this secret", code="wrong_secret")
    async with reaching({one.number: one.connected for one in group}) as members:
        began_s = anyio.current_time()
        with pytest.raises(Forbidden, match="not with this secret"):
            await members.wait_admitted(began_s + 15.0)
        assert anyio.current_time() - began_s < 1.0


async def test_one_that_refuses_harms_nobody_whom_another_admits():
    group: list[FakeMember] = []
    group += [FakeMember(number, group) for number in (1, 2)]
    group[0].refuses = Forbidden("not with this secret", code="wrong_secret")
    async with reaching({one.number: one.connected for one in group}) as members:
        await members.wait_admitted(anyio.current_time() + 15.0)
        assert members.connected == {2}


async def test_who_reaches_nobody_waits_for_its_time():
    group: list[FakeMember] = []
    group.append(FakeMember(1, group))
    group[0].is_up = False
    async with reaching({1: group[0].connected}) as members:
        began_s = anyio.current_time()
        with pytest.raises(LinkLost, match="nobody listens"):
            await members.wait_admitted(began_s + 15.0)
        assert anyio.current_time() - began_s >= 15.0


async def test_a_member_that_lets_us_in_no_more_is_told_of_once(caplog: pytest.LogCaptureFixture):
    group: list[FakeMember] = []
    group.append(FakeMember(1, group))
    async with reaching({1: group[0].connected}) as members:
        await members.wait_admitted(anyio.current_time() + 15.0)
        group[0].refuses = Forbidden("agent w1 is revoked: laptop lost", code="node_revoked")
        members.connect_anew()
        with pytest.raises(LinkLost, match="laptop lost"):
            await _until_lost(members)
    (record,) = [one for one in caplog.records if one.message == "a member does not let us in"]
    assert record.__dict__["code"] == "node_revoked"


async def _until_lost(members: Members) -> None:
    """Ask until nobody is connected for a while, which is when it is refused again and again."""
    while True:
        await members.wait_connected(anyio.current_time() + 10.0)
        await anyio.sleep(1.0)
