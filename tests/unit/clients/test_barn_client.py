"""The client of the Barn: an answer that is lost is asked for again under the same number, and what is not known is said to be unknown."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from itertools import count
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio.testing
from msgspec import Struct
from runink.barn.commands import Applied, Declined
from runink.barn.history import Watched
from runink.barn.keyvalue import Change, KeyValue, Page
from runink.clients.barn import WITHIN_S, BarnClient, Transaction, decode_value
from runink.clients.barn_requests import Pages, Propose
from runink.errors import (
    Broken,
    LinkLost,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    Refused,
    RuninkError,
    TimedOut,
    Unavailable,
)

pytestmark = pytest.mark.trio


class ScriptedBarn:
    """Answers what a test says, in order, the last for ever, and remembers what was asked."""

    address = "barn"

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.asked: list[Any] = []

    async def ask(self, request: Any, *, within: float) -> Any:
        await anyio.lowlevel.checkpoint()
        self.asked.append(request)
        said = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if said == "silence":
            await anyio.sleep(within)
            raise TimedOut("no answer")
        if isinstance(said, RuninkError):
            raise said
        return said

    @property
    def numbers(self) -> list[tuple[str, int]]:
        return [(one.client, one.sequence) for one in self.asked if isinstance(one, Propose)]


def client_of(barn: ScriptedBarn) -> BarnClient:
    ids = count(1)
    return BarnClient(barn, new_id=lambda: f"c{next(ids)}")


LOST = LinkLost("the link broke")
DISK_FULL = Unavailable("no room", code="disk_full")
STOPPING = Unavailable("it stops", code="stopping")
EXPIRED = Declined("client_expired", "who are you?")


async def test_a_lost_answer_is_asked_for_again_under_the_same_number(
    autojump_clock: trio.testing.MockClock,
) -> None:
    barn = ScriptedBarn(LOST, OutcomeUnknown("crashed"), "silence", Applied(7))
    client = BarnClient(barn, within_s=60.0, new_id=lambda: "c1")
    barn.script[2] = LOST
    assert await client.put("/a", 1) == 7
    assert barn.numbers == [("c1", 1)] * 4
    assert await client.put("/a", 2) == 7
    assert barn.numbers[-1] == ("c1", 2)


async def test_when_no_answer_comes_in_time_the_outcome_is_unknown(
    autojump_clock: trio.testing.MockClock,
) -> None:
    barn = ScriptedBarn("silence")
    began_s = anyio.current_time()
    with pytest.raises(OutcomeUnknown):
        await client_of(barn).put("/a", 1)
    assert anyio.current_time() - began_s == pytest.approx(WITHIN_S)


@pytest.mark.parametrize("error", [DISK_FULL, STOPPING])
async def test_what_was_surely_not_applied_is_told_as_it_is_and_at_once(
    error: Unavailable, autojump_clock: trio.testing.MockClock
) -> None:
    barn = ScriptedBarn(error)
    began_s = anyio.current_time()
    with pytest.raises(Unavailable) as raised:
        await client_of(barn).put("/a", 1)
    assert raised.value is error
    assert len(barn.asked) == 1
    assert anyio.current_time() == began_s


async def test_a_full_disk_behind_a_lost_answer_proves_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The first copy may have been applied before the disk was full: it is asked again, to its end."""
    barn = ScriptedBarn(LOST, DISK_FULL)
    with pytest.raises(OutcomeUnknown):
        await client_of(barn).put("/a", 1)
    assert len(set(barn.numbers)) == 1
    assert len(barn.asked) > 2


async def test_a_busy_barn_is_asked_again_and_if_it_stays_busy_nothing_took_place(
    autojump_clock: trio.testing.MockClock,
) -> None:
    barn = ScriptedBarn(Overloaded("busy"), Overloaded("busy"), Applied(3))
    assert await client_of(barn).put("/a", 1) == 3
    barn = ScriptedBarn(Overloaded("busy"))
    with pytest.raises(Overloaded):
        await client_of(barn).put("/a", 1)


async def test_a_forgotten_client_takes_a_new_id_if_nothing_can_have_arrived() -> None:
    barn = ScriptedBarn(EXPIRED, Applied(3))
    client = client_of(barn)
    assert await client.put("/a", 1) == 3
    assert barn.numbers == [("c1", 1), ("c2", 1)]
    await client.put("/a", 2)
    assert barn.numbers[-1] == ("c2", 2)


