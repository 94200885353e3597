"""Requests that nobody would write: whatever comes, the server answers below 500 in words of its own, logs no failure, and serves the next one."""

from __future__ import annotations

import logging
import re
import socket
from functools import partial
from urllib.parse import quote_from_bytes

import pytest
from api_attack import clean, notes, served
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

WITHIN_S = 20.0
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
GOOD = b"Authorization: Bearer anna-token\r\n"

segments = st.one_of(
    st.sampled_from(["herds", "flights", "trains", "notes", "first", "watch", "docs", "..", ".", "", "%00", "%2e%2e", "%ff", "*"]),
    st.binary(max_size=12).map(quote_from_bytes),
    st.text(max_size=6).map(lambda text: text.encode(errors="replace").decode("latin-1")),
)  # fmt: skip
known = st.sampled_from(
    ["herds/flights/notes", "herds/flights/notes/first", "herds/flights/watch/notes", "docs", "herds/trains/notes"]
)  # fmt: skip
targets = st.one_of(known, known, st.lists(segments, max_size=6).map("/".join)).map("/api/v1/".__add__)  # fmt: skip
names = st.sampled_from(
    ["limit", "cursor", "prefix", "colour", "weight_min", "since", "dry_run", "herd", "x"]
)
values = st.one_of(st.binary(max_size=20).map(quote_from_bytes), st.sampled_from(["1", "-1", "0", "1e9", "nan", "null", "true", "9" * 40, ""]))  # fmt: skip
queries = st.lists(st.tuples(names, values).map("=".join), max_size=4).map("&".join)
json_texts = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8).map(repr), st.just('"x"')
    ).map(str),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda all_: "[" + ",".join(all_) + "]"),
        st.lists(st.tuples(st.sampled_from(['"text"', '"note"', '"marks"', '"colour"', '"\\ud800"']), inner).map(":".join), max_size=3).map(lambda all_: "{" + ",".join(all_) + "}"),
    ),
    max_leaves=8,
).map(lambda text: text.encode(errors="replace"))  # fmt: skip
bodies = st.one_of(st.just(b""), st.binary(max_size=40), json_texts)


def printable(text: str) -> bytes:
    return "".join(one for one in text if one.isprintable()).encode()


headers = st.lists(
    st.tuples(
        st.sampled_from([b"If-Match", b"If-None-Match", b"Idempotency-Key", b"Last-Event-ID", b"X-Request-Id", b"Traceparent", b"Content-Type", b"Origin", b"Expect", b"Accept", b"Content-Encoding"]),
        st.one_of(st.text(max_size=20).map(printable), st.binary(max_size=4), st.sampled_from([b"*", b'"1"', b"application/json", b"100-continue", b"gzip"])),
    ).map(lambda pair: pair[0] + b": " + pair[1] + b"\r\n"),
    max_size=2,
).map(b"".join)  # fmt: skip
odd_methods = st.sampled_from(["DELETE", "PATCH", "OPTIONS", "TRACE", "FOO", "HEAD"])
asked = st.one_of(
    st.tuples(st.just("GET"), st.just(b"")),
    st.tuples(st.sampled_from(["POST", "PUT"]), json_texts),
    st.tuples(odd_methods, bodies),
)
whose = st.sampled_from([GOOD, GOOD, GOOD, b"Authorization: Bearer wrong\r\n", b""])
kinds = st.sampled_from([b"Content-Type: application/json\r\n", b""])


def answered(port: int, request: bytes) -> bytes:
    """Send a request and return all that comes; what was not sent any more was refused before."""
    with socket.create_connection(("127.0.0.1", port), timeout=WITHIN_S) as connection:
        found = b""
        try:
            connection.sendall(request)
            while part := connection.recv(65536):
                found += part
        except ConnectionError:
            pass  # it was cut, as it may be behind an answer
        return found


def test_whatever_comes_the_server_answers_below_500(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with served(partial(notes, clean())) as address:
        port = int(address.rpartition(":")[2])
        seen: set[int] = set()

        @settings(
            max_examples=300,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(asked, targets, queries, st.tuples(whose, kinds, headers).map(b"".join))
        def ask(what: tuple[str, bytes], target: str, query: str, more: bytes) -> None:
            method, body = what
            line = f"{method} {target}?{query} HTTP/1.1\r\n".encode("latin-1")
            head = b"Host: x\r\nConnection: close\r\nContent-Length: %d\r\n" % len(body)
            answer = answered(port, line + head + more + b"\r\n" + body)
            statuses = [int(status) for status in STATUS.findall(answer)]
            assert statuses, (line, more, body)
            assert max(statuses) < 500, (line, more, body, answer[:300])
            assert statuses[-1] < 400 or method == "HEAD" or b"problem+json" in answer
            seen.update(statuses)

        ask()
        assert seen >= {200, 400, 401, 404, 422}, "it does not come as far as it should"
        assert b" 200 " in answered(port, b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")  # fmt: skip
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


ODD = {
    "absolute": b"GET http://evil.example/api/v1/health HTTP/1.1\r\nHost: x\r\n",
    "star": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n",
    "connect": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n",
    "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n",
    "upgrade": b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    "websocket": b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
    "expectation": b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\n",
    "expectation of nothing": b"GET /nowhere HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\n",
    "bad host": b"GET /api/v1/health HTTP/1.1\r\nHost: ]]][\r\n",
    "bad port": b"GET /api/v1/health HTTP/1.1\r\nHost: x:99999999\r\n",
    "no path": b"GET ? HTTP/1.1\r\nHost: x\r\n",
    "fragment": b"GET /api/v1/health#x HTTP/1.1\r\nHost: x\r\n",
    "old": b"GET /api/v1/health HTTP/1.0\r\n",
}  # fmt: skip


def test_forms_of_requests_that_this_server_has_no_use_for_do_it_no_harm(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    with served(partial(notes, clean())) as address:
        port = int(address.rpartition(":")[2])
        for name, head in ODD.items():
            closing = b"" if b"Connection" in head else b"Connection: close\r\n"
            with socket.create_connection(("127.0.0.1", port), timeout=WITHIN_S) as connection:
                connection.sendall(head + closing + b"\r\n")
                answer = connection.recv(65536)
            match = STATUS.match(answer)
            assert match is not None, (name, answer)
            assert int(match[1]) < 500, (name, answer)
            assert match[1] != b"101", name
            assert int(match[1]) < 400 or b"problem+json" in answer, name
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
