"""How long a frame may take: of sessions, of streams, and after a pause of our own."""

from __future__ import annotations

import pytest
from runink.errors import ProtocolViolation
from runink.wire.codec import encode
from runink.wire.events import Closed, State
from runink.wire.frames import FRAME_BYTES_MAX, MESSAGE_BYTES_MAX, frame
from runink.wire.messages import Ask, Hello, Ping, Tell
from runink.wire.pace import FRAME_S, PACE_BYTES
from runink.wire.session import DEFAULT_LIMITS, SILENT_S, Session
from runink.wire.stream_frames import CONTROL_BYTES_MAX, data_head
from runink.wire.streams import StreamSession

HELLO = frame(encode(Hello(1, 1, "one", "", b"", DEFAULT_LIMITS)))
PING = frame(encode(Ping()))


def opened() -> Session:
    session = Session.accepting("two", now=0.0, sizes=lambda *_: FRAME_BYTES_MAX)
    session.receive(HELLO, now=0.0)
    assert session.state is State.OPEN
    return session


def closed_for_pace(events: list[object]) -> bool:
    return any(
        isinstance(event, Closed)
        and isinstance(event.error, ProtocolViolation)
        and event.error.code == "frame_timed_out"
        for event in events
    )


def cut_s(session: Session | StreamSession, data: bytes, *, until_s: int) -> int | None:
    """Send a byte a second, and tick; return the second in which it was cut."""
    for second in range(1, until_s):
        if session.is_closed or closed_for_pace(list(session.tick(now=second))):
            return second
        session.receive(data[second - 1 : second] or PING[:0], now=second)
    return None


def test_a_frame_that_comes_byte_by_byte_is_cut():
    session = opened()
    slow = frame(encode(Tell(1, "a", "b", "x" * 500)))
    assert cut_s(session, slow, until_s=200) in range(int(FRAME_S), int(FRAME_S) + 4)


def test_a_length_that_comes_byte_by_byte_is_cut():
    session = opened()
    session.receive(PING[:1], now=1.0)
    for second in range(2, 11):
        assert not closed_for_pace(list(session.tick(now=second)))
    session.receive(PING[1:2], now=10.5)
    events = [*session.tick(now=11.0), *session.tick(now=12.0)]
    assert closed_for_pace(events)


def test_each_frame_has_a_time_of_its_own():
    session = opened()
    for second in range(1, 100):
        session.receive(PING[3:] + PING[:3] if second > 1 else PING[:3], now=second)
        assert session.tick(now=second) == []


def test_a_large_frame_has_the_time_that_it_takes_at_the_least_pace():
    session = opened()
    body = encode(Ask(1, "a", "b", b"x" * (2 * MESSAGE_BYTES_MAX), 60_000))
    data = frame(body)
    second = 0
    events: list[object] = []
    for at in range(0, len(data), PACE_BYTES):
        second += 1
        events += session.receive(data[at : at + PACE_BYTES], now=second)
        assert session.tick(now=second) == []
    assert isinstance(events[-1], Ask)
    assert second > 2 * FRAME_S


def test_a_pause_of_our_own_cuts_nobody_whose_bytes_have_come():
    session = opened()
    session.receive(PING[:3], now=1.0)
    assert session.tick(now=29.0) == []
    session.receive(PING[3:], now=29.0)
    assert session.tick(now=30.0) == []


def test_no_time_counts_while_we_read_nothing():
    session = opened()
    session.receive(PING[:3], now=1.0)
    for second in range(2, int(SILENT_S)):
        assert not closed_for_pace(list(session.tick(now=second, is_reading=False)))
    assert session.state is State.OPEN


@pytest.mark.parametrize(
    "slow",
    [data_head(1, 1000) + bytes(1000), (CONTROL_BYTES_MAX).to_bytes(4, "big") + bytes([0x91])],
    ids=["data", "other"],
)
def test_a_slow_frame_of_a_stream_is_cut(slow: bytes):
    two = StreamSession.accepting("two", now=0.0, admit=lambda _: None)
    one = StreamSession.connecting("one", now=0.0)
    two.receive(b"".join(one.take_output()), now=0.0)
    one.receive(b"".join(two.take_output()), now=0.0)
    one.open("edge", 1, bytes(32))
    two.receive(b"".join(one.take_output()), now=0.0)
    two.give(1, 4000)
    assert cut_s(two, slow, until_s=100) in range(int(FRAME_S), int(FRAME_S) + 5)