async def test_a_client_forgotten_behind_a_lost_answer_does_not_know_the_outcome(
    autojump_clock: trio.testing.MockClock,
) -> None:
    barn = ScriptedBarn(LOST, EXPIRED)
    with pytest.raises(OutcomeUnknown):
        await client_of(barn).put("/a", 1)


async def test_a_client_forgotten_twice_in_a_row_gives_up() -> None:
    barn = ScriptedBarn(EXPIRED)
    with pytest.raises(OutcomeUnknown):
        await client_of(barn).put("/a", 1)
    assert len(barn.asked) == 2


async def test_tasks_of_a_forgotten_client_take_one_new_id_together() -> None:
    barn = ScriptedBarn(EXPIRED, EXPIRED, Applied(3))
    client = client_of(barn)
    async with anyio.create_task_group() as group:
        group.start_soon(client.put, "/a", 1)
        group.start_soon(client.put, "/b", 1)
    assert sorted(barn.numbers[2:]) == [("c2", 1), ("c2", 2)]


@pytest.mark.parametrize(
    ("declined", "kind"),
    [
        (Declined("lease_not_found", "gone"), NotFound),
        (Declined("future_revision", "later"), Refused),
        (Declined("sequence_expired", "old"), OutcomeUnknown),
    ],
)
async def test_a_declined_command_is_an_error_that_says_why(
    declined: Declined, kind: type[RuninkError]
) -> None:
    with pytest.raises(kind) as raised:
        await client_of(ScriptedBarn(declined)).put("/a", 1)
    assert raised.value.text == declined.text


async def test_a_transaction_that_did_not_take_place_names_the_keys() -> None:
    barn = ScriptedBarn(Applied(5, succeeded=False, failed=(1,)))
    transaction = Transaction().if_absent("/a").if_revision("/b", 3).put("/a", 1)
    committed = await client_of(barn).commit(transaction)
    assert (committed.succeeded, committed.failed) == (False, ("/b",))


async def test_a_watch_goes_on_behind_a_lost_link_where_it_was(
    autojump_clock: trio.testing.MockClock,
) -> None:
    one, two = (Change(number, "/a", None) for number in (1, 2))
    barn = ScriptedBarn(Watched((one,), 1), LOST, LOST, Watched((), 1), Watched((two,), 2))
    seen: list[int] = []
    async with aclosing(client_of(barn).watch("/a", after_revision=0)) as changes:
        async for watched in changes:
            seen.append(watched.revision)
            if len(seen) == 2:
                break
    assert seen == [1, 2]
    assert [one.after_revision for one in barn.asked] == [0, 1, 1, 1, 1]


async def test_a_watch_that_was_away_for_too_long_is_told_so() -> None:
    barn = ScriptedBarn(Refused("gone", code="compacted"))
    async with aclosing(client_of(barn).watch("/a", after_revision=0)) as changes:
        with pytest.raises(Refused):
            await anext(changes)


@pytest.mark.parametrize(
    "read",
    [
        lambda client: client.get("/a", int),
        lambda client: client.range("/a", int),
    ],
)
async def test_a_value_of_another_kind_is_told_with_its_key(
    read: Callable[[BarnClient], Any],
) -> None:
    item = KeyValue("/a", b'"text"', 1, 1, 1)
    barn = ScriptedBarn(Pages((Page((item,), 1, 1),), 1))
    with pytest.raises(Broken, match="/a"):
        await read(client_of(barn))
    assert decode_value(item, str).value == "text"


async def test_who_reads_the_same_value_has_the_same_record_and_of_another_kind_another() -> None:
    class One(Struct, frozen=True):
        name: str

    class Other(Struct, frozen=True):
        name: str

    class Changing(Struct):
        name: str

    value = b'{"name":"a"}'
    first, second = (decode_value(KeyValue(key, value, 1, 1, 1), One) for key in ("/a", "/b"))
    assert first.value == One("a")
    assert first.value is second.value
    assert (first.key, second.key) == ("/a", "/b")
    assert decode_value(KeyValue("/a", value, 1, 1, 1), Other).value == Other("a")
    both = [decode_value(KeyValue("/a", value, 1, 1, 1), Changing).value for _ in range(2)]
    assert both[0] == both[1]
    assert both[0] is not both[1], "one that can be changed is nobody else's"
