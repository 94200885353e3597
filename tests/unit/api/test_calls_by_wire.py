"""Operations by the wire: the same as HTTP's, in the same order, with the same codes."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import anyio
import msgspec
import pytest
from anyio.lowlevel import checkpoint
from notebook import ANNA, Mark
from runink.clients.api_requests import Call, Leave, Next
from runink.errors import Conflict, Forbidden, Invalid, NotFound, Overloaded, Refused, RuninkError
from runink.identity.vocabulary import Verb
from runink.observe.api_metrics import ApiMetrics
from runink.operations.purses import Budget
from runink.runtime.supervisor import ChildSpec, supervise
from runink.services.desk import CALLS_MAX, ApiDesk
from runink.services.packing import packed
from wire_world import Client, wire_world

pytestmark = pytest.mark.anyio
NOTE = {"herd": "flights", "note": "first"}


async def refusal(client: Client, operation: str, **asked: Any) -> RuninkError:
    with pytest.raises(RuninkError) as info:
        await client.call(operation, **asked)
    return info.value


async def test_a_document_a_page_and_nothing_come_back_as_http_has_them() -> None:
    async with wire_world() as world, world.client() as ann:
        made = await ann.call("notes.create", herd="flights", note="first", text="x", marks=[{"weight": 2}])  # fmt: skip
        assert made.kind == "document"
        assert made.document == {
            "note": "first",
            "text": "x",
            "revision": 11,
            "marks": [{"colour": "red", "weight": 2}],
        }
        world.notebook.put("flights", "second", "y", (Mark(),))
        page = await ann.call("notes.list", herd="flights", limit=1)
        assert page.kind == "page"
        assert [one["note"] for one in page.document["items"]] == ["first"]
        rest = await ann.document(
            "notes.list", herd="flights", limit=1, cursor=page.document["next"]
        )
        assert [one["note"] for one in rest["items"]] == ["second"]
        assert (rest["next"], rest["revision"]) == ("", page.document["revision"])
        gone = await ann.call("notes.delete", **NOTE, if_match="11")
        assert (gone.kind, gone.document) == ("nothing", None)


async def test_mistakes_are_told_all_at_once_and_before_the_service_is_asked() -> None:
    async with wire_world() as world, world.client() as ann:
        error = await refusal(ann, "notes.create", herd="flights", txt="x", marks=[{"weight": 99, "size": 1}])  # fmt: skip
        assert isinstance(error, Invalid)
        assert error.code == "invalid"
        texts = [one.text for one in error.findings]
        assert any("unknown field 'txt'" in text for text in texts)
        assert any("text: it is missing" in text for text in texts)
        assert any("weight" in text for text in texts)
        for fields in (
            {"text": 1},
            {"text": b"x"},
            {"text": "x", "dry_run": "true"},
            {"text": "x", "marks": [{"weight": float("nan")}]},
            {"text": "x", "marks": [{"weight": 1.5}]},
            {"text": "x", "marks": [{"weight": "1"}]},
            {"text": "x", "marks": [{"colours": "red"}]},
            {"text": "x" * 2001},
        ):
            assert (await refusal(ann, "notes.create", herd="flights", **fields)).code == "invalid"
        assert world.notebook.calls == []


async def test_what_is_not_there_and_what_may_not_be_known_of_are_told_alike() -> None:
    async with wire_world() as world, world.client() as ann:
        world.notebook.put("trains", "first", "secret")
        told = {
            (error.code, error.text)
            for error in (
                await refusal(ann, "notes.get", herd="trains", note="first"),
                await refusal(ann, "notes.get", herd="trains", note="none"),
                await refusal(ann, "notes.get", herd="nowhere", note="first"),
                await refusal(ann, "notes.get", herd="flights", note="none"),
            )
        }
        assert len(told) == 1
        for herd in ("../x", "", 7, None):
            error = await refusal(ann, "notes.get", herd=herd, note="first")
            assert isinstance(error, NotFound)
        assert isinstance(await refusal(ann, "notes.get", note="first"), NotFound)
        world.guests.denied.add((ANNA.subject, Verb.GET))
        assert isinstance(await refusal(ann, "notes.get", **NOTE), Forbidden)
        assert world.notebook.denials[-1] == ("notes.get", NOTE, "forbidden")
        error = await refusal(ann, "notes.gett", **NOTE)
        assert isinstance(error, NotFound)
        assert "notes.get" in error.hint


async def test_a_change_says_which_revision_it_was_decided_on() -> None:
    async with wire_world() as world, world.client() as ann:
        note = world.notebook.put("flights", "first", "x")
        asked = {**NOTE, "text": "y"}
        assert (await refusal(ann, "notes.update", **asked)).code == "precondition_required"
        for said in ("x", "12-3f", '"12"', "-1", "1.0", "²"):
            assert (await refusal(ann, "notes.update", if_match=said, **asked)).code == "bad_request"  # fmt: skip
        error = await refusal(ann, "notes.update", if_match=str(note.revision - 1), **asked)
        assert isinstance(error, Conflict)
        assert error.code == "precondition_failed"
        changed = await ann.document("notes.update", if_match=str(note.revision), **asked)
        assert changed["text"] == "y"
        assert (await ann.document("notes.update", if_match="*", **asked))["revision"] > changed["revision"]  # fmt: skip
        assert (await refusal(ann, "notes.get", if_match="12", **NOTE)).code == "bad_request"


async def test_a_call_with_a_key_is_made_once() -> None:
    async with wire_world() as world, world.client() as ann:
        asked = {"herd": "flights", "text": "x"}
        first = await ann.call("notes.create", key="key-1", **asked)
        again = await ann.call("notes.create", key="key-1", **asked)
        assert (again.document, again.is_again, first.is_again) == (first.document, True, False)
        assert len(world.notebook.made) == 1
        assert (await refusal(ann, "notes.create", key="key-1", herd="flights", text="y")).code == "key_reused"  # fmt: skip
        world.clock.ms += 1  # of the next one's name
        await ann.document("notes.create", key="key-2", **asked)
        assert len(world.notebook.made) == 2
        assert (await refusal(ann, "notes.create", key="a b", **asked)).code == "bad_request"
        assert (await refusal(ann, "notes.get", key="key-3", **NOTE)).code == "bad_request"


async def test_a_refusal_of_a_call_with_a_key_is_told_again() -> None:
    async with wire_world() as world, world.client() as ann:
        world.notebook.put("flights", "first", "x")
        asked = {"herd": "flights", "note": "first", "text": "x"}
        one = await refusal(ann, "notes.create", key="key-1", **asked)
        del world.notebook.notes["flights", "first"]
        other = await refusal(ann, "notes.create", key="key-1", **asked)
        assert (type(one), one.code, one.text) == (type(other), other.code, other.text)
        assert one.code == "exists"


async def test_a_cursor_is_of_its_list_and_its_reader() -> None:
    async with wire_world() as world, world.client() as ann, world.client(b"bert-token") as bert:
        world.guests.herds["user:https://login.example:bert"].add("flights")
        for name in ("a", "b", "c"):
            world.notebook.put("flights", name, "x")
        page = await ann.document("notes.list", herd="flights", limit=1)
        cursor = page["next"]
        for client, fields in ((bert, {}), (ann, {"prefix": "b"})):
            error = await refusal(client, "notes.list", herd="flights", limit=1, cursor=cursor, **fields)  # fmt: skip
            assert error.code == "invalid_cursor"


async def test_bytes_are_bytes_and_have_their_limit() -> None:
    async with wire_world() as world, world.client() as ann:
        world.notebook.put("flights", "first", "x")
        await ann.call("notes.attach", **NOTE, content=b"\x00\xff")
        assert world.notebook.attached["flights", "first"] == b"\x00\xff"
        assert (await refusal(ann, "notes.attach", **NOTE, content="AP8=")).code == "invalid"


async def test_who_asks_too_often_is_told_so_and_others_are_served() -> None:
    few = Budget(requests_per_s=0.001, requests_burst=3)
    async with wire_world(budget=few) as world, world.client() as ann:
        for _ in range(3):
            await refusal(ann, "notes.get", **NOTE)
        error = await refusal(ann, "notes.get", **NOTE)
        assert isinstance(error, Overloaded)
        assert error.code == "rate_limited"
        async with world.client() as again:
            assert (await refusal(again, "notes.get", **NOTE)).code == "rate_limited"
        async with world.client(b"bert-token") as bert:
            assert isinstance(await refusal(bert, "notes.get", **NOTE), NotFound)


async def test_bytes_are_counted_too_and_calls_that_could_be_a_path_are_no_sending() -> None:
    few = Budget(received_bytes_per_s=0.1, received_bytes_burst=5000)
    async with wire_world(budget=few) as world, world.client() as ann:
        world.notebook.put("flights", "first", "x" * 3000)
        await ann.call("notes.attach", **NOTE, content=b"x" * 6000)
        error = await refusal(ann, "notes.attach", **NOTE, content=b"x" * 6000)
        assert error.code == "rate_limited"
        assert error.hint.startswith("ask again in ")
        assert (await ann.document("notes.get", **NOTE))["text"]


async def test_who_was_sent_too_many_bytes_is_told_so_by_the_wire() -> None:
    few = Budget(sent_bytes_per_s=0.1, sent_bytes_burst=2000)
    async with wire_world(budget=few) as world, world.client() as ann:
        world.notebook.put("flights", "first", "x" * 3000)
        assert (await ann.document("notes.get", **NOTE))["text"]
        assert (await refusal(ann, "notes.get", **NOTE)).code == "rate_limited"


async def test_parts_of_a_stream_wait_for_their_bytes_and_none_is_lost() -> None:
    paced = Budget(sent_bytes_per_s=100_000, sent_bytes_burst=16_000)
    async with wire_world(budget=paced) as world, world.client() as ann:
        world.notebook.put("flights", "first", "x")
        world.notebook.exported = lambda _: b"x" * 3000
        for _ in range(8):
            called = await ann.call("notes.export", **NOTE)
            part = await ann.part(called.stream, 1)
            assert part.data == b"x" * 3000
            await ann.leave(called.stream)


async def test_calls_are_counted_as_requests_are_by_their_own_door() -> None:
    metrics = ApiMetrics()
    async with wire_world(metrics=metrics) as world, world.client() as ann:
        world.notebook.put("flights", "first", "x")
        await ann.call("notes.attach", **NOTE, content=b"x" * 300)
        await refusal(ann, "notes.get", herd="trains", note="first")
        await refusal(ann, "notes.nothing")
        called = await ann.call("notes.export", **NOTE)
        await ann.part(called.stream, 1)
        found = {(one.name.removeprefix("runink_api_"), *one.labels.values()): one.value for one in metrics.readings()}  # fmt: skip
    assert found["requests_total", "flights", "notes.attach", "wire", "2xx"] == 1
    assert found["requests_total", "flights", "notes.export", "wire", "2xx"] == 1
    assert found["requests_total", "", "notes.get", "wire", "4xx"] == 1
    assert found["requests_total", "", "", "wire", "4xx"] == 1
    assert found["received_bytes_total", "flights", "wire"] > 300
    assert found["sent_bytes_total", "flights", "wire"] > 0
    assert found["streams", "wire"] == 1


async def test_a_slow_call_holds_up_nobody_and_more_than_so_many_are_refused() -> None:
    gate, begun = anyio.Event(), 0

    async def wait(operation: Any) -> None:
        nonlocal begun
        if operation.name == "notes.list":
            begun += 1
            await gate.wait()

    many = Budget(requests_per_s=1e6, requests_burst=10**6)
    async with wire_world(budget=many) as world, world.client() as ann:
        world.notebook.put("flights", "first", "x")
        world.notebook.turn = wait
        async with anyio.create_task_group() as group:
            for _ in range(CALLS_MAX - 1):
                group.start_soon(lambda: ann.call("notes.list", herd="flights"))
            assert (await ann.document("notes.get", **NOTE))["text"] == "x"
            group.start_soon(lambda: ann.call("notes.list", herd="flights"))
            while begun < CALLS_MAX:
                await checkpoint()
            error = await refusal(ann, "notes.get", **NOTE)
            assert error.code == "overloaded"
            gate.set()


async def test_a_bug_is_told_by_its_code_alone_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:  # fmt: skip
    async def crash(_: Any) -> None:
        raise KeyError("secret of ours")

    async with wire_world() as world, world.client() as ann:
        world.notebook.turn = crash
        error = await refusal(ann, "notes.get", **NOTE)
        assert error.code == "broken"
        assert "secret" not in error.text
        request_id = error.text.rpartition(" ")[2]
        assert request_id in {getattr(one, "request_id", "") for one in caplog.records}
        world.notebook.turn = None
        assert isinstance(await refusal(ann, "notes.get", **NOTE), NotFound)


async def test_each_call_is_one_line_of_the_log_without_what_it_says(caplog: pytest.LogCaptureFixture) -> None:  # fmt: skip
    caplog.set_level(logging.INFO, "runink.api.access")
    async with wire_world() as world, world.client() as ann:
        await ann.call("notes.create", herd="flights", note="first", text="private")
        await refusal(ann, "notes.get", herd="trains", note="first")
    lines = [one.__dict__ for one in caplog.records if one.name == "runink.api.access"]
    shown = [(one["operation"], one["path"], one["code"], one["principal"]) for one in lines]
    assert shown == [
        ("notes.create", "/herds/flights/notes", "", ANNA.subject),
        ("notes.get", "/herds/trains/notes/first", "not_found", ANNA.subject),
    ]
    assert lines[0]["fields"] == "herd,note,text"
    assert lines[0]["address"] == "127.0.0.1"
    assert "private" not in str(lines)
    assert "anna-token" not in str([one.__dict__ for one in caplog.records])


@pytest.mark.parametrize("message", [Call("notes.get", NOTE), Next(1, 1), Leave(1)])
async def test_what_nobody_has_said_is_refused(message: Any) -> None:
    async with wire_world() as world, supervise() as supervisor:
        desk = await supervisor.start(ChildSpec("desk", lambda: ApiDesk(world.parts)))
        with pytest.raises(Forbidden):
            await desk.ask(message, within=30)


# Streams.


async def test_events_are_followed_and_gone_on_with_where_one_was() -> None:
    async with wire_world() as world, world.client() as ann:
        opened = await ann.call("notes.watch", herd="flights", since=world.notebook.revision)
        assert (opened.kind, opened.document) == ("events", None)
        world.notebook.put("flights", "first", "x")
        world.notebook.put("trains", "other", "secret")
        part = await ann.part(opened.stream, 1)
        assert [(one.kind, one.data) for one in part.events] == [("put", {"note": "first", "text": "x"})]  # fmt: skip
        assert await ann.part(opened.stream, 1) == part
        world.notebook.put("flights", "second", "y")
        world.notebook.bookmark()
        seen = []
        number = 2
        while len(seen) < 2:
            part = await ann.part(opened.stream, number)
            seen += [(one.kind, one.revision) for one in part.events]
            number += 1
        assert seen == [("put", 13), ("bookmark", 14)]
        await ann.leave(opened.stream)
        with pytest.raises(NotFound):
            await ann.part(opened.stream, number)
        assert world.door.statistics() == {"streams": 0, "principals": 0}
        error = await refusal(ann, "notes.watch", herd="flights", since=1)
        assert isinstance(error, Refused)
        assert (error.code, error.revision) == ("compacted", 5)


async def test_content_comes_whole_and_says_that_it_is_whole() -> None:
    async with wire_world() as world, world.client() as ann:
        text = "row\n" * 300_000
        world.notebook.put("flights", "first", text)
        opened = await ann.call("notes.export", **NOTE)
        assert (opened.kind, opened.media_type) == ("content", "text/plain; charset=utf-8")
        found, number = b"", 0
        while True:
            number += 1
            part = await ann.part(opened.stream, number)
            found += part.data
            if part.is_over:
                break
        assert found.decode() == text


async def test_content_that_fails_on_its_way_never_says_that_it_is_whole() -> None:
    async def failing(note: Any) -> Any:
        yield b"begun"
        raise Refused("the source is away", code="unavailable")

    async with wire_world() as world, world.client() as ann:
        world.notebook.put("flights", "first", "x")
        world.notebook.exported = failing
        stream = (await ann.call("notes.export", **NOTE)).stream
        part = await ann.part(stream, 1)
        assert (part.data, part.is_over) == (b"begun", False)
        with pytest.raises(Refused, match="away"):
            await ann.part(stream, 2)


async def test_a_stream_ends_with_the_rights_of_its_reader() -> None:
    async with wire_world() as world, world.client() as ann:
        stream = (await ann.call("notes.watch", herd="flights")).stream
        async with anyio.create_task_group() as group:

            async def follow() -> None:
                with pytest.raises(NotFound):
                    await ann.part(stream, 1)

            group.start_soon(follow)
            await refusal(ann, "notes.get", **NOTE)  # it waits by now
            world.guests.herds[ANNA.subject].clear()


async def test_a_stream_ends_with_its_link_and_is_known_to_no_other() -> None:
    async with wire_world() as world, world.client() as ann:
        async with world.client() as other:
            stream = (await other.call("notes.watch", herd="flights")).stream
            with pytest.raises(NotFound):
                await ann.part(stream, 1)
            assert world.door.statistics()["streams"] == 1
        while world.door.statistics()["streams"]:
            await refusal(ann, "notes.get", **NOTE)


def test_what_the_desk_answers_has_no_type_that_messagepack_has_not() -> None:
    value = {"at": datetime(2026, 11, 30, tzinfo=UTC), "raw": b"\x00", "by": {1: (2,)}}
    plain = msgspec.msgpack.decode(packed(value))
    assert plain == {"at": "2026-11-30T00:00:00Z", "raw": b"\x00", "by": {"1": [2]}}
