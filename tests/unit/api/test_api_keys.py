"""Idempotency keys: the table of what is to be done, and real calls that come twice, together, and after a crash."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from anyio.lowlevel import checkpoint
from api_world import ANNA, BERT, SOON_S, World, world
from notebook import MemoryKeys
from runink.api.replies import Reply
from runink.errors import Conflict, Invalid, QuotaExceeded, Unavailable
from runink.operations.declarations import Operation
from runink.operations.idempotency import (
    KEPT_MS,
    LEASE_MS,
    Again,
    Begin,
    Record,
    check_key,
    decide,
    is_kept,
    once_of,
    opened,
    place_of,
    request_hash,
)
from runink.operations.once import once

pytestmark = pytest.mark.anyio
NOTES = "/herds/flights/notes"
KEYED = ANNA | {"Idempotency-Key": "key-1"}
OURS, OTHER = b"ours", b"other"


DONE = Record(OURS, 0, 0, 201, (("ETag", "x"),), b"y")


@pytest.mark.parametrize(
    ("kept", "now_ms", "found"),
    [
        (None, 5, Begin(Record(OURS, 5, 5 + LEASE_MS))),
        (Record(OTHER, 0, 0), KEPT_MS, Begin(Record(OURS, KEPT_MS, KEPT_MS + LEASE_MS))),
        (DONE, KEPT_MS, Begin(Record(OURS, KEPT_MS, KEPT_MS + LEASE_MS))),
        (Record(OURS, 3, 50), 49, "in_flight"),
        (Record(OURS, 3, 50), 50, Begin(Record(OURS, 3, 50 + LEASE_MS))),
        (opened(Record(OURS, 3, 50)), 4, Begin(Record(OURS, 3, 4 + LEASE_MS))),
        (Record(OTHER, 0, 50), 5, "key_reused"),
        (Record(OTHER, 0, 50), 60, "key_reused"),
        (opened(Record(OTHER, 0, 50)), 5, "key_reused"),
        (Record(OTHER, 0, 0, 201), 5, "key_reused"),
        (DONE, KEPT_MS - 1, Again(201, {"ETag": "x"}, b"y")),
    ],
)
def test_what_is_kept_says_what_is_to_be_done(
    kept: Record | None, now_ms: int, found: Begin | Again | str
) -> None:
    if isinstance(found, str):
        with pytest.raises((Conflict, Invalid)) as caught:
            decide(kept, OURS, now_ms=now_ms)
        assert caught.value.code == found
    else:
        assert decide(kept, OURS, now_ms=now_ms) == found


def test_a_record_is_kept_by_everything_that_makes_a_call_one() -> None:
    parts = ("user:anna", "flights", "notes.create", "key")
    others = {place_of(*parts[:place], "x", *parts[place + 1 :]) for place in range(4)}
    assert len(others | {place_of(*parts)}) == 5
    assert place_of("a", "b") != place_of("ab", "")
    assert request_hash("POST", "/x", b"y") != request_hash("POST", "/xy", b"")


def test_all_tries_of_a_call_go_by_one_id_and_the_next_call_with_its_key_by_another() -> None:
    first = decide(None, OURS, now_ms=7)
    assert isinstance(first, Begin)
    again = decide(opened(first.record), OURS, now_ms=9)
    late = decide(opened(first.record), OURS, now_ms=7 + KEPT_MS)
    assert isinstance(again, Begin)
    assert isinstance(late, Begin)
    assert once_of("place", again.record) == once_of("place", first.record)
    assert once_of("place", late.record) != once_of("place", first.record)
    assert once_of("place", first.record).startswith("000000000007"), "ids that sort by time"


@pytest.mark.parametrize("text", ["", "a b", "ä", "x" * 256, "a\n", "\x00"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        check_key(text)


async def test_an_empty_key_is_refused_and_not_passed_over() -> None:
    async with world() as api:
        answer = await api.ask("POST", NOTES, ANNA | {"Idempotency-Key": ""}, json={"text": "x"})
        assert (answer.status, answer.json["code"]) == (400, "bad_request")
        assert not api.notebook.made


@pytest.mark.parametrize(
    ("status", "size", "kept"), [(201, 10, True), (409, 10, True), (429, 1, False), (503, 1, False), (201, 1 << 20, False)]
)  # fmt: skip
def test_what_may_work_later_is_not_kept(status: int, size: int, *, kept: bool) -> None:
    assert is_kept(status, b"x" * size) is kept


async def test_the_same_call_again_gets_the_same_answer_and_makes_nothing() -> None:
    async with world() as api:
        first = await api.ask("POST", NOTES, KEYED, json={"text": "x"})
        again = await api.ask("POST", NOTES, KEYED, json={"text": "x"})
        assert (again.status, again.body) == (201, first.body) == (first.status, first.body)
        assert again.headers["ETag"] == first.headers["ETag"]
        assert again.headers["Idempotency-Replayed"] == "true"
        assert "Idempotency-Replayed" not in first.headers
        assert len(api.notebook.made) == 1


async def test_the_key_with_another_request_is_refused() -> None:
    async with world() as api:
        await api.ask("POST", NOTES, KEYED, json={"text": "x"})
        for path, body in ((NOTES, {"text": "y"}), (NOTES + "?dry_run=true", {"text": "x"})):
            answer = await api.ask("POST", path, KEYED, json=body)
            assert (answer.status, answer.json["code"]) == (422, "key_reused")
        assert len(api.notebook.made) == 1


async def test_others_have_keys_of_their_own() -> None:
    async with world() as api:
        api.guests.herds["user:https://login.example:bert"].add("flights")
        await api.ask("POST", NOTES, KEYED, json={"text": "x"})
        await api.ask("POST", NOTES, KEYED | BERT, json={"text": "x"})
        assert len(set(api.notebook.made)) == 2


async def test_of_two_calls_at_once_one_is_made() -> None:
    async with world() as api:
        answers = await asyncio.gather(
            *(api.ask("POST", NOTES, KEYED, json={"text": "x"}) for _ in range(8))
        )
        assert len(api.notebook.made) == 1
        made = [answer for answer in answers if answer.status == 201]
        others = [answer for answer in answers if answer.status != 201]
        assert made
        assert {(one.status, one.json["code"]) for one in others} <= {(409, "in_flight")}
        assert all(one.headers["Retry-After"] == "1" for one in others)


async def test_a_refusal_is_given_again_and_a_mistake_is_not_kept() -> None:
    async with world() as api:

        async def refuse(operation: Operation) -> None:
            del operation
            api.notebook.turn = None
            raise QuotaExceeded("no notes are left")

        wrong = await api.ask("POST", NOTES, KEYED, json={"txt": "x"})
        assert wrong.status == 422
        api.notebook.turn = refuse
        first = await api.ask("POST", NOTES, KEYED, json={"text": "x"})
        again = await api.ask("POST", NOTES, KEYED, json={"text": "x"})
        assert (first.status, again.body) == (409, first.body)
        assert again.headers["Content-Type"] == "application/problem+json"
        assert not api.notebook.made


async def test_what_may_work_later_is_asked_anew_and_the_key_stays_with_its_request() -> None:
    async with world() as api:

        async def fail(operation: Operation) -> None:
            del operation
            api.notebook.turn = None
            raise Unavailable("not now")

        api.notebook.turn = fail
        assert (await api.ask("POST", NOTES, KEYED, json={"text": "x"})).status == 503
        other = await api.ask("POST", NOTES, KEYED, json={"text": "y"})
        assert (other.status, other.json["code"]) == (422, "key_reused")
        assert (await api.ask("POST", NOTES, KEYED, json={"text": "x"})).status == 201
        ids = {context.once for _, _, context in api.notebook.calls}
        assert len(ids) == 1


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [("PUT", f"{NOTES}/first", "Idempotency-Key"), ("POST", NOTES, "If-Match")],
)
async def test_a_header_that_has_no_effect_is_refused(method: str, path: str, name: str) -> None:
    async with world() as api:
        answer = await api.ask(method, path, ANNA | {name: '"1"'}, json={"text": "x"})
        assert (answer.status, answer.json["code"]) == (400, "bad_request")
        assert name in answer.json["detail"]
        assert not api.notebook.calls


class Crash(BaseException):
    """The process is gone: nothing behind it runs any more."""


class CrashingKeys(MemoryKeys):
    """A store whose server dies before its n-th step, so that nothing of what follows is done, not even tidying up."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._steps = steps
        self.is_dead = False

    def _step(self) -> None:
        if self.is_dead or self._steps == 0:
            self.is_dead = True
            raise Crash
        self._steps -= 1

    async def read(self, place: str) -> tuple[Record | None, int]:
        self._step()
        return await super().read(place)

    async def write(self, place: str, record: Record, *, version: int) -> int:
        self._step()
        return await super().write(place, record, version=version)


