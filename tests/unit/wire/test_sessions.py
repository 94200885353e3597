"""Two session machines back to back: handshake, numbers, credit, deadlines, and every way to be closed."""

from __future__ import annotations

from typing import Any

import pytest
from runink.errors import (
    Forbidden,
    Invalid,
    LinkLost,
    NotFound,
    ProtocolViolation,
    Refused,
    TimedOut,
    Unavailable,
    to_wire,
)
from runink.testing.frames import plain_events
from runink.wire.codec import encode
from runink.wire.events import Closed, Event, Expired, Opened, State
from runink.wire.frames import frame
from runink.wire.messages import (
    Answer,
    Ask,
    Close,
    Credit,
    Failure,
    Hello,
    HelloAck,
    Limits,
    Ping,
    Pong,
    Tell,
)
from runink.wire.session import Session

LIMITS = Limits(1 << 16, 3, 4)


class Two:
    """A connecting and an accepting end, and what they were told."""

    def __init__(self, **options: Any) -> None:
        self.now = 0.0
        self.one = Session.connecting("one", now=0.0, herd="sales", limits=LIMITS)
        self.two = Session.accepting("two", now=0.0, limits=LIMITS, **options)

    def exchange(self) -> tuple[list[Event], list[Event]]:
        """Carry bytes both ways until nothing moves, and return the events of each."""
        of_one: list[Event] = []
        of_two: list[Event] = []
        while (forth := self.one.take_output()) + (back := self.two.take_output()):
            of_two += plain_events(self.two.receive(forth, now=self.now))
            of_one += plain_events(self.one.receive(back, now=self.now))
        return of_one, of_two

    def opened(self) -> Two:
        self.exchange()
        assert self.one.state is self.two.state is State.OPEN
        return self


def sent(*frames: Any) -> bytes:
    return b"".join(frame(encode(one)) for one in frames)


def closing(events: list[Event]) -> Closed:
    assert isinstance(events[-1], Closed)
    return events[-1]


def test_the_handshake_tells_each_who_the_other_is():
    assert Two().exchange() == ([Opened("two", "", 1)], [Opened("one", "sales", 1)])


def test_tells_arrive_with_target_type_body_and_trace():
    two = Two().opened()
    trace = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    two.one.tell("barn", "Put", {"key": "k"}, traceparent=trace)
    assert two.exchange() == ([], [Tell(1, "barn", "Put", {"key": "k"}, trace)])


def test_asks_are_answered_by_number_in_any_order():
    two = Two().opened()
    first = two.one.ask("barn", "Get", [1], within_s=2.5)
    second = two.one.ask("barn", "Get", [2], within_s=1)
    _, asked = two.exchange()
    assert asked == [Ask(1, "barn", "Get", [1], 2500), Ask(2, "barn", "Get", [2], 1000)]
    two.two.answer(second, "b")
    two.two.fail(first, NotFound("no key", hint="put it"))
    answered, _ = two.exchange()
    assert answered[0] == Answer(second, "b")
    assert isinstance(answered[1], Failure)
    assert answered[1].error.kind == "NotFound"


def test_both_ends_may_ask():
    two = Two().opened()
    two.two.ask("agent", "Ping", None, within_s=1)
    asked, _ = two.exchange()
    assert asked == [Ask(1, "agent", "Ping", None, 1000)]


def test_versions_that_do_not_meet_refuse_each_other_with_words():
    session = Session.accepting("two", now=0.0)
    closed = closing(session.receive(sent(Hello(7, 9, "one", "", b"", LIMITS)), now=0.0))
    assert isinstance(closed.error, Refused)
    assert closed.error.code == "version_mismatch"
    other = Session.connecting("one", now=0.0)
    told = closing(other.receive(session.take_output(), now=0.0))
    assert told.error.text == "one speaks versions 7 to 9 of the protocol, two 1 to 1"


def test_who_is_not_admitted_is_told_why():
    def admit(hello: Hello) -> None:
        raise Forbidden(f"{hello.herd} may not")

    of_one, of_two = Two(admit=admit).exchange()
    for events in (of_one, of_two):
        closed = closing(events)
        assert isinstance(closed.error, Forbidden)
        assert closed.error.text == "sales may not"


