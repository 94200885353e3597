"""Whoever has to be looked at before it is let in: nothing is acknowledged before that is over, and the time of the handshake runs."""

from __future__ import annotations

import pytest
from runink.errors import Forbidden, TimedOut
from runink.wire.codec import encode
from runink.wire.events import Closed, Greeted, Opened, State
from runink.wire.frames import FrameReader, frame
from runink.wire.messages import Ask, Close, Hello, HelloAck, Ping, read_frame
from runink.wire.session import DEFAULT_LIMITS, HANDSHAKE_S, Session

HELLO = Hello(1, 1, "one", "sales", b"token", DEFAULT_LIMITS)


async def look() -> object:
    return "guest"


def greeted(*behind: object) -> tuple[Session, list[object]]:
    """Return a session that has had a Hello, and what it has told."""
    session = Session.accepting("two", now=0.0, admit=lambda _: Greeted(look))
    data = b"".join(frame(encode(one)) for one in (HELLO, *behind))
    return session, list(session.receive(data, now=0.0))


def sent_by(session: Session) -> list[object]:
    reader = FrameReader()
    reader.feed(session.take_output())
    found = []
    while (body := reader.next()) is not None:
        found.append(read_frame(body))
    return found


def test_nothing_is_acknowledged_before_it_is_known_who_it_is():
    session, events = greeted()
    assert events == [Greeted(look)]
    assert session.state is State.GREETING
    assert sent_by(session) == []
    assert session.let_in("guest") == [Opened("one", "sales", 1, "guest")]
    assert session.state is State.OPEN
    assert sent_by(session) == [HelloAck(1, "two", DEFAULT_LIMITS)]


def test_who_is_refused_behind_the_hello_is_told_why():
    session, _ = greeted()
    session.close(Forbidden("not you", code="message_forbidden"))
    (close,) = sent_by(session)
    assert isinstance(close, Close)
    assert close.error.code == "message_forbidden"
    assert session.let_in("guest") == []
    assert sent_by(session) == []


@pytest.mark.parametrize("early", [HELLO, Ping(), Ask(1, "api", "Call", {}, 1000)])
def test_who_does_not_wait_to_be_looked_at_is_closed(early: object):
    session, (first, second) = greeted(early)
    assert first == Greeted(look)
    assert isinstance(second, Closed)
    assert second.error.code == "out_of_turn"
    assert session.let_in("guest") == []


def test_the_handshake_ends_in_its_time_however_long_the_look_takes():
    session, _ = greeted()
    assert session.tick(now=HANDSHAKE_S - 0.1) == []
    (closed,) = session.tick(now=HANDSHAKE_S)
    assert isinstance(closed, Closed)
    assert closed.error.code == "handshake_timed_out"
    assert not isinstance(closed.error, TimedOut)
