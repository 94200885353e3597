"""Streams of events: ids, resuming, heartbeats, ends, and who may have how many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest
from anyio.lowlevel import checkpoint
from api_world import ANNA, SOON_S, World, world
from notebook import ANNA as ANNA_HERSELF
from runink.api.limits import Limits
from runink.errors import Refused
from runink.identity.vocabulary import Verb

pytestmark = pytest.mark.anyio
BOTH_LOOPS = True
WATCH = "/herds/flights/watch/notes"


class Stream:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.status = response.status

    async def block(self) -> dict[str, str]:
        """Return the next event, or comment, as its fields; nothing at the end."""
        fields: dict[str, str] = {}
        async for line in self.response.content:
            text = line.decode().rstrip("\n")
            if not text and fields:
                return fields
            name, _, value = text.partition(": ")
            fields[name] = value
        return fields

    async def event(self) -> dict[str, str]:
        """Return the next event, past comments."""
        while True:
            block = await self.block()
            if not block or "data" in block:
                return block


@asynccontextmanager
async def watching(
    api: World, path: str = WATCH, headers: dict[str, str] | None = None
) -> AsyncIterator[Stream]:
    async with api.session.get(api.url + path, headers=ANNA | (headers or {})) as response:
        yield Stream(response)


async def until(condition: Any) -> None:
    async with asyncio.timeout(SOON_S):
        while not condition():
            await checkpoint()


async def test_events_come_with_their_revision_as_id_and_other_herds_not_at_all() -> None:
    async with world() as api, watching(api) as stream:
        assert (stream.status, stream.response.content_type) == (200, "text/event-stream")
        assert (await stream.block()) == {"retry": "2000"}
        api.notebook.put("trains", "theirs", "x")
        note = api.notebook.put("flights", "first", "two\nlines")
        event = await stream.event()
        assert (event["id"], event["event"]) == (str(note.revision), "put")
        assert msgspec.json.decode(event["data"]) == {"note": "first", "text": "two\nlines"}
        api.notebook.bookmark()
        event = await stream.event()
        assert event["event"] == "bookmark"
        assert event["id"] == str(api.notebook.revision)
        assert msgspec.json.decode(event["data"]) == {"revision": api.notebook.revision}


@pytest.mark.parametrize("how", ["query", "header", "both"])
async def test_who_comes_back_is_told_what_came_between(how: str) -> None:
    async with world() as api:
        first = api.notebook.put("flights", "first", "x")
        second = api.notebook.put("flights", "second", "x")
        path = (
            WATCH if how == "header" else f"{WATCH}?since={first.revision if how == 'query' else 6}"
        )
        headers = {} if how == "query" else {"Last-Event-ID": str(first.revision)}
        async with watching(api, path, headers) as stream:
            assert (await stream.event())["id"] == str(second.revision)


async def test_who_comes_back_too_late_is_told_410_and_from_where_it_is_kept() -> None:
    async with world() as api:
        answer = await api.ask("GET", WATCH, ANNA | {"Last-Event-ID": "3"})
        assert (answer.status, answer.json["code"]) == (410, "compacted")
        assert answer.json["revision"] == api.notebook.compacted


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "9" * 19, "0x10"])
async def test_an_id_that_is_none_is_refused(last: str) -> None:
    async with world() as api:
        assert (await api.ask("GET", WATCH, ANNA | {"Last-Event-ID": last})).status == 400


async def test_a_stream_that_has_nothing_to_tell_says_that_it_is_there() -> None:
    async with world(limits=Limits(heartbeat_s=0.05)) as api, watching(api) as stream:
        await stream.block()
        assert await stream.block() == {"": "still here"}
        assert await stream.block() == {"": "still here"}
        api.notebook.put("flights", "first", "x")
        assert (await stream.event())["event"] == "put"


async def test_a_principal_has_so_many_streams_and_a_place_is_free_when_one_is_closed() -> None:
    async with world(limits=Limits(streams_per_principal_max=2)) as api:
        async with watching(api) as one, watching(api) as two:
            await one.block()
            await two.block()
            third = await api.ask("GET", WATCH)
            assert (third.status, third.json["code"]) == (429, "too_many_streams")
            assert api.server.statistics()["streams"] == 2
        await until(lambda: api.server.statistics()["streams"] == 0)
        assert len([name for name, _, _ in api.notebook.calls if name == "notes.watch"]) == 2
        async with watching(api) as again:
            assert again.status == 200


@pytest.mark.parametrize("what", ["rights", "herd", "token", "expiry"])
async def test_a_stream_ends_with_the_rights_of_its_caller(what: str) -> None:
    async with world(limits=Limits(rights_s=0.05)) as api:
        if what == "expiry":
            over = msgspec.structs.replace(ANNA_HERSELF, until_s=1)  # 1970
            api.guests.by_token["anna-token"] = over
        async with watching(api) as stream:
            await stream.block()
            if what == "rights":
                api.guests.denied.add((ANNA_HERSELF.subject, Verb.WATCH))
            elif what == "herd":
                api.guests.herds[ANNA_HERSELF.subject].clear()
            elif what == "token":
                del api.guests.by_token["anna-token"]
            if what != "expiry":
                api.notebook.put("flights", "secret", "x")
            if what == "token":
                await stream.event()  # one that was under way; the token is looked at each rights_s
            assert await stream.event() == {}


async def test_what_goes_wrong_in_a_stream_is_told_within_it() -> None:
    for error, code in (
        (Refused("gone", code="compacted"), "compacted"),
        (RuntimeError("hunter2"), "broken"),
    ):

        async def failing(*_: Any, error: Exception = error) -> Any:
            if error is None:
                yield
            raise error

        async with world() as api:
            api.notebook._events = failing  # type: ignore[method-assign] # a source that fails
            async with watching(api) as stream:
                await stream.block()
                event = await stream.event()
                assert event["event"] == "problem"
                assert msgspec.json.decode(event["data"])["code"] == code
                assert "hunter2" not in event["data"]
                assert await stream.event() == {}
            await until(lambda: api.server.statistics()["streams"] == 0)


async def test_streams_end_when_the_server_stops() -> None:
    async with world() as api, watching(api) as stream:
        await stream.block()
        async with asyncio.timeout(SOON_S):
            await api.server.close()
        assert await stream.event() == {}


async def test_a_reader_that_takes_nothing_is_cut_and_holds_one_event_only() -> None:
    pulled = 0

    async def flood(*_: Any) -> Any:
        nonlocal pulled
        from notebook import Change
        from runink.operations.answers import Event

        while True:
            pulled += 1
            yield Event(100 + pulled, "put", Change("x", "y" * 100_000))

    async with world(limits=Limits(write_s=0.3)) as api:
        api.notebook._events = flood  # type: ignore[method-assign] # a source without end
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port, limit=1024)
        writer.write(
            f"GET /api/v1{WATCH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer anna-token\r\n\r\n".encode()
        )
        await reader.read(1)
        await until(lambda: "cut_slow_reader" in api.server.statistics())
        await until(lambda: api.server.statistics()["streams"] == 0)
        assert pulled < 200, "what the kernel's buffers hold, and one"
        writer.close()


async def test_the_head_of_a_stream_can_be_asked_for() -> None:
    async with world() as api:
        answer = await api.ask("HEAD", WATCH)
        assert (answer.status, answer.body) == (200, b"")
