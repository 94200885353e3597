"""Whatever bytes come, the HTTP responder answers or hangs up, and then answers the next client."""

from __future__ import annotations

import anyio
import h11
from hypothesis import given, settings
from hypothesis import strategies as st
from runink.config import Address
from runink.observe.http_responder import Page, Responder, serving_http

REQUEST = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n"


async def page() -> Page:
    return Page(b"runink_x 1\n")


async def answer(port: int, sent: bytes) -> bytes:
    found = b""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        try:
            await stream.send(sent)
            await stream.send_eof()
            async for part in stream:
                found += part
        except anyio.BrokenResourceError:  # hung up before it had read all
            pass
    return found


def read(data: bytes) -> tuple[int, bytes]:
    """Read an answer as h11's client does; its status and body. Raises RemoteProtocolError."""
    http = h11.Connection(h11.CLIENT)
    http.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    http.send(h11.EndOfMessage())
    http.receive_data(data)
    http.receive_data(b"")
    response = http.next_event()
    assert isinstance(response, h11.Response), response
    body = b""
    while isinstance(event := http.next_event(), h11.Data):
        body += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage), event
    return response.status_code, body


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """A request in which some bytes are others, or are not there."""
    data = bytearray(REQUEST)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data) - 1))
        data[place : place + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(data)


@given(st.lists(st.binary(max_size=200) | spoiled(), min_size=1, max_size=5))
@settings(max_examples=60)
def test_no_bytes_take_the_responder_away(sent: list[bytes]):
    async def whole() -> None:
        place = Address("127.0.0.1", 0)
        async with serving_http(place, Responder({"/metrics": page})) as port:
            for data in sent:
                found = await answer(port, data)
                if found:
                    assert read(found)[0] in {200, 400, 404, 405, 421, 431, 501}
            assert read(await answer(port, REQUEST)) == (200, b"runink_x 1\n")

    anyio.run(whole)
