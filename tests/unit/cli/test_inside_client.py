"""A client of services in the command's own process: it is called as the API's client is, and what it asks holds in the state folder."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import pytest
from run_records import put_failed, put_run, run_record, slice_record, write_log
from runink.cli.client import Embedding
from runink.cli.inside import InsideClient, InsideEvents, is_asked_again
from runink.clients.barn import BarnClient
from runink.config import Role
from runink.errors import Conflict, Invalid, LinkLost, NotFound, OutcomeUnknown, Unavailable
from runink.operations.answers import Bookmark, Event
from runink.operations.catalog import herds, logs, run_events, runs


@pytest.fixture
def client(tmp_path: Path) -> Iterator[InsideClient]:
    with InsideClient(Embedding(tmp_path, role=Role.STORE), within_s=30) as made:
        yield made


def barn_of(client: InsideClient) -> BarnClient:
    list(client.call(herds.LIST))  # there is a cluster now
    assert client._inside is not None
    return client._inside._behind.barn


def declare(client: InsideClient, *names: str) -> None:
    for name in names:
        client.call(herds.CREATE, says={"herd": {"id": name}})


def test_documents_lists_and_changes_are_as_the_api_s(client: InsideClient) -> None:
    declare(client, "a", "b", "c")
    assert [one.herd for one in client.call(herds.LIST, limit=2)] == ["a", "b", "c"]
    assert [one.herd for one in client.call("herds.list", limit=1)] == ["a", "b", "c"]
    page = client.page(herds.LIST, limit=2)
    assert [one.herd for one in page.items] == ["a", "b"]
    found = client.call(herds.GET, herd="a")
    says = {"herd": {"id": "a", "description": "first"}}
    client.call(herds.UPDATE, herd="a", says=says, if_match=found)
    with pytest.raises(Conflict, match="not as it was read"):
        client.call(herds.UPDATE, herd="a", says=says, if_match=found)
    with pytest.raises(Conflict):
        declare(client, "a")
    with pytest.raises(Invalid, match="no field 'hred'"):
        client.call(herds.GET, hred="a")
    with pytest.raises(NotFound):
        client.call("herds.lits")


def test_what_was_asked_holds_for_the_next_command(tmp_path: Path, client: InsideClient) -> None:
    declare(client, "a")
    client.close()
    with InsideClient(Embedding(tmp_path, role=Role.STORE), within_s=30) as other:
        assert [one.herd for one in other.call(herds.LIST)] == ["a"]


def test_a_run_that_is_over_is_followed_to_its_end_and_its_lines_read_from_this_disk(
    tmp_path: Path, client: InsideClient
) -> None:
    barn = barn_of(client)
    client.portal.call(put_failed, barn, "sales")
    (run,) = client.call(runs.LIST, herd="sales")
    write_log(tmp_path / "runs", run.run, "gold", "first", "second")
    with client.call(run_events.FOLLOW, herd="sales", run=run.run) as steps:
        told = [step.data.run.state for step in steps if step.data.run is not None]
    assert told[-1].is_over
    lines = client.call(logs.LIST, herd="sales", run=run.run)
    assert [line.text for line in lines if line.slice == "gold"] == ["first", "second"]


def test_a_stream_that_is_left_ends_and_another_may_be_read(client: InsideClient) -> None:
    declare(client, "sales")
    barn = barn_of(client)
    since = client.page(runs.LIST, herd="sales").revision
    with client.call(run_events.WATCH, herd="sales", since=since) as events:
        record = run_record("sales")

        async def put() -> None:
            await put_run(barn, record, slice_record(record))

        client.portal.call(put)
        assert next(events).data.run == record.run
    with client.call(run_events.WATCH, herd="sales", since=since) as events:
        assert next(events).data.run == record.run


class Leaving:
    """A client whose cluster leaves in the middle of a stream; the next one tells the last event again."""

    def __init__(self, client: InsideClient) -> None:
        self.portal = client.portal
        self.asked: list[Any] = []

    def ask(self, _operation: object, asked: Any) -> AsyncGenerator[Any, None]:
        self.asked.append(asked.get("since"))
        return self._told(is_first=len(self.asked) == 1)

    def leave(self) -> None:
        pass

    async def _told(self, *, is_first: bool) -> AsyncGenerator[Any, None]:
        yield Event(5, "run", {"revision": 5})
        if is_first:
            yield Bookmark(7)
            raise LinkLost("it leaves")
        yield Event(8, "run", {"revision": 8})


def test_a_stream_goes_on_at_the_next_cluster_and_tells_nothing_twice(client: InsideClient) -> None:
    leaving = Leaving(client)
    events = InsideEvents(leaving, run_events.WATCH, {"herd": "sales"})  # type: ignore[arg-type] # what it needs of one
    assert [event.revision for event in events] == [5, 8]
    assert leaving.asked == [None, 7]


def test_what_may_have_been_done_is_not_done_again() -> None:
    assert is_asked_again(herds.GET, OutcomeUnknown("?"))
    assert is_asked_again(herds.CREATE, LinkLost("gone"))
    assert not is_asked_again(herds.CREATE, OutcomeUnknown("?"))
    assert not is_asked_again(herds.GET, Unavailable("full", code="disk_full"))