def test_a_version_that_was_not_offered_closes():
    session = Session.connecting("one", now=0.0)
    closed = closing(session.receive(sent(HelloAck(2, "two", LIMITS)), now=0.0))
    assert closed.error.code == "bad_version"


@pytest.mark.parametrize("early", [Tell(1, "a", "b", None), Answer(1, None), Ping(), Credit(1)])
def test_nothing_goes_before_the_handshake(early: Any):
    session = Session.accepting("two", now=0.0)
    closed = closing(session.receive(sent(early), now=0.0))
    assert isinstance(closed.error, ProtocolViolation)
    assert closed.error.code == "out_of_turn"


def test_a_second_hello_closes():
    two = Two().opened()
    hello = Hello(1, 1, "one", "other", b"", LIMITS)
    assert closing(two.two.receive(sent(hello), now=0.0)).error.code == "out_of_turn"
    two = Two().opened()
    assert closing(two.one.receive(sent(hello), now=0.0)).error.code == "out_of_turn"


def test_before_the_handshake_frames_are_small():
    session = Session.accepting("two", now=0.0)
    closed = closing(session.receive((65_537).to_bytes(4, "big"), now=0.0))
    assert closed.error.code == "frame_too_large"


def test_a_handshake_that_does_not_come_closes():
    session = Session.accepting("two", now=10.0)
    assert session.tick(now=14.9) == []
    closed = closing(session.tick(now=15.0))
    assert closed.error.code == "handshake_timed_out"
    assert session.state is State.CLOSED


@pytest.mark.parametrize("number", [1, 3, 9])
def test_numbers_without_gaps_or_repeats(number: int):
    two = Two().opened()
    two.one.tell("a", "b", None)
    two.exchange()
    closed = closing(two.two.receive(sent(Tell(number, "a", "b", None)), now=0.0))
    assert closed.error.code == "bad_number"


def test_an_answer_to_what_was_not_asked_closes():
    two = Two().opened()
    assert closing(two.one.receive(sent(Answer(1, None)), now=0.0)).error.code == "bad_number"


def test_an_ask_is_answered_once():
    two = Two().opened()
    number = two.one.ask("a", "b", None, within_s=1)
    two.exchange()
    two.two.answer(number, 1)
    two.two.answer(number, 2)
    two.two.fail(number, NotFound("no"))
    assert two.exchange() == ([Answer(number, 1)], [])


def test_credit_comes_back_when_tells_have_found_their_place():
    two = Two().opened()
    for _ in range(LIMITS.tells_max):
        two.one.tell("a", "b", None)
    assert two.one.tells_room == 0
    two.exchange()
    two.two.settle_tell(1)
    assert two.exchange() == ([], [])
    two.two.settle_tell(2)
    assert two.exchange() == ([Credit(2)], [])
    assert two.one.tells_room == 2


def test_tells_without_credit_close():
    two = Two().opened()
    too_many = [Tell(number, "a", "b", None) for number in range(1, LIMITS.tells_max + 2)]
    events = two.two.receive(sent(*too_many), now=0.0)
    assert len(events) == LIMITS.tells_max + 1
    assert closing(events).error.text == "more than 4 Tells without credit"


def test_asks_above_the_limit_close():
    two = Two().opened()
    too_many = [Ask(number, "a", "b", None, 1000) for number in range(1, LIMITS.asks_max + 2)]
    assert closing(two.two.receive(sent(*too_many), now=0.0)).error.code == "limit_exceeded"


def test_credit_that_nobody_used_closes():
    two = Two().opened()
    assert closing(two.one.receive(sent(Credit(1)), now=0.0)).error.code == "limit_exceeded"


def test_an_ask_whose_time_is_over_is_answered_and_its_place_free_again():
    two = Two().opened()
    for _ in range(LIMITS.asks_max):
        two.one.ask("a", "b", None, within_s=10)
    assert two.one.asks_room == 0
    two.exchange()
    assert two.two.tick(now=10.9) == []
    assert two.two.tick(now=11.0) == [Expired(1), Expired(2), Expired(3)]
    two.two.answer(1, "too late")
    answered, _ = two.exchange()
    failures = [event for event in answered if isinstance(event, Failure)]
    assert [failure.error.kind for failure in failures] == [TimedOut.__name__] * 3
    assert two.one.asks_room == LIMITS.asks_max


