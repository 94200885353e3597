"""Streams part by part: what is given when, to whom it is given again, and how little waits for a slow reader."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec
import pytest
from runink.clients.api_requests import Part
from runink.errors import Broken, Conflict, Forbidden, NotFound, Overloaded, Refused, RuninkError
from runink.identity.principals import Principal, PrincipalKind
from runink.operations.answers import Bookmark, Content, Event
from runink.runtime.actor import Envelope, Later
from runink.services.feeds import PART_BYTES, PART_EVENTS, SILENT_S, Feed, source_of
from runink.services.parties import Party
from runink.services.streams import IDLE_S, STREAMS_MAX, STREAMS_OF_PRINCIPAL, OpenStreams

pytestmark = pytest.mark.anyio
TURNS = 20  # of the loop: more than any chain of tasks here has links


class Spring:
    """A source that a test pours into. `taken` counts what was taken from it."""

    def __init__(self) -> None:
        self.taken = 0
        self.sent: list[int] = []
        self.is_closed = False
        self._send, self._receive = anyio.create_memory_object_stream[Any](100_000)

    def pour(self, *items: Any) -> None:
        for item in items:
            self._send.send_nowait(item)

    def end(self) -> None:
        self._send.close()

    async def flow(self) -> AsyncIterator[Any]:
        try:
            async for item in self._receive:
                self.taken += 1
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            self.is_closed = True
            self._send.close()
            self._receive.close()


class Reader:
    """Asks a feed, and holds what it was answered."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self.told: list[Part | RuninkError] = []

    def ask(self, part: int, *, now_s: float = 0.0) -> None:
        def settle(value: Any, error: RuninkError | None) -> None:
            self.told.append(error or value)

        later = Later()
        later.bind(Envelope(None, settle), lambda _: None)
        self._feed.ask(part, later, now_s=now_s)

    async def part(self, number: int, *, now_s: float = 0.0) -> Part:
        self.ask(number, now_s=now_s)
        await turns()
        part = self.told.pop()
        assert isinstance(part, Part), part
        return part

    async def error(self, number: int) -> RuninkError:
        self.ask(number)
        await turns()
        error = self.told.pop()
        assert isinstance(error, RuninkError), error
        return error


async def turns() -> None:
    for _ in range(TURNS):
        await anyio.lowlevel.checkpoint()


def may() -> None:
    """Everybody may."""


@asynccontextmanager
async def feeding(
    check: Callable[[], object] = may,
) -> AsyncIterator[tuple[Spring, Feed, Reader]]:
    spring = Spring()
    feed = Feed(spring.flow(), check, now_s=0.0, has_sent=spring.sent.append)
    async with anyio.create_task_group() as group:
        group.start_soon(feed.pump)
        await turns()
        yield spring, feed, Reader(feed)
        feed.close()
    assert spring.is_closed


def event(revision: int, data: Any = None) -> Event:
    return Event(revision, "put", {"n": revision} if data is None else data)


def revisions(part: Part) -> list[int]:
    return [one.revision for one in part.events]


async def test_what_waits_is_given_at_once_and_in_its_order():
    async with feeding() as (spring, _, reader):
        spring.pour(event(1), Bookmark(2), event(3))
        await turns()
        part = await reader.part(1)
        assert [(one.revision, one.kind) for one in part.events] == [(1, "put"), (2, "bookmark"), (3, "put")]  # fmt: skip
        assert msgspec.msgpack.decode(part.events[2].data) == {"n": 3}
        assert not part.is_over


async def test_the_bytes_of_each_part_are_counted_also_of_one_that_is_given_again():
    async with feeding() as (spring, _, reader):
        spring.pour(event(1, "x" * 100), b"y" * 50)
        await turns()
        await reader.part(1)
        await reader.part(1)
        spring.pour(b"z" * 7)
        await reader.part(2)
        spring.end()
        await reader.part(3)
    assert spring.sent == [152, 152, 7, 0], "a text of 100 letters has two bytes before it"


