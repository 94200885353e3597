"""Calls of both clients to a real server: documents, lists, changes, bytes, errors, tokens and connections."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from asking_world import PATIENCE, asking, served
from msgspec import inspect
from notebook import ATTACH, CREATE, DELETE, EXPORT, GET, LIST, ROOT, UPDATE, WATCH, Mark, Note
from runink.api.openapi import BASE as SERVER_BASE
from runink.api.serving import Door
from runink.client import AsyncClient, Client, Patience
from runink.client.names import OPTIONS, Names
from runink.client.requests import BASE
from runink.errors import (
    Broken,
    Conflict,
    Forbidden,
    Invalid,
    LinkLost,
    NotFound,
    Overloaded,
    Refused,
    TimedOut,
    Unavailable,
)
from runink.identity.vocabulary import Verb
from runink.operations.calls import Unauthenticated
from runink.operations.catalog.table import CATALOG
from runink.operations.declarations import fields_of

pytestmark = pytest.mark.anyio
FLIGHTS = {"herd": "flights"}


async def test_a_document_comes_back_as_its_struct(kind: Any) -> None:
    with served() as api:
        async with asking(kind, api.address) as anna:
            made = await anna.call(
                CREATE, **FLIGHTS, note="first", text="milk", marks=[Mark("blue", 2)]
            )
            assert made == Note("first", "milk", made.revision, (Mark("blue", 2),))
            assert await anna.call(GET, **FLIGHTS, note="first") == made


async def test_operations_are_called_by_their_names(kind: Any) -> None:
    with served() as api:
        api.notebook.put("flights", "first", "milk")
        async with asking(kind, api.address) as anna:
            found = anna.client.notes.get(herd="flights", note="first")
            assert (await found if anna.is_async else found).text == "milk"
            assert (await anna.call("notes.get", **FLIGHTS, note="first")).text == "milk"
            assert "notes" in dir(anna.client)
            assert dir(anna.client.notes) == sorted(one.name.partition(".")[2] for one in Names([ATTACH, CREATE, DELETE, EXPORT, GET, LIST, UPDATE, WATCH])._by_name.values())  # fmt: skip
            assert "Make a note." in anna.client.notes.create.__doc__
            with pytest.raises(AttributeError, match=r"no operation 'notes\.burn'"):
                anna.client.notes.burn(herd="flights")
            with pytest.raises(NotFound, match=r"notes\.gett"):
                anna.client.call("notes.gett")


async def test_a_list_is_read_to_its_end_page_by_page(kind: Any) -> None:
    with served() as api:
        for number in range(7):
            api.notebook.put("flights", f"n{number}", "x")
        async with asking(kind, api.address) as anna:
            found = await anna.stream(LIST, **FLIGHTS, limit=3).all()
            assert [one.note for one in found] == [f"n{number}" for number in range(7)]
            assert len(api.notebook.calls) == 3
            page = await anna.do("page", LIST, **FLIGHTS, limit=3)
            assert len(page.items) == 3
            assert page.next


async def test_what_goes_into_the_query_arrives_as_it_was_meant(kind: Any) -> None:
    with served() as api:
        async with asking(kind, api.address) as anna:
            asked = await anna.stream(LIST, **FLIGHTS, prefix="ä &=+", colour=["red", "b,c"], weight_min=3).all()  # fmt: skip
            assert asked == []
            made = await anna.call(CREATE, **FLIGHTS, text="dry", dry_run=True)
            assert made.text == "dry"
            assert api.notebook.notes == {}


async def test_a_change_says_which_revision_it_was_decided_on(kind: Any) -> None:
    with served() as api:
        read = api.notebook.put("flights", "first", "milk")
        async with asking(kind, api.address) as anna:
            changed = await anna.call(UPDATE, **FLIGHTS, note="first", text="tea", if_match=read)
            assert changed.text == "tea"
            with pytest.raises(Conflict) as refused:
                await anna.call(UPDATE, **FLIGHTS, note="first", text="rum", if_match=read.revision)
            assert refused.value.code == "precondition_failed"
            with pytest.raises(Refused) as missing:
                await anna.call(DELETE, **FLIGHTS, note="first")
            assert missing.value.code == "precondition_required"
            with pytest.raises(Invalid, match="if_match"):
                await anna.call(DELETE, **FLIGHTS, note="first", if_match=object())
            assert await anna.call(DELETE, **FLIGHTS, note="first", if_match="*") is None


async def test_bytes_go_up_and_come_down_in_pieces(kind: Any) -> None:
    async def pieces(_: Note) -> AsyncIterator[bytes]:
        for number in range(50):
            yield bytes([number]) * 10_000

    with served() as api:
        api.notebook.put("flights", "first", "milk")
        api.notebook.exported = pieces
        content = bytes(range(256)) * 4_000
        async with asking(kind, api.address) as anna:
            await anna.call(ATTACH, **FLIGHTS, note="first", content=content)
            assert api.notebook.attached["flights", "first"] == content
            download = anna.stream(EXPORT, **FLIGHTS, note="first")
            first = await download.next()
            assert first[:1] == b"\0"
            assert download.values.media_type == EXPORT.media_type
            rest = await download.read()
            assert len(first) + len(rest) == 500_000
            with pytest.raises(Refused) as large:
                await anna.stream(EXPORT, **FLIGHTS, note="first").read(100_000)
            assert large.value.code == "answer_too_large"


async def test_a_body_that_is_refused_before_its_end_is_told(kind: Any) -> None:
    with served() as api:
        api.notebook.put("flights", "first", "milk")
        async with asking(kind, api.address) as anna:
            with pytest.raises(Refused) as large:
                await anna.call(ATTACH, **FLIGHTS, note="first", content=bytes(3 << 20))
            assert large.value.code == "body_too_large"


async def test_each_refusal_is_the_error_that_it_was(kind: Any) -> None:
    with served() as api:
        api.guests.denied.add((api.guests.by_token["anna-token"].subject, Verb.UPDATE))
        async with asking(kind, api.address) as anna:
            with pytest.raises(NotFound) as absent:
                await anna.call(GET, **FLIGHTS, note="first")
            assert absent.value.code == "not_found"
            with pytest.raises(Forbidden):
                await anna.call(ATTACH, **FLIGHTS, note="first", content=b"x")
            with pytest.raises(Invalid) as invalid:
                await anna.call(CREATE, **FLIGHTS, text=7, marks=[{"weight": 12}])
            assert len(invalid.value.findings) == 2
            await anna.call(CREATE, **FLIGHTS, text="a", note="first")
            with pytest.raises(Conflict) as there:
                await anna.call(CREATE, **FLIGHTS, text="b", note="first")
            assert there.value.code == "exists"


async def test_a_slip_in_a_field_is_told_before_anything_is_sent(kind: Any) -> None:
    with served() as api:
        async with asking(kind, api.address) as anna:
            with pytest.raises(Invalid) as slip:
                await anna.call(CREATE, **FLIGHTS, text="a", dry_rum=True)
            assert "dry_run" in slip.value.hint
            with pytest.raises(Invalid, match="needs text"):
                await anna.call(CREATE, **FLIGHTS)
            with pytest.raises(NotFound):
                await anna.call(GET, herd="flights", note="../x")
        assert api.cable.connections == 0


async def test_a_bug_of_the_server_is_told_with_the_request_id(kind: Any) -> None:
    async def broken(_: Any) -> None:
        raise RuntimeError("secret")

    with served() as api:
        api.notebook.turn = broken
        async with asking(kind, api.address) as anna:
            with pytest.raises(Broken) as bug:
                await anna.call(GET, **FLIGHTS, note="first")
        assert "request" in bug.value.hint
        assert "secret" not in bug.value.text


async def test_a_call_that_may_work_later_is_made_again(kind: Any) -> None:
    left = [Unavailable("not now"), Overloaded("too much"), Unavailable("a moment")]

    async def turn(_: Any) -> None:
        if left:
            raise left.pop()

    with served() as api:
        api.notebook.turn = turn
        api.notebook.put("flights", "first", "milk")
        async with asking(kind, api.address) as anna:
            assert (await anna.call(GET, **FLIGHTS, note="first")).text == "milk"
        assert len(api.notebook.calls) == 4


async def test_a_post_with_a_key_that_is_lost_on_the_way_is_one_call(kind: Any) -> None:
    with served() as api:
        times: list[str] = []

        async def cut(operation: Any) -> None:
            times.append(operation.name)
            if len(times) == 1:
                api.cable.cut()

        api.notebook.turn = cut
        async with asking(kind, api.address) as anna:
            made = await anna.call(CREATE, **FLIGHTS, text="milk")
        assert made.text == "milk"
        assert len(api.notebook.made) == 1


async def test_a_change_without_a_key_that_is_lost_on_the_way_is_of_unknown_outcome(
    kind: Any,
) -> None:
    with served() as api:
        read = api.notebook.put("flights", "first", "milk")

        async def cut(_: Any) -> None:
            api.cable.cut()

        api.notebook.turn = cut
        async with asking(kind, api.address) as anna:
            with pytest.raises(Unavailable) as lost:
                await anna.call(UPDATE, **FLIGHTS, note="first", text="tea", if_match=read)
        assert lost.value.code == "outcome_unknown"
        assert len(api.notebook.calls) == 1


async def test_nobody_there_is_told_soon_and_says_where(kind: Any) -> None:
    with served() as api:
        pass
    began = time.monotonic()
    async with asking(kind, api.address) as anna:
        with pytest.raises(LinkLost) as nobody:
            await anna.call(GET, **FLIGHTS, note="first")
    assert api.address in nobody.value.text
    assert nobody.value.code == "not_connected"
    assert time.monotonic() - began < PATIENCE.within_s


async def test_an_answer_that_does_not_come_is_given_up_in_time(kind: Any) -> None:
    with served() as api:

        async def never(_: Any) -> None:
            await api.stop.wait()

        api.notebook.turn = never
        async with asking(kind, api.address) as anna:
            with pytest.raises(TimedOut):
                await anna.call(GET, **FLIGHTS, note="first", within_s=0.2)


async def test_a_connection_serves_many_calls_and_is_replaced_when_it_was_closed(kind: Any) -> None:
    with served() as api:
        api.notebook.put("flights", "first", "milk")
        async with asking(kind, api.address) as anna:
            for _ in range(5):
                await anna.call(GET, **FLIGHTS, note="first")
            assert api.cable.connections == 1
            api.on_loop(api.cable.cut)
            await anna.call(GET, **FLIGHTS, note="first")
            assert api.cable.connections == 2


async def test_a_token_that_was_not_taken_is_asked_for_once_more(kind: Any) -> None:
    class Tokens:
        def __init__(self) -> None:
            self.refused: list[str] = []

        def token(self, refused: str) -> str:
            self.refused.append(refused)
            return "anna-token" if refused else "old-token"

    with served() as api:
        api.notebook.put("flights", "first", "milk")
        tokens = Tokens()
        async with asking(kind, api.address, tokens) as anna:
            await anna.call(GET, **FLIGHTS, note="first")
            assert tokens.refused == ["", "old-token"]
        async with asking(kind, api.address, lambda: "no-token") as nobody:
            with pytest.raises(Unauthenticated):
                await nobody.call(GET, **FLIGHTS, note="first")


async def test_a_request_may_be_made_as_it_stands(kind: Any) -> None:
    with served() as api:
        api.notebook.put("flights", "first", "milk")
        async with asking(kind, api.address) as anna:
            answer = await anna.do("ask", "GET", "/herds/flights/notes/first")
            assert answer.head.status == 200
            assert b"milk" in answer.body
            same = await anna.do("ask", "GET", f"{BASE}/herds/flights/notes/first")
            assert same.body == answer.body
            for path in ("herds", "//elsewhere/herds", "/a b", "/a\r\nX: y"):
                with pytest.raises(Invalid):
                    await anna.do("ask", "GET", path)
            with pytest.raises(Invalid) as header:
                await anna.do("ask", "GET", "/version", headers=(("X", "a\r\nb"),))
            assert header.value.code == "bad_header"


async def test_a_socket_needs_no_token(kind: Any, tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    with served(make_door=lambda: Door(path), operator=ROOT) as api:
        api.notebook.put("flights", "first", "milk")
        async with asking(kind, f"unix:{path}", None) as root:
            assert (await root.call(GET, **FLIGHTS, note="first")).text == "milk"
    async with asking(kind, f"unix:{path}", None, patience=Patience(within_s=0.5)) as root:
        with pytest.raises(LinkLost, match=r"api\.sock"):
            await root.call(GET, **FLIGHTS, note="first")


def test_no_field_has_the_name_of_an_option_of_every_call() -> None:
    for operation in CATALOG:
        assert not {*OPTIONS, "operation", "self"} & set(fields_of(operation.request)), (
            operation.name
        )


def test_the_base_of_paths_is_the_servers() -> None:
    assert BASE == SERVER_BASE


def test_no_operation_hides_behind_a_method_of_the_clients() -> None:
    areas = {one.name.partition(".")[0].replace("-", "_") for one in CATALOG}
    for client in (Client, AsyncClient):
        assert not areas & set(vars(client))


def test_answers_of_a_newer_server_may_have_more_fields() -> None:
    for operation in CATALOG:
        if operation.answer is None:
            continue
        for kind in structs_of(operation.answer):
            assert not kind.__struct_config__.forbid_unknown_fields, f"{operation.name}: {kind}"


def structs_of(answer: Any) -> set[Any]:
    """Return the structs that an answer may have within it."""
    found: set[Any] = set()

    def look(info: Any) -> None:
        if isinstance(info, inspect.StructType) and info.cls not in found:
            found.add(info.cls)
        elif isinstance(info, inspect.StructType):
            return
        for name in ("type", "item_type", "value_type"):
            if hasattr(info, name):
                look(getattr(info, name))
        for one in (
            *getattr(info, "types", ()),
            *getattr(info, "item_types", ()),
            *getattr(info, "fields", ()),
        ):
            look(one.type if isinstance(one, inspect.Field) else one)

    look(inspect.type_info(answer))
    return found
