"""Laws of streams between nodes: whatever pieces the connection comes in and wherever it is cut, a reader has what was written, and an end only behind all of it."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from runink.errors import Unavailable
from runink.wire.codec import encode
from runink.wire.events import Closed
from runink.wire.frames import frame
from runink.wire.messages import Hello
from runink.wire.stream_frames import TOKEN_BYTES, Data, Open, data_head
from runink.wire.streams import Came, Ended, StreamEvent, StreamSession

TOKEN = bytes(TOKEN_BYTES)


def admit(_: Hello) -> None:
    """Let everybody in."""


def pair() -> tuple[StreamSession, StreamSession]:
    """Return a writer's and a reader's end, behind the handshake."""
    writer = StreamSession.connecting("one", now=0.0)
    reader = StreamSession.accepting("two", now=0.0, admit=admit)
    carry(writer, reader)
    carry(reader, writer)
    assert writer.is_open
    assert reader.is_open
    return writer, reader


def output(session: StreamSession) -> bytes:
    return b"".join(session.take_output())


def carry(source: StreamSession, target: StreamSession) -> list[StreamEvent]:
    return target.receive(output(source), now=0.0)


def cut_up(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    return [data[one:other] for one, other in pairwise(places)]


def got(events: list[StreamEvent]) -> dict[int, bytes]:
    found: defaultdict[int, bytes] = defaultdict(bytes)
    for event in events:
        if isinstance(event, Came):
            found[event.stream] += bytes(event.data)
    return dict(found)


@given(st.lists(st.binary(max_size=60), max_size=10))
def test_no_bytes_make_an_end_raise(pieces: list[bytes]) -> None:
    for session in (
        StreamSession.connecting("one", now=0.0),
        StreamSession.accepting("two", now=0.0, admit=admit),
        *pair(),
    ):
        events = [event for piece in pieces for event in session.receive(piece, now=0.0)]
        assert sum(isinstance(event, Closed) for event in events) == session.is_closed


writes = st.lists(st.tuples(st.integers(1, 3), st.binary(min_size=1, max_size=50)), max_size=12)


@given(writes, st.lists(st.integers(0, 1200), max_size=12), st.integers(0, 1200))
def test_a_reader_has_what_was_written_and_an_end_only_behind_all_of_it(
    written: list[tuple[int, bytes]], cuts: list[int], length: int
) -> None:
    writer, reader = pair()
    for number in (1, 2, 3):
        assert writer.open(f"edge {number}", 1, TOKEN) == number
    carry(writer, reader)
    for number in (1, 2, 3):
        reader.give(number, 1 << 16)
    carry(reader, writer)
    sent: defaultdict[int, bytes] = defaultdict(bytes)
    for number, data in written:
        writer.data(number, data)
        sent[number] += data
    for number in (1, 2, 3):
        writer.finish(number)
    data = output(writer)
    is_cut = length < len(data)
    events = [
        event for piece in cut_up(data[:length], cuts) for event in reader.receive(piece, now=0.0)
    ]
    events += reader.end()
    came = got(events)
    for number in (1, 2, 3):
        assert sent[number].startswith(came.get(number, b""))
        if Ended(number) in events:
            assert came.get(number, b"") == sent[number]
    assert is_cut or {Ended(1), Ended(2), Ended(3)} <= {
        one for one in events if isinstance(one, Ended)
    }


@given(st.lists(st.tuples(st.integers(1, 400), st.integers(0, 400)), min_size=1, max_size=20))
def test_no_more_is_on_its_way_than_there_was_room_for(turns: list[tuple[int, int]]) -> None:
    writer, reader = pair()
    stream = writer.open("edge", 1, TOKEN)
    carry(writer, reader)
    given_bytes = sent = 0
    for room, wanted in turns:
        reader.give(stream, room)
        given_bytes += room
        carry(reader, writer)
        size = min(wanted, writer.room(stream))
        if size:
            writer.data(stream, bytes(size))
            sent += size
        assert sent <= given_bytes
        assert writer.room(stream) == given_bytes - sent
        assert not any(isinstance(event, Closed) for event in carry(writer, reader))


@given(st.integers(1, 400), st.integers(1, 400), st.booleans())
def test_data_beyond_the_room_ends_the_connection_and_is_not_given_on(
    room: int,
    excess: int,
    is_packed: bool,  # noqa: FBT001 - hypothesis gives it
) -> None:
    writer, reader = pair()
    reader.receive(frame(encode(Open(1, "edge", 1, TOKEN))), now=0.0)
    reader.give(1, room)
    data = bytes(room + excess)
    sent = frame(encode(Data(1, data))) if is_packed else data_head(1, len(data)) + data
    (event,) = reader.receive(sent, now=0.0)
    assert isinstance(event, Closed)
    assert event.error.code == "limit_exceeded"
    assert any(isinstance(one, Closed) for one in carry(reader, writer))


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.integers(0, 8))
def test_what_was_under_way_when_a_reader_had_enough_is_dropped_and_others_go_on(
    sizes: list[int], enough: int
) -> None:
    writer, reader = pair()
    for name in ("mine", "other"):
        writer.open(name, 1, TOKEN)
    carry(writer, reader)
    for number in (1, 2):
        reader.give(number, 1 << 16)
    carry(reader, writer)
    events: list[StreamEvent] = []
    for at, size in enumerate(sizes):
        if at == enough:
            reader.reset(1, Unavailable("enough"))
        if writer.room(1):
            writer.data(1, bytes(size))
        writer.data(2, bytes(size))
        events += carry(writer, reader)
        carry(reader, writer)
    writer.finish(2)
    events += carry(writer, reader)
    assert len(got(events).get(1, b"")) == sum(sizes[:enough])
    assert len(got(events)[2]) == sum(sizes)
    assert Ended(2) in events
    assert not reader.is_closed