@pytest.mark.parametrize("steps", range(3))
async def test_a_crash_at_any_point_costs_a_wait_and_never_a_second_note(steps: int) -> None:
    notes: set[str] = set()

    async def make(once_id: str) -> Reply:
        notes.add(once_id)  # by what the call goes by, as a service makes things
        return Reply(201, {}, b"made")

    store = CrashingKeys(steps)
    with suppress(Crash):
        await once(store, "key", OURS, call=make, clock=lambda: 0)
    store.is_dead, store._steps = False, 99
    with suppress(Conflict):  # at once: it may be told that the call is under way
        await once(store, "key", OURS, call=make, clock=lambda: 1)
    reply = await once(store, "key", OURS, call=make, clock=lambda: LEASE_MS)
    assert (reply.status, reply.body) == (201, b"made")
    assert len(notes) == 1


async def test_a_call_that_was_cancelled_may_be_made_again_at_once() -> None:
    store = MemoryKeys()
    ids: list[str] = []

    async def make(once_id: str) -> Reply:
        ids.append(once_id)
        if len(ids) == 1:
            raise asyncio.CancelledError
        return Reply(201, {}, b"")

    with pytest.raises(asyncio.CancelledError):
        await once(store, "key", OURS, call=make, clock=lambda: 0)
    assert (await once(store, "key", OURS, call=make, clock=lambda: 0)).status == 201
    assert ids[0] == ids[1]


async def test_an_answer_that_cannot_be_kept_is_given_all_the_same(world_down: World) -> None:
    answer = await world_down.ask("POST", NOTES, KEYED, json={"text": "x"})
    assert answer.status == 201
    again = await world_down.ask("POST", NOTES, KEYED, json={"text": "x"})
    assert (again.status, again.json["code"]) == (409, "in_flight")


@pytest.fixture
async def world_down() -> Any:
    keys = MemoryKeys()
    keys.is_down = True
    async with world(keys=keys) as api:
        yield api


async def test_a_call_that_is_under_way_is_told_as_such() -> None:
    go = asyncio.Event()

    async def wait(operation: Operation) -> None:
        del operation
        await go.wait()

    async with world() as api:
        api.notebook.turn = wait
        asking = asyncio.ensure_future(api.ask("POST", NOTES, KEYED, json={"text": "x"}))
        async with asyncio.timeout(SOON_S):
            while not api.notebook.calls:
                await checkpoint()
        again = await api.ask("POST", NOTES, KEYED, json={"text": "x"})
        assert (again.status, again.json["code"]) == (409, "in_flight")
        go.set()
        assert (await asking).status == 201
