"""How large a frame may be: by its kind, by its message's class, by what was asked; and what it costs in memory."""

from __future__ import annotations

import tracemalloc
from typing import Any, ClassVar

import msgspec
import pytest
from runink.errors import Invalid, Overloaded, from_wire
from runink.testing.frames import plain_events
from runink.wire.arrivals import SMALL_BYTES, UNDER_WAY_MAX
from runink.wire.codec import encode
from runink.wire.events import Closed, Event
from runink.wire.frames import FRAME_BYTES_MAX, HEAD_BYTES, MESSAGE_BYTES_MAX, FrameReader, frame
from runink.wire.messages import Answer, Ask, Failure, Hello, Tell, head_of, read_frame
from runink.wire.session import DEFAULT_LIMITS, HELLO_BYTES_MAX, Session

PIECE = 256 << 10


class Large(msgspec.Struct, frozen=True):
    bytes_max: ClassVar[int] = FRAME_BYTES_MAX
    answer_bytes_max: ClassVar[int] = FRAME_BYTES_MAX
    data: bytes = b""


class Small(msgspec.Struct, frozen=True):
    data: bytes = b""


def size_of(_: str, kind: str) -> int:
    return FRAME_BYTES_MAX if kind == "Large" else MESSAGE_BYTES_MAX


def opened() -> tuple[Session, Session]:
    one = Session.connecting("one", now=0.0)
    two = Session.accepting("two", now=0.0, sizes=size_of)
    carry(one, two)
    carry(two, one)
    return one, two


def carry(source: Session, target: Session) -> list[Event]:
    return receive(target, source.take_output())


def receive(target: Session, data: bytes) -> list[Event]:
    events: list[Event] = []
    for at in range(0, len(data), PIECE):
        events += target.receive(data[at : at + PIECE], now=0.0)
    return events


def closed(events: list[Event]) -> str:
    assert isinstance(events[-1], Closed)
    return events[-1].error.code


def test_a_message_of_a_large_class_arrives_and_so_does_its_answer():
    one, two = opened()
    number = one.ask("a", "Large", Large(bytes(5 << 20)), within_s=9)
    (asked,) = carry(one, two)
    assert isinstance(asked, Ask)
    two.answer(number, asked.body, bytes_max=FRAME_BYTES_MAX)
    (answered,) = carry(two, one)
    assert answered == Answer(number, {"data": bytes(5 << 20)})


def test_a_message_of_another_class_is_refused_where_it_is_sent():
    one, two = opened()
    with pytest.raises(Invalid) as info:
        one.ask("a", "Small", Small(bytes(MESSAGE_BYTES_MAX)), within_s=9)
    assert info.value.code == "frame_too_large"
    number = one.ask("a", "Small", Small(), within_s=9)
    carry(one, two)
    with pytest.raises(Invalid):
        two.answer(number, bytes(MESSAGE_BYTES_MAX))
    two.answer(number, None)
    assert plain_events(carry(two, one)) == [Answer(number, None)]


@pytest.mark.parametrize("kind", [Tell, Ask])
def test_a_message_of_another_class_ends_the_connection_when_its_head_has_come(kind: Any):
    _, two = opened()
    more = (60_000,) if kind is Ask else ()
    data = frame(encode(kind(1, "a", "Small", bytes(MESSAGE_BYTES_MAX), *more)))
    assert receive(two, data[: HEAD_BYTES + 3]) == []
    assert closed(receive(two, data[HEAD_BYTES + 3 : HEAD_BYTES + 4])) == "frame_too_large"


def test_an_answer_larger_than_the_request_says_ends_the_connection():
    one, two = opened()
    one.ask("a", "Large", Large(), within_s=9)
    number = one.ask("a", "Small", Small(), within_s=9)
    carry(one, two)
    two.answer(number, bytes(MESSAGE_BYTES_MAX), bytes_max=FRAME_BYTES_MAX)
    assert closed(carry(two, one)) == "frame_too_large"