async def test_who_waits_is_told_what_comes():
    async with feeding() as (spring, feed, reader):
        reader.ask(1)
        await turns()
        assert reader.told == []
        assert feed.is_awaited
        spring.pour(event(7))
        await turns()
        (part,) = reader.told
        assert isinstance(part, Part)
        assert (part.part, revisions(part)) == (1, [7])


async def test_a_part_whose_answer_was_lost_is_given_again_and_then_forgotten():
    async with feeding() as (spring, _, reader):
        spring.pour(event(1))
        first = await reader.part(1)
        spring.pour(event(2))
        assert await reader.part(1) == first
        assert revisions(await reader.part(2)) == [2]
        assert (await reader.error(1)).code == "wrong_part"
        assert (await reader.error(4)).code == "wrong_part"


async def test_the_later_of_two_askers_is_answered():
    async with feeding() as (spring, _, reader):
        reader.ask(1)
        reader.ask(1)
        (early,) = reader.told
        assert isinstance(early, Conflict)
        spring.pour(event(1))
        await turns()
        assert isinstance(reader.told[1], Part)


async def test_a_slow_reader_holds_two_parts_however_much_happens():
    async with feeding() as (spring, _, reader):
        spring.pour(*map(event, range(10_000)))
        await turns()
        for _ in range(PART_EVENTS):
            await turns()
        assert spring.taken == PART_EVENTS
        seen = revisions(await reader.part(1))
        for number in range(2, 10_000 // PART_EVENTS + 2):
            for _ in range(PART_EVENTS):
                await turns()
            seen += revisions(await reader.part(number))
        assert seen == [*range(10_000)]


async def test_large_events_fill_a_part_by_their_bytes():
    async with feeding() as (spring, _, reader):
        spring.pour(*(event(one, "x" * (PART_BYTES // 2)) for one in range(10)))
        await turns()
        assert spring.taken == 2
        assert revisions(await reader.part(1)) == [0, 1]


async def test_silence_is_told_too_and_so_is_the_end():
    async with feeding() as (spring, feed, reader):
        reader.ask(1, now_s=5.0)
        feed.tick(now_s=5.0 + SILENT_S - 0.1)
        assert reader.told == []
        feed.tick(now_s=5.0 + SILENT_S)
        assert reader.told == [Part(1)]
        spring.pour(event(1))
        spring.end()
        assert revisions(await reader.part(2)) == [1]
        assert not feed.is_over
        last = await reader.part(3)
        assert last == Part(3, is_over=True)
        assert feed.is_over
        assert await reader.part(3) == last
        assert (await reader.error(4)).code == "wrong_part"


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (Refused("old", code="compacted", revision=4), "compacted"),
        (Overloaded("busy"), "overloaded"),
        (KeyError("secret of ours"), "broken"),
        (Broken("secret of ours", code="wal_corrupt"), "broken"),
    ],
)
async def test_what_goes_wrong_is_told_behind_what_came_before(raised: Exception, told: str):
    async with feeding() as (spring, feed, reader):
        spring.pour(event(1), raised)
        assert revisions(await reader.part(1)) == [1]
        for _ in range(2):
            error = await reader.error(2)
            assert error.code == told
            assert "secret" not in error.text
        assert feed.is_over


async def test_who_may_not_any_more_is_told_nothing_more_and_no_good_end_later():
    allowed = True

    def check() -> None:
        if not allowed:
            raise Forbidden("not any more")

    async with feeding(check) as (spring, feed, reader):
        spring.pour(event(1))
        await reader.part(1)
        reader.ask(2)
        spring.pour()
        allowed = False
        feed.tick(now_s=1.0)
        (error,) = reader.told
        assert isinstance(error, Forbidden)
        await turns()
        assert spring.is_closed
        allowed = True
        assert isinstance(await reader.error(2), Forbidden)


async def test_what_comes_behind_the_end_of_a_right_is_not_told_to_who_waits_for_it():
    allowed = True

    def check() -> None:
        if not allowed:
            raise Forbidden("not any more")

    async with feeding(check) as (spring, _, reader):
        reader.ask(1)
        allowed = False
        spring.pour(event(1))
        await turns()
        (told,) = reader.told
        assert isinstance(told, Forbidden)
        assert spring.is_closed


async def test_content_is_given_in_pieces():
    whole = bytes(range(256)) * 5_000

    async def chunks() -> AsyncIterator[bytes]:
        yield whole[:10]
        yield whole[10:]

    for content in (whole, chunks()):
        feed = Feed(
            source_of(Content("text/plain", content)), may, now_s=0.0, has_sent=lambda _: None
        )
        async with anyio.create_task_group() as group:
            group.start_soon(feed.pump)
            reader, found, number = Reader(feed), b"", 0
            while True:
                number += 1
                part = await reader.part(number)
                assert len(part.data) <= 2 * PART_BYTES
                found += part.data
                if part.is_over:
                    break
        assert found == whole


# Of one desk.

ANN = Party(Principal(PrincipalKind.USER, "corp:ann"))


def opened(streams: OpenStreams, party: Party = ANN, *, now_s: float = 0.0) -> int:
    async def nothing() -> AsyncIterator[Any]:
        return
        yield

    streams.check_room(party)
    return streams.open(party, nothing(), may, now_s=now_s, has_sent=lambda _: None)[0]


async def test_a_stream_is_known_to_its_link_alone_and_ends_with_it():
    streams = OpenStreams()
    here, there = Party(ANN.principal), Party(ANN.principal)
    number = opened(streams, here)
    assert streams.of(here, number)
    for party in (there, Party(Principal(PrincipalKind.USER, "corp:bob"))):
        with pytest.raises(NotFound, match="no stream"):
            streams.of(party, number)
        streams.close(party, number)
    assert streams.of(here, number)
    here.gone()
    with pytest.raises(NotFound):
        streams.of(here, number)
    assert streams.statistics() == {"streams": 0, "principals": 0}


async def test_a_link_that_is_gone_by_then_leaves_no_stream():
    streams, party = OpenStreams(), Party(ANN.principal)
    party.gone()
    opened(streams, party)
    assert streams.statistics()["streams"] == 0


async def test_a_principal_has_so_many_streams_over_all_its_links():
    streams = OpenStreams()
    links = [Party(ANN.principal), Party(ANN.principal)]
    for count in range(STREAMS_OF_PRINCIPAL):
        last = opened(streams, links[count % 2])
    with pytest.raises(Overloaded) as info:
        opened(streams, links[0])
    assert info.value.code == "too_many_streams"
    streams.close(links[1], last)
    opened(streams, links[0])


async def test_streams_whose_end_was_told_give_way_to_new_ones():
    streams = OpenStreams()
    numbers = [opened(streams) for _ in range(STREAMS_OF_PRINCIPAL)]
    feed = streams.of(ANN, numbers[3])
    await feed.pump()
    assert (await Reader(feed).part(1)).is_over
    opened(streams)
    with pytest.raises(NotFound):
        streams.of(ANN, numbers[3])
    assert streams.of(ANN, numbers[0])


async def test_all_principals_together_have_so_many():
    streams = OpenStreams()
    for count in range(STREAMS_MAX // STREAMS_OF_PRINCIPAL):
        party = Party(Principal(PrincipalKind.USER, f"corp:{count}"))
        for _ in range(STREAMS_OF_PRINCIPAL):
            opened(streams, party)
    with pytest.raises(Overloaded) as info:
        opened(streams)
    assert info.value.code == "overloaded"


async def test_who_asks_for_nothing_for_a_while_has_gone():
    streams = OpenStreams()
    idle, waits = opened(streams), opened(streams)
    Reader(streams.of(ANN, waits)).ask(1, now_s=0.0)
    streams.tick(now_s=IDLE_S - 1)
    assert streams.of(ANN, idle)
    streams.tick(now_s=IDLE_S)
    with pytest.raises(NotFound):
        streams.of(ANN, idle)
    assert streams.of(ANN, waits)
    streams.close_all()
    assert streams.statistics()["streams"] == 0