def test_a_quiet_connection_is_asked_whether_it_lives():
    two = Two().opened()
    assert two.one.tick(now=9.9) == []
    assert two.one.take_output() == b""
    two.one.tick(now=10.0)
    two.one.tick(now=11.0)
    ping = two.one.take_output()
    assert ping == sent(Ping())
    two.two.receive(ping, now=11.0)
    assert two.two.take_output() == sent(Pong())


def test_a_silent_peer_is_given_up():
    two = Two().opened()
    two.one.tick(now=10.0)
    closed = closing(two.one.tick(now=30.0))
    assert isinstance(closed.error, LinkLost)
    assert two.one.tick(now=60.0) == []


def test_a_stream_that_ends_is_a_lost_link():
    two = Two().opened()
    assert isinstance(closing(two.one.end()).error, LinkLost)
    assert two.one.end() == []
    assert two.one.receive(sent(Ping()), now=0.0) == []


def test_a_close_is_told_to_the_other_end_as_it_is():
    two = Two().opened()
    two.two.close(Unavailable("two is stopping", code="stopping", hint="try again"))
    (closed,), _ = two.exchange()
    assert isinstance(closed, Closed)
    assert isinstance(closed.error, Unavailable)
    assert (closed.error.code, closed.error.hint) == ("stopping", "try again")


def test_nothing_is_taken_behind_a_close():
    two = Two().opened()
    error = Close(to_wire(Unavailable("bye")))
    events = two.one.receive(sent(error, Ping(), Answer(9, None)), now=0.0)
    assert len(events) == 1


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (["x"], "no frame begins with x"),
        ([True], "no frame begins with True"),
        ([], "no frame begins with None"),
        ({"kind": 3}, "no frame begins with None"),
        ([99], "no frame begins with 99"),
        ([3, 1, "a", "b"], "Tell: Expected `array` of at least length 5"),
        ([3, 1, "a", "b", None, "", "more"], "Tell: Expected `array` of at most length 5, got 6"),
        ([3, 1, "a", "b", None, "no trace"], "Tell: Expected `str` matching regex"),
        ([3, 0, "a", "b", None], "Tell: Expected `int` >= 1"),
        ([3, 1, "a" * 257, "b", None], "Tell: Expected `str` of length <= 256"),
        ([4, 1, "a", "b", None, -1], "Ask: Expected `int` >= 0"),
        ([6, 1, {"kind": "x", "code": "y"}], "Failure: Object missing required field `text`"),
        ([6, 1, {"kind": "x", "code": "y", "text": "z", "w": 1}], "unknown field `$.error.w`"),
    ],
)
def test_a_frame_that_is_none_closes_with_words(value: Any, words: str):
    two = Two().opened()
    closed = closing(two.two.receive(sent(value), now=0.0))
    assert isinstance(closed.error, ProtocolViolation)
    assert words in closed.error.text
    of_one, _ = two.exchange()
    assert words in closing(of_one).error.text


def test_what_the_peer_cannot_take_is_refused_before_it_is_sent():
    two = Two().opened()
    number = two.one.ask("a", "b", None, within_s=1)
    two.exchange()
    for send in (
        lambda: two.one.tell("a", "b", b"x" * (1 << 16)),
        lambda: two.one.ask("a", "b", b"x" * (1 << 16), within_s=1),
        lambda: two.two.answer(number, b"x" * (1 << 16)),
        lambda: two.one.tell("a", "b", object()),
    ):
        with pytest.raises(Invalid):
            send()
    two.two.fail(number, Invalid("y" * (1 << 17)))
    answered, _ = two.exchange()
    assert isinstance(answered[0], Failure)
    assert two.one.tells_room == LIMITS.tells_max
    two.one.tell("a", "b", None)
    assert two.exchange() == ([], [Tell(2, "a", "b", None)])


def test_what_has_not_been_taken_surely_did_not_arrive():
    two = Two().opened()
    first = two.one.ask("a", "b", None, within_s=1)
    two.one.take_output()
    second = two.one.ask("a", "b", None, within_s=1)
    assert two.one.may_have_arrived(first)
    assert not two.one.may_have_arrived(second)