def test_an_error_is_never_large():
    one, two = opened()
    number = one.ask("a", "Large", Large(), within_s=9)
    carry(one, two)
    two.fail(number, Invalid("x" * MESSAGE_BYTES_MAX))
    (failed,) = carry(two, one)
    assert isinstance(failed, Failure)
    assert len(failed.error.text) == 200


@pytest.mark.parametrize("end", ["connecting", "accepting"])
def test_before_the_handshake_both_ends_take_little(end: str):
    session = getattr(Session, end)("x", now=0.0)
    session.take_output()
    length = (HELLO_BYTES_MAX + 1).to_bytes(4, "big")
    assert closed(session.receive(length, now=0.0)) == "frame_too_large"


def test_what_comes_behind_the_hello_in_one_piece_may_be_large():
    session = Session.accepting("two", now=0.0, sizes=size_of)
    hello = frame(encode(Hello(1, 1, "one", "", b"", DEFAULT_LIMITS)))
    events = session.receive(hello + frame(encode(Tell(1, "a", "Large", bytes(2 << 20)))), now=0.0)
    assert isinstance(events[-1], Tell)


@pytest.mark.parametrize(
    "body",
    [b"\x05", b"\x90", b"\x91\x03", b"\x95\x03\x01\x91\x01", b"\x95\x03\x01\xa1\xff", b"\x96\x90"],
)
def test_the_head_of_nonsense_is_none(body: bytes):
    assert head_of(body + bytes(HEAD_BYTES - len(body))) is None


def test_the_longest_head_is_read():
    name = "\N{GRINNING FACE}" * 256
    body = encode(Tell((1 << 63) - 1, name, name, bytes(2 << 20)))
    head = head_of(body[:HEAD_BYTES])
    assert head is not None
    assert (head.number, head.target, head.type) == ((1 << 63) - 1, name, name)


def test_asks_beyond_what_may_be_under_way_are_refused_and_go_on_later():
    one, two = opened()
    size = 4 << 20
    most = UNDER_WAY_MAX // (size + 100)
    numbers = [one.ask("a", "Large", Large(bytes(size)), within_s=9) for _ in range(most + 1)]
    events = carry(one, two)
    assert [event.number for event in events if isinstance(event, Ask)] == numbers[:-1]
    (refused,) = carry(two, one)
    assert isinstance(refused, Failure)
    assert isinstance(from_wire(refused.error), Overloaded)
    two.answer(numbers[0], None)
    again = one.ask("a", "Large", Large(bytes(size)), within_s=9)
    assert [event.number for event in carry(one, two) if isinstance(event, Ask)] == [again]


def test_tells_beyond_what_may_be_under_way_end_the_connection():
    one, two = opened()
    for number in range(1, UNDER_WAY_MAX // (4 << 20) + 1):
        one.tell("a", "Large", Large(bytes(4 << 20)))
        events = carry(one, two)
        if number == 1:
            two.settle_tell(1)
    assert isinstance(events[-1], Tell)
    one.tell("a", "Large", Large(bytes(4 << 20)))
    assert closed(carry(one, two)) == "limit_exceeded"


def test_small_messages_do_not_count():
    one, two = opened()
    for _ in range(DEFAULT_LIMITS.tells_max):
        one.tell("a", "Small", Small(bytes(SMALL_BYTES // 2)))
    assert len(carry(one, two)) == DEFAULT_LIMITS.tells_max


def test_a_large_frame_is_not_copied_before_its_value_is_made():
    data = frame(encode(Tell(1, "a", "Large", bytes(FRAME_BYTES_MAX - 100))))
    pieces = [data[at : at + PIECE] for at in range(0, len(data), PIECE)]
    reader = FrameReader()
    tracemalloc.start()
    try:
        for piece in pieces:
            reader.feed(piece)
            body = reader.next()
        assert body is not None
        _, gathered = tracemalloc.get_traced_memory()
        value = read_frame(body)
        _, decoded = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(value, Tell)
    assert gathered < 1.25 * FRAME_BYTES_MAX
    assert decoded < 2.25 * FRAME_BYTES_MAX
