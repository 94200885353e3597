"""Requests to a real server: who may, what is read, what is answered."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from api_world import ANNA, BERT, World, world
from runink.errors import (
    Broken,
    InvariantBroken,
    NotLeader,
    OutcomeUnknown,
    QuotaExceeded,
    TimedOut,
)
from runink.identity.vocabulary import Verb
from runink.operations.declarations import Operation

pytestmark = pytest.mark.anyio
NOTES = "/herds/flights/notes"


def raising(error: BaseException) -> Any:
    async def turn(operation: Operation) -> None:
        del operation
        raise error

    return turn


async def test_a_note_is_made_read_changed_and_taken_away() -> None:
    async with world() as api:
        made = await api.ask("POST", NOTES, json={"text": "hello", "note": "first"})
        assert (made.status, made.json["text"]) == (201, "hello")
        read = await api.ask("GET", f"{NOTES}/first")
        assert (read.status, read.json) == (200, made.json)
        assert read.headers["ETag"].startswith(f'"{read.json["revision"]}-')
        matching = ANNA | {"If-Match": read.headers["ETag"]}
        changed = await api.ask("PUT", f"{NOTES}/first", matching, json={"text": "again"})
        assert (changed.status, changed.json["text"]) == (200, "again")
        stale = await api.ask("DELETE", f"{NOTES}/first", matching)
        assert (stale.status, stale.json["code"]) == (412, "precondition_failed")
        any_of = ANNA | {"If-Match": "*"}
        assert (await api.ask("DELETE", f"{NOTES}/first", any_of)).status == 204
        assert (await api.ask("GET", f"{NOTES}/first")).status == 404


async def test_a_change_without_a_condition_is_428_and_with_a_weak_tag_412() -> None:
    async with world() as api:
        note = api.notebook.put("flights", "first", "x")
        bare = await api.ask("PUT", f"{NOTES}/first", json={"text": "y"})
        assert (bare.status, bare.json["code"]) == (428, "precondition_required")
        weak = ANNA | {"If-Match": f'W/"{note.revision}"'}
        assert (await api.ask("PUT", f"{NOTES}/first", weak, json={"text": "y"})).status == 412
        twice = [*ANNA.items(), ("If-Match", '"1"'), ("If-Match", '"2"')]
        assert (await api.ask("PUT", f"{NOTES}/first", twice, json={"text": "y"})).status == 400  # type: ignore[arg-type] # pairs


async def test_what_is_known_already_is_not_sent_again() -> None:
    async with world() as api:
        api.notebook.put("flights", "first", "x")
        read = await api.ask("GET", f"{NOTES}/first")
        again = await api.ask("GET", f"{NOTES}/first", ANNA | {"If-None-Match": f'"z", {read.headers["ETag"]}'})  # fmt: skip
        assert (again.status, again.body, again.headers["ETag"]) == (304, b"", read.headers["ETag"])
        api.notebook.put("flights", "first", "y")
        changed = await api.ask("GET", f"{NOTES}/first", ANNA | {"If-None-Match": read.headers["ETag"]})  # fmt: skip
        assert changed.status == 200
        document = await api.ask("GET", "/openapi.json", {})
        known = {"If-None-Match": document.headers["ETag"]}
        assert (await api.ask("GET", "/openapi.json", known)).status == 304


async def test_head_is_get_without_its_body() -> None:
    async with world() as api:
        api.notebook.put("flights", "first", "x")
        read = await api.ask("GET", f"{NOTES}/first")
        head = await api.ask("HEAD", f"{NOTES}/first")
        assert (head.status, head.body) == (200, b"")
        assert head.headers["Content-Length"] == str(len(read.body))
        assert head.headers["ETag"] == read.headers["ETag"]


async def test_pages_follow_each_other_at_one_revision() -> None:
    async with world() as api:
        for number in range(7):
            api.notebook.put("flights", f"n{number}", "x")
        api.notebook.put("flights", "other", "x")
        names, revisions, cursor = [], set(), ""
        while True:
            page = await api.ask("GET", f"{NOTES}?limit=3&prefix=n&cursor={cursor}")
            assert page.status == 200
            names += [note["note"] for note in page.json["items"]]
            revisions.add(page.json["revision"])
            cursor = page.json["next"]
            if not cursor:
                break
            api.notebook.put("trains", "late", "x")  # the revision moves on meanwhile
        assert names == [f"n{number}" for number in range(7)]
        assert len(revisions) == 1


async def test_a_cursor_is_good_for_its_own_list_only() -> None:
    async with world() as api:
        for herd in ("flights", "trains"):
            for number in range(3):
                api.notebook.put(herd, f"n{number}", "x")
        api.guests.herds["user:https://login.example:bert"].add("flights")
        cursor = (await api.ask("GET", f"{NOTES}?limit=1")).json["next"]
        for path, headers in (
            (f"{NOTES}?cursor={cursor[:-2]}AA", ANNA),
            (f"{NOTES}?cursor={cursor}&prefix=n", ANNA),
            (f"{NOTES}?cursor={cursor}", BERT),
        ):
            answer = await api.ask("GET", path, headers)
            assert (answer.status, answer.json["code"]) == (422, "invalid_cursor"), path
        assert (await api.ask("GET", f"{NOTES}?cursor={cursor}")).status == 200
        assert (await api.ask("GET", f"{NOTES}?limit=501")).status == 422


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic YW5uYTo="},
        {"Authorization": "Bearer anna-token, Bearer bert-token"},
        {"Authorization": "anna-token"},
        {"Authorization": "Bearer " + "x" * 8193},
    ],
)
async def test_who_is_not_known_is_told_nothing_but_that(headers: dict[str, str]) -> None:
    async with world() as api:
        answer = await api.ask("GET", "/herds/FLIGHTS/notes/first?x=1", headers)
        assert (answer.status, answer.json["code"]) in {
            (401, "unauthenticated"),
            (400, "bad_request"),
        }
        if answer.status == 401:
            assert answer.headers["WWW-Authenticate"] == 'Bearer realm="runink"'
        assert "made up" not in answer.body.decode()
        assert not api.notebook.calls


async def test_who_asks_and_for_what_reaches_the_service_with_its_context() -> None:
    async with world() as api:
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        headers = ANNA | {"X-Request-Id": "my-request-1", "Traceparent": trace}
        answer = await api.ask("POST", NOTES, headers, json={"text": "x"})
        assert answer.headers["X-Request-Id"] == "my-request-1"
        ((name, caller, context),) = api.notebook.calls
        assert name == "notes.create"
        assert caller.principal is not None
        assert caller.principal.name.endswith(":anna")
        assert caller.address == "127.0.0.1"
        assert context.request_id == "my-request-1"
        assert context.traceparent.startswith("00-0af7651916cd43dd8448eb211c80319c-")
        assert not context.traceparent.endswith("b7ad6b7169203331-01")
        assert context.once == ""


async def test_things_of_a_herd_that_one_does_not_see_are_not_there_byte_for_byte() -> None:
    async with world() as api:
        api.notebook.put("trains", "secret", "x")
        fixed = ANNA | {"X-Request-Id": "fixed-request"}
        for method, path in (
            ("GET", "/herds/{}/notes/secret"),
            ("GET", "/herds/{}/notes"),
            ("POST", "/herds/{}/notes"),
            ("PUT", "/herds/{}/notes/secret"),
            ("DELETE", "/herds/{}/notes/secret"),
            ("GET", "/herds/{}/watch/notes"),
            ("GET", "/herds/{}/notes/secret/text"),
        ):
            there = await api.ask(method, path.format("trains"), fixed, data=b"{nonsense")
            absent = await api.ask(method, path.format("nowher"), fixed, data=b"{nonsense")
            assert there.status == absent.status == 404, path
            assert there.body.replace(b"trains", b"nowher") == absent.body
            varying = {"Date", "RateLimit", "Ratelimit"}
            assert {k: v for k, v in there.headers.items() if k not in varying} == {
                k: v for k, v in absent.headers.items() if k not in varying
            }
        assert not api.notebook.calls


async def test_what_one_may_not_in_a_herd_that_one_sees_is_403_whether_it_is_there_or_not() -> None:
    async with world() as api:
        api.guests.denied.add(("user:https://login.example:anna", Verb.GET))
        api.notebook.put("flights", "first", "x")
        for name in ("first", "other"):
            answer = await api.ask("GET", f"{NOTES}/{name}")
            assert (answer.status, answer.json["code"]) == (403, "forbidden")
            path = {"herd": "flights", "note": name}
            assert api.notebook.denials[-1] == ("notes.get", path, "forbidden")
        assert not api.notebook.calls


async def test_the_herd_comes_from_the_path_alone() -> None:
    async with world() as api:
        body = await api.ask("POST", NOTES, json={"text": "x", "herd": "trains"})
        assert (body.status, body.json["findings"][0]["code"]) == (422, "unknown_field")
        query = await api.ask("POST", NOTES + "?herd=trains", json={"text": "x"})
        assert (query.status, query.json["findings"][0]["code"]) == (422, "unknown_field")


@pytest.mark.parametrize(
    "path",
    [
        "/herds/../health", "/herds/flights/notes/..%2f..%2fetc", "/herds/flights/notes/a%00", "/herds/flights/notes/%0a", "/herds//notes",
        "/herds/flights/notes/first/", "//health", "/health/", "/herds/flights/notes/a%2Fb", "/herds/flights/notes/%ff", "/herds/flights%2fnotes",
    ],
)  # fmt: skip
async def test_paths_that_lead_nowhere_are_404(path: str) -> None:
    async with world() as api:
        head = f"GET /api/v1{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer anna-token\r\n\r\n"
        answer = await api.raw(head.encode())
        assert answer.startswith(b"HTTP/1.1 404 ")
        assert b"application/problem+json" in answer


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b'{"text":"x"}', 201),
        ("application/json; charset=utf-8", b'{"text":"x"}', 201),
        ('application/json;charset="UTF-8"', b'{"text":"x"}', 201),
        ("application/json; charset=latin-1", b'{"text":"x"}', 415),
        ("application/jsonx", b'{"text":"x"}', 415),
        ("text/plain", b'{"text":"x"}', 415),
        ("application/x-www-form-urlencoded", b"text=x", 415),
        ("application/json", b'{"text":"x","text":"y"}', 422),
        ("application/json", b"{", 422),
        ("application/json", b"", 422),
    ],
)
async def test_a_body_is_json_and_says_so(kind: str, body: bytes, status: int) -> None:
    async with world() as api:
        answer = await api.ask("POST", NOTES, ANNA | {"Content-Type": kind}, data=body)
        assert answer.status == status


async def test_a_query_that_cannot_be_read_is_400_and_what_it_has_too_much_422() -> None:
    async with world() as api:
        for query, status in (
            ("limit=3&prefix=", 200),
            ("limit", 400),
            ("prefix=%ff", 400),
            ("&".join(f"a{number}=1" for number in range(70)), 400),
            ("limt=3", 422),
            ("limit=3&limit=4", 422),
        ):
            head = f"GET /api/v1{NOTES}?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer anna-token\r\n\r\n"
            answer = await api.raw(head.encode())
            assert answer.startswith(b"HTTP/1.1 %d " % status), query


async def test_another_method_is_405_with_those_that_there_are() -> None:
    async with world() as api:
        answer = await api.ask("PATCH", f"{NOTES}/first")
        assert (answer.status, answer.json["code"]) == (405, "method_not_allowed")
        assert answer.headers["Allow"] == "DELETE, GET, HEAD, PUT"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (QuotaExceeded("no slices are left"), 409, "quota_exceeded"),
        (NotLeader("another member leads"), 503, "not_leader"),
        (TimedOut("no answer"), 504, "timed_out"),
        (OutcomeUnknown("it crashed"), 504, "outcome_unknown"),
        (Broken("the secret is hunter2"), 500, "broken"),
        (InvariantBroken("the secret is hunter2"), 500, "invariant_broken"),
        (RuntimeError("the secret is hunter2"), 500, "broken"),
        (AssertionError("the secret is hunter2"), 500, "broken"),
    ],
)
async def test_errors_are_problems_and_bugs_say_nothing_of_themselves(
    error: BaseException, status: int, code: str
) -> None:
    async with world() as api:
        api.notebook.turn = raising(error)
        answer = await api.ask("GET", f"{NOTES}/first")
        assert (answer.status, answer.json["code"]) == (status, code)
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json["type"] == f"/api/v1/docs#problem-{code}"
        assert answer.json["instance"] == f"/api/v1{NOTES}/first"
        assert answer.json["request_id"] == answer.headers["X-Request-Id"]
        assert ("Retry-After" in answer.headers) == (status == 503)
        assert "hunter2" not in answer.body.decode()
        assert "Traceback" not in answer.body.decode()


async def test_the_line_of_a_request_has_no_token_and_no_value_of_its_query(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with world() as api:
        await api.ask("GET", f"{NOTES}?prefix=hunter2", ANNA | {"X-Request-Id": "fixed-request"})
        await api.ask("GET", NOTES, {"Authorization": "Bearer hunter2"})
        await api.ask("POST", NOTES, json={"text": "hunter2", "nothing": "hunter2"})
    lines = [record for record in caplog.records if record.name == "runink.api.access"]
    first = vars(lines[0])
    assert (first["request_id"], first["operation"], first["status"]) == ("fixed-request", "notes.list", 200)  # fmt: skip
    assert (first["query"], first["principal"]) == ("prefix", "user:https://login.example:anna")
    everything = json.dumps([{**vars(line), "args": ""} for line in lines], default=str)
    assert "anna-token" not in everything
    assert everything.count("hunter2") == 1, (
        "what was wrong with a token is for the log: our own test says the token in it"
    )
    assert [vars(line)["code"] for line in lines] == ["", "unauthenticated", "invalid"]


async def test_every_answer_has_the_headers_that_keep_browsers_out() -> None:
    async with world() as api:
        for path, headers in (
            ("/health", {}),
            ("/docs", {}),
            (NOTES, {}),
            (NOTES, ANNA),
            ("/x", {}),
        ):
            answer = await api.ask("GET", path, headers)
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
            assert answer.headers["Server"] == "runink"
            assert answer.headers["X-Request-Id"]
            assert "Access-Control-Allow-Origin" not in answer.headers
            assert "Strict-Transport-Security" not in answer.headers
        page = await api.ask("GET", "/docs", {})
        assert page.headers["Content-Security-Policy"].startswith("default-src 'self'")


async def test_pages_of_other_origins_read_answers_only_where_that_was_said() -> None:
    console = "https://console.example"
    asking = {"Origin": console, "Access-Control-Request-Method": "PUT"}
    async with world() as api:
        assert (await api.ask("OPTIONS", NOTES, asking)).status == 405
    async with world(shared=frozenset({console})) as api:
        told = await api.ask("OPTIONS", NOTES, asking)
        assert (told.status, told.headers["Access-Control-Allow-Origin"]) == (204, console)
        assert "Access-Control-Allow-Credentials" not in told.headers
        other = await api.ask("OPTIONS", NOTES, asking | {"Origin": "https://evil.example"})
        assert other.status == 405
        read = await api.ask("GET", NOTES, ANNA | {"Origin": console})
        assert read.headers["Access-Control-Allow-Origin"] == console
        denied = await api.ask("GET", NOTES, {"Origin": console})
        assert denied.headers["Access-Control-Allow-Origin"] == console
        evil = await api.ask("GET", NOTES, ANNA | {"Origin": "https://evil.example"})
        assert "Access-Control-Allow-Origin" not in evil.headers
        assert evil.headers["Vary"] == "Origin"


async def test_bytes_are_sent_as_they_come_and_cut_when_they_fail() -> None:
    async def cut(note: Any) -> Any:
        yield note.text.encode()
        raise RuntimeError("the disk is gone")

    async def whole(note: Any) -> Any:
        yield note.text.encode()
        yield b" and more"

    async with world() as api:
        api.notebook.put("flights", "first", "hello")
        assert (await api.ask("GET", f"{NOTES}/first/text")).body == b"hello"
        api.notebook.exported = whole
        head = await api.ask("HEAD", f"{NOTES}/first/text")
        assert (head.status, head.body) == (200, b"")
        assert (await api.ask("GET", f"{NOTES}/first/text")).body == b"hello and more"
        api.notebook.exported = cut
        with pytest.raises(Exception, match=r"payload|disconnected|reset"):
            await api.ask("GET", f"{NOTES}/first/text")
        assert (await api.ask("GET", "/health", {})).status == 200


async def test_more_calls_than_there_are_places_for_are_told_to_come_later(
    world_of_one: World,
) -> None:
    api = world_of_one
    api.notebook.put("flights", "first", "x")

    async def ask_again(operation: Operation) -> None:
        api.notebook.turn = None
        answer = await api.ask("GET", f"{NOTES}/first")
        assert (answer.status, answer.json["code"]) == (503, "overloaded")
        assert answer.headers["Retry-After"] == "1"

    api.notebook.turn = ask_again
    assert (await api.ask("GET", f"{NOTES}/first")).status == 200
    assert (await api.ask("GET", f"{NOTES}/first")).status == 200


@pytest.fixture
async def world_of_one() -> Any:
    from runink.api.limits import Limits

    async with world(limits=Limits(requests_at_once_max=1)) as api:
        yield api
