"""Streams of events that come back by themselves: nothing lost, nothing twice, and an end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from asking_world import Face, Served, Stream, asking, scripted, served
from notebook import WATCH, Notebook
from runink.client import Patience
from runink.client.events import Message
from runink.client.given import REMEMBERED_MAX, Given
from runink.errors import LinkLost, NotFound, Refused
from runink.identity.vocabulary import Verb
from runink.operations.answers import Bookmark, Event

pytestmark = pytest.mark.anyio
FLIGHTS = {"herd": "flights"}


class Ending(Notebook):
    """Its streams end behind the note `last`."""

    async def _events(self, herd: str, since: int) -> AsyncIterator[Event | Bookmark]:
        async for event in super()._events(herd, since):
            yield event
            if isinstance(event, Event) and event.data.note == "last":
                return


def put(api: Served, note: str) -> None:
    api.on_loop(api.notebook.put, "flights", note, "x")


async def watched(api: Served, anna: Face) -> Stream:
    """Return a stream that has told the note `first`."""
    put(api, "first")
    stream = anna.stream(WATCH, **FLIGHTS, since=api.notebook.revision - 1)
    event = await stream.next()
    assert (event.kind, event.data.note, event.revision) == ("put", "first", api.notebook.revision)
    return stream


async def test_a_stream_ends_when_its_source_does(kind: Any) -> None:
    with served(Ending()) as api:
        async with asking(kind, api.address) as anna:
            stream = await watched(api, anna)
            put(api, "second")
            put(api, "last")
            assert [event.data.note for event in await stream.all()] == ["second", "last"]
            assert api.cable.connections == 1


async def test_a_stream_that_is_cut_goes_on_where_it_was(kind: Any) -> None:
    with served(Ending()) as api:
        async with asking(kind, api.address) as anna:
            stream = await watched(api, anna)
            for number in range(4):
                api.on_loop(api.cable.cut)
                put(api, f"n{number}")
                assert (await stream.next()).data.note == f"n{number}"
            api.on_loop(api.cable.cut)
            put(api, "last")
            assert [event.data.note for event in await stream.all()] == ["last"]
            assert api.cable.connections == 6


async def test_a_stream_goes_on_behind_a_bookmark(kind: Any) -> None:
    with served(Ending()) as api:
        async with asking(kind, api.address) as anna:
            stream = await watched(api, anna)
            api.on_loop(api.notebook.bookmark)
            put(api, "second")
            await stream.next()
            assert stream.values.revision == api.notebook.revision
            api.on_loop(api.notebook.bookmark)
            put(api, "third")
            await stream.next()
            put(api, "last")
            await stream.all()


async def test_a_stream_comes_back_when_the_server_has_ended_it(kind: Any) -> None:
    with served(Ending()) as api:
        async with asking(kind, api.address) as anna:
            stream = await watched(api, anna)
            put(api, "second")
            assert (await stream.next()).data.note == "second"
            api.on_loop(api.server._app.streams.stop)
            api.until(lambda: not api.server.statistics()["streams"])
            api.on_loop(api.server._app.streams._stopping.clear)
            put(api, "last")
            assert [event.data.note for event in await stream.all()] == ["last"]


async def test_a_stream_ends_with_the_rights_of_who_reads_it(kind: Any) -> None:
    with served() as api:
        async with asking(kind, api.address) as anna:
            stream = await watched(api, anna)
            api.guests.denied.add((api.guests.by_token["anna-token"].subject, Verb.WATCH))
            put(api, "second")
            with pytest.raises(Refused) as denied:
                await stream.next()
            assert denied.value.code == "forbidden"


async def test_what_is_not_kept_any_more_is_told_with_its_revision(kind: Any) -> None:
    with served() as api:
        async with asking(kind, api.address) as anna:
            with pytest.raises(Refused) as gone:
                await anna.stream(WATCH, **FLIGHTS, since=3).next()
            assert (gone.value.code, gone.value.revision) == ("compacted", 5)
            with pytest.raises(NotFound):
                await anna.stream(WATCH, herd="trains").next()


async def test_a_stream_that_stays_away_is_given_up(kind: Any) -> None:
    with served() as api:
        brief = Patience(within_s=5.0, silent_s=5.0, away_s=0.2)
        async with asking(kind, api.address, patience=brief) as anna:
            stream = await watched(api, anna)
            api.cable.is_dead = True
            api.on_loop(api.cable.cut)
            with pytest.raises(LinkLost):
                await stream.next()
            assert await stream.next() is None


async def test_a_silent_stream_is_lost_and_comes_back(kind: Any) -> None:
    with served(Ending()) as api:
        brief = Patience(within_s=5.0, silent_s=0.1, away_s=5.0)
        async with asking(kind, api.address, patience=brief) as anna:
            stream = await watched(api, anna)
            api.loop.call_soon_threadsafe(_put_when_reconnected, api)
            assert (await stream.next()).data.note == "second"
            await stream.close()


def _put_when_reconnected(api: Served) -> None:
    if api.cable.connections > 1:
        api.notebook.put("flights", "second", "x")
    else:
        api.loop.call_soon(_put_when_reconnected, api)


async def test_a_stream_that_is_left_lets_go_of_its_connection(kind: Any) -> None:
    with served() as api:
        async with asking(kind, api.address) as anna:
            stream = await watched(api, anna)
            assert api.on_loop(api.server.statistics)["streams"] == 1
            await stream.close()
            api.until(lambda: not api.server.statistics()["streams"])


def streamed(*events: tuple[int, str], ends: bool = False) -> bytes:
    """Return an answer with events of ids and texts; it breaks off, or says its end."""
    lines = [
        f'id: {at}\nevent: put\ndata: {{"note":"n","text":"{text}"}}\n\n' for at, text in events
    ]
    body = "".join(lines) + ("event: end\ndata: {}\n\n" if ends else "")
    chunk = f"{len(body):x}\r\n{body}\r\n"
    return f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}".encode()


async def test_a_revision_that_was_cut_in_its_middle_is_told_whole_and_once(kind: Any) -> None:
    first = streamed((3, "a"), (3, "b"))  # b is the first of revision 4
    second = streamed((3, "b"), (3, "c"), (4, "d"), (5, "d"), ends=True)
    with scripted(first, second) as (address, asked):
        async with asking(kind, address) as anna:
            stream = anna.stream(WATCH, **FLIGHTS, since=2)
            assert [event.data.text for event in await stream.all()] == ["a", "b", "c", "d", "d"]
    assert b"last-event-id: 3" in asked[1].lower()


async def test_a_snapshot_that_was_cut_is_begun_anew_and_told_once(kind: Any) -> None:
    def step(at: int, revision: int) -> str:
        return f'id: {at}\nevent: run\ndata: {{"revision":{revision}}}\n\n'

    def answer(body: str) -> bytes:
        return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body) + 9}\r\n\r\n{body}".encode()

    first = answer(step(0, 7) + step(0, 8))
    second = answer(step(0, 7) + step(0, 9) + step(9, 10) + "event: end\ndata: {}\n\n")
    with scripted(first, second) as (address, asked):
        async with asking(kind, address) as anna:
            stream = Stream(anna.client.follow("/steps"), is_async=anna.is_async)
            assert [event.data["revision"] for event in await stream.all()] == [7, 8, 9, 10]
    assert b"last-event-id" not in asked[1].lower()


def test_what_a_stream_has_given_is_remembered_for_a_while_only() -> None:
    given = Given()
    for number in range(REMEMBERED_MAX + 10):
        message = Message("line", f'{{"offset":{number}}}', number)
        assert given.is_new(Event(number, "line", {"offset": number}), message, 0)
    assert len(given._known) == REMEMBERED_MAX
