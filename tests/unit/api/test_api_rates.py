"""Rates, limits, addresses, origins and ids: the pure parts, and what a client sees of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
from api_world import ANNA, BERT, World, world
from hypothesis import given
from hypothesis import strategies as st
from runink.api.addresses import counted_as, is_loopback
from runink.api.limits import Limits
from runink.api.origins import is_from_ours
from runink.api.tracing import request_id_of, traceparent_of
from runink.errors import Invalid
from runink.observe.api_metrics import Carrier
from runink.observe.metrics import METRICS
from runink.operations.rates import KnownGood, Rates


def test_a_burst_is_free_and_then_so_many_a_second() -> None:
    rates = Rates(per_s=2, burst=3)
    assert [rates.take("a", now_s=0).is_allowed for _ in range(4)] == [True, True, True, False]
    refused = rates.take("a", now_s=0.1)
    assert (refused.is_allowed, refused.left, refused.retry_s) == (False, 0, 1)
    assert rates.take("a", now_s=0.5).is_allowed
    assert not rates.take("a", now_s=0.9).is_allowed
    assert rates.take("b", now_s=0.9).is_allowed
    assert rates.policy == '"default";q=3;w=2'
    assert rates.take("b", now_s=0.9).header == '"default";r=1;t=1'


@given(st.lists(st.floats(0, 5), max_size=60), st.floats(0.1, 10), st.integers(1, 10))
def test_nobody_gets_more_than_a_burst_and_the_rate(
    pauses: list[float], per_s: float, burst: int
) -> None:
    rates = Rates(per_s=per_s, burst=burst)
    now_s, allowed = 0.0, 0
    for pause in pauses:
        now_s += pause
        allowance = rates.take("a", now_s=now_s)
        allowed += allowance.is_allowed
        assert allowed <= burst + now_s * per_s + 1e-6
        if not allowance.is_allowed:
            later = now_s + allowance.retry_s
            assert rates.look("a", now_s=later).is_allowed, "who waits as told is heard"


def test_who_waits_to_the_second_is_heard_whatever_fractions_there_are() -> None:
    for then_s in (16.71668954908222 - 1, 0.1 + 0.2, 1e6 / 3):
        rates = Rates(per_s=1.0, burst=1)
        assert rates.take("a", now_s=then_s).is_allowed
        refused = rates.take("a", now_s=then_s)
        assert rates.take("a", now_s=then_s + refused.retry_s).is_allowed


def test_a_clock_that_goes_back_gives_nothing() -> None:
    rates = Rates(per_s=1, burst=1)
    assert rates.take("a", now_s=10).is_allowed
    assert not rates.take("a", now_s=5).is_allowed


def test_only_so_many_buckets_are_kept_and_full_ones_not_at_all() -> None:
    rates = Rates(per_s=1, burst=2, buckets_max=100)
    for number in range(1000):
        rates.take(str(number), now_s=0)
    assert len(rates) == 100
    rates.take("x", now_s=60)
    assert len(rates) == 1


def test_tokens_that_were_good_are_known_for_a_while() -> None:
    known = KnownGood(kept_s=10, kept_max=2)
    for digest in (b"a", b"b", b"c"):
        known.add(digest, now_s=0)
    assert [known.has(one, now_s=10) for one in (b"a", b"b", b"c")] == [False, True, True]
    assert not known.has(b"b", now_s=10.1)


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("nonsense", ""),
    ],
)
def test_an_address_is_counted_by_what_one_machine_has(host: str, counted: str) -> None:
    assert counted_as(host) == counted


@pytest.mark.parametrize(
    ("host", "said"),
    [("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False), ("localhost.evil", False), ("10.0.0.1", False)],
)  # fmt: skip
def test_loopback_is_what_only_this_machine_reaches(host: str, *, said: bool) -> None:
    assert is_loopback(host) is said


OURS = frozenset({"https://runink.example"})


@pytest.mark.parametrize(
    ("method", "headers", "is_ours"),
    [
        ("GET", {}, True),
        ("HEAD", {"Sec-Fetch-Site": "cross-site"}, True),
        ("POST", {"Sec-Fetch-Site": "same-origin"}, True),
        ("POST", {"Sec-Fetch-Site": "same-site", "Origin": "https://runink.example"}, False),
        ("DELETE", {"Sec-Fetch-Site": "cross-site"}, False),
        ("PUT", {"Sec-Fetch-Site": "none"}, False),
        ("POST", {"Sec-Fetch-Site": ""}, False),
        ("POST", {"Origin": "https://runink.example"}, True),
        ("POST", {"Origin": "https://runink.example.evil"}, False),
        ("POST", {"Origin": "http://runink.example"}, False),
        ("POST", {"Origin": "null"}, False),
        ("POST", {}, False),
        ("PATCH", {"Referer": "https://runink.example/x"}, False),
        ("PROPFIND", {}, False),
    ],
)
def test_a_change_with_a_cookie_comes_from_a_page_of_ours(
    method: str, headers: dict[str, str], *, is_ours: bool
) -> None:
    assert is_from_ours(method, headers, OURS) is is_ours


@pytest.mark.parametrize(
    "said", ["", "short", "x" * 65, "a b c d e f", "id\r\nX: y-longer", "ä" * 9]
)
def test_an_id_that_is_none_is_made_anew(said: str) -> None:
    assert request_id_of(said, entropy=bytes(12)) == "0" * 24
    assert request_id_of("abc-123_X.9", entropy=bytes(12)) == "abc-123_X.9"


TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize(
    "said",
    ["", "nonsense", f"00-{'0' * 32}-b7ad6b7169203331-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-b7ad6b7169203331-01", f"ff-{TRACE}-b7ad6b7169203331-01", f"00-{TRACE}-b7ad6b7169203331-01-x"],
)  # fmt: skip
def test_a_trace_context_that_is_none_is_made_anew(said: str) -> None:
    made = traceparent_of(said, entropy=bytes(range(1, 25)))
    assert made == f"00-{bytes(range(9, 25)).hex()}-{bytes(range(1, 9)).hex()}-03"


def test_a_trace_goes_on_with_a_span_of_ours() -> None:
    made = traceparent_of(f"00-{TRACE}-b7ad6b7169203331-00", entropy=bytes(range(1, 25)))
    assert made == f"00-{TRACE}-{bytes(range(1, 9)).hex()}-00"


def test_limits_that_cannot_hold_are_refused() -> None:
    Limits().check()
    for change in (
        {"head_s": 0},
        {"requests_burst": -1},
        {"connections_per_address_max": 5000},
        {"body_bytes_max": 1 << 40},
        {"request_s": 60.0},
    ):
        with pytest.raises(Invalid) as caught:
            msgspec.structs.replace(Limits(), **change).check()
        assert next(iter(change)) in caught.value.text


@pytest.mark.anyio
async def test_who_asks_too_often_is_told_when_to_come_back_and_others_are_served() -> None:
    async with world(limits=Limits(requests_burst=3, requests_per_s=0.1)) as api:
        for left in (2, 1, 0):
            answer = await api.ask("GET", "/herds/flights/notes")
            assert answer.headers["RateLimit"].startswith(f'"default";r={left};t=')
        refused = await api.ask("GET", "/herds/flights/notes")
        assert (refused.status, refused.json["code"]) == (429, "rate_limited")
        assert 1 <= int(refused.headers["Retry-After"]) <= 10
        assert refused.headers["RateLimit-Policy"] == '"default";q=3;w=30'
        assert (await api.ask("GET", "/herds/trains/notes", BERT)).status == 200
        assert len(api.notebook.calls) == 4


@pytest.mark.anyio
async def test_an_address_that_sends_bad_tokens_is_not_heard_but_good_ones_are() -> None:
    async with world(limits=Limits(failures_burst=3, failures_per_s=0.01)) as api:
        assert (await api.ask("GET", "/herds/flights/notes")).status == 200
        wrong = [
            (
                await api.ask(
                    "GET", "/herds/flights/notes", {"Authorization": f"Bearer wrong{number}"}
                )
            )
            for number in range(5)
        ]
        assert [one.status for one in wrong] == [401, 401, 401, 429, 429]
        assert wrong[-1].json["code"] == "too_many_failures"
        asked = api.guests.asked
        assert asked == 4, "the others were not looked at"
        assert (await api.ask("GET", "/herds/flights/notes", ANNA)).status == 200
        assert (await api.ask("GET", "/herds/flights/notes", {})).status == 401


ATTACH = "/herds/flights/notes/first/attachment"
OF_BYTES = {**ANNA, "Content-Type": "application/octet-stream"}


@pytest.mark.anyio
async def test_who_sends_too_many_bytes_may_read_on_and_is_told_when_to_send_again() -> None:
    limits = Limits(received_bytes_burst=1000, received_bytes_per_s=0.1)
    async with world(limits=limits) as api:
        api.notebook.put("flights", "first", "x")
        assert (await api.ask("PUT", ATTACH, OF_BYTES, data=b"x" * 900)).status == 204
        assert (await api.ask("PUT", ATTACH, OF_BYTES, data=chunks(400))).status == 204
        refused = await api.ask("PUT", ATTACH, OF_BYTES, data=b"y")
        assert (refused.status, refused.json["code"]) == (429, "rate_limited")
        assert "send" in refused.json["detail"]
        assert int(refused.headers["Retry-After"]) > 3000
        assert api.notebook.attached["flights", "first"] == b"z" * 400
        assert (await api.ask("GET", "/herds/flights/notes")).status == 200
        sent = {"note": "second", "text": "x"}
        assert (await api.ask("POST", "/herds/trains/notes", BERT, json=sent)).status == 201


async def chunks(size: int) -> AsyncIterator[bytes]:
    """Yield a body whose length is not said before."""
    for _ in range(size // 100):
        yield b"z" * 100


@pytest.mark.anyio
async def test_who_was_sent_too_many_bytes_is_told_when_to_ask_again() -> None:
    async with world(limits=Limits(sent_bytes_burst=1000, sent_bytes_per_s=0.1)) as api:
        api.notebook.put("flights", "first", "x" * 1500)
        assert (await api.ask("HEAD", "/herds/flights/notes/first")).status == 200
        assert (await api.ask("GET", "/herds/flights/notes/first")).status == 200
        refused = await api.ask("GET", "/herds/flights/notes/first")
        assert (refused.status, refused.json["code"]) == (429, "rate_limited")
        assert int(refused.headers["Retry-After"]) > 4000
        assert (await api.ask("GET", "/herds/trains/notes", BERT)).status == 200


@pytest.mark.anyio
async def test_content_comes_whole_at_the_pace_of_the_budget_and_its_reader_may_ask_beside_it() -> None:  # fmt: skip
    async def pieces(_: object) -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 1000

    async with world(limits=Limits(sent_bytes_burst=8000, sent_bytes_per_s=100_000)) as api:
        api.notebook.put("flights", "first", "x")
        api.notebook.exported = pieces  # type: ignore[assignment] # of any note
        async with api.session.get(f"{api.url}/herds/flights/notes/first/text", headers=ANNA) as answer:  # fmt: skip
            assert await answer.content.readexactly(10_000) == b"x" * 10_000
            assert (await api.ask("GET", "/herds/flights/notes")).status == 200
            assert len(await answer.content.read()) == 30_000


@pytest.mark.anyio
async def test_events_wait_for_the_budget_and_none_is_lost() -> None:
    limits = Limits(sent_bytes_burst=4000, sent_bytes_per_s=50_000)
    watched = "/herds/flights/watch/notes"
    async with (
        world(limits=limits) as api,
        api.session.get(api.url + watched, headers=ANNA) as stream,
    ):
        for number in range(20):
            api.notebook.put("flights", f"n{number}", "x" * 800)
        told = b""
        while told.count(b"event: put") < 20:
            told += await stream.content.readany()
        assert (await api.ask("GET", "/herds/flights/notes/n1")).status == 200


@pytest.mark.anyio
async def test_what_is_answered_is_counted_by_herd_operation_and_class_and_foreign_herds_are_no_label() -> None:  # fmt: skip
    async with world(limits=Limits(requests_burst=5, requests_per_s=0.001)) as api:
        sent = {"note": "first", "text": "x" * 100}
        made = await api.ask("POST", "/herds/flights/notes", json=sent)
        assert made.status == 201
        for path in ("/herds/flights/notes/none", "/herds/trains/notes", "/herds/made-up/notes", "/nowhere"):  # fmt: skip
            assert (await api.ask("GET", path)).status == 404
        async with api.session.get(api.url + "/herds/flights/watch/notes", headers=ANNA) as stream:
            api.notebook.put("flights", "second", "y" * 500)
            while b"yyy" not in await stream.content.readany():
                pass
            during = counted(api)
        assert during["streams", "http"] == 1
        assert during["connections", "http"] >= 1
        assert (await api.ask("GET", "/herds/flights/notes")).status == 429
        after = counted(api)
    assert after["requests_total", "flights", "notes.create", "http", "2xx"] == 1
    assert after["requests_total", "flights", "notes.watch", "http", "2xx"] == 1
    assert after["requests_total", "", "notes.list", "http", "4xx"] == 3
    assert after["requests_total", "", "notes.get", "http", "4xx"] == 1
    assert not [labels for labels in after if {"trains", "made-up"} & set(labels)]
    assert after["refused_total", "http", "rate_limited"] == 1
    assert after["received_bytes_total", "flights", "http"] > 100
    assert during["sent_bytes_total", "flights", "http"] > 500 + len(made.body)
    assert after["request_seconds", "http"] > 0


def counted(api: World) -> dict[tuple[str, ...], float]:
    """Return what was counted, by the name and the values of labels in the order of the table."""
    metrics = api.parts.metrics
    metrics.watch(Carrier.HTTP, "server", api.server.statistics)
    return {
        (one.name.removeprefix("runink_api_"), *(one.labels[label] for label in METRICS[one.name].labels)): one.value
        for one in metrics.readings()
    }  # fmt: skip
