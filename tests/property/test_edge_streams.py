"""Laws of an edge's bytes: headers and streams come back as they were, and damage is seen and never taken for an end."""

from __future__ import annotations

import os
import threading
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runink.errors import ProtocolViolation
from runink.pipes import slots
from runink.pipes.batch import Batch
from runink.pipes.edge import Barrier, EdgeReader, EdgeWriter, ProducerFailed
from runink.pipes.frames import (
    BODY_BYTES_MAX,
    ERROR_BYTES_MAX,
    FINGERPRINT_BYTES_MAX,
    GREETING_BYTES,
    HEADER_BYTES,
    ORIGIN_BYTES_MAX,
    Header,
    Kind,
    fingerprint_bytes,
    greeting,
    packed,
    unpacked,
)
from runink.pipes.open import open_pipe, open_slots
from runink.pipes.os_pipe import open_reader, open_writer
from runink.pipes.slot_protocol import unpacked_head

BODIES = {
    Kind.SCHEMA: BODY_BYTES_MAX,
    Kind.BATCH: BODY_BYTES_MAX,
    Kind.BARRIER: 0,
    Kind.ERROR: ERROR_BYTES_MAX,
    Kind.END: 0,
}
INT64 = st.integers(-(2**63), 2**63 - 1)
HEADERS = st.sampled_from(Kind).flatmap(
    lambda kind: st.builds(
        Header,
        st.just(kind),
        st.integers(0, ORIGIN_BYTES_MAX),
        st.integers(0, BODIES[kind]),
        INT64,
    )
)
COLUMNS = st.one_of(
    st.tuples(st.just(pa.int64()), st.lists(st.none() | INT64, max_size=6)),
    st.tuples(st.just(pa.string()), st.lists(st.none() | st.text(max_size=9), max_size=6)),
    st.tuples(st.just(pa.bool_()), st.lists(st.none() | st.booleans(), max_size=6)),
    st.tuples(
        st.just(pa.dictionary(pa.int8(), pa.string())),
        st.lists(st.none() | st.sampled_from(["UA", "DL", "AA"]), max_size=6),
    ),
    st.tuples(
        st.just(pa.list_(pa.int32())),
        st.lists(st.none() | st.lists(st.integers(0, 9), max_size=3), max_size=6),
    ),
)
NAMES = st.sampled_from(["a", "b", "ü"])
ORIGINS = st.text(max_size=12)


@st.composite
def batches(draw: Any) -> Batch:
    kind, values = draw(COLUMNS)
    column = pa.array(values, kind)
    return Batch(
        pa.record_batch([column], names=[draw(NAMES)]),
        draw(ORIGINS),
        draw(st.integers(0, 2**40)),
    )


EVENTS = st.lists(st.builds(Barrier, st.integers(0, 99)) | batches(), max_size=6)


def write_all(writer: EdgeWriter, events: list[Batch | Barrier], *, ends: bool = True) -> None:
    for event in events:
        if isinstance(event, Barrier):
            writer.barrier(event.epoch)
        else:
            writer.write(event)
    if ends:
        writer.end()
    writer.close()


def written(events: list[Batch | Barrier], *, ends: bool = True) -> bytes:
    pipe = open_pipe()
    write_all(open_writer(pipe.write, fingerprint="f"), events, ends=ends)
    with os.fdopen(pipe.read, "rb") as file:
        return file.read()


def reader_of(data: bytes) -> EdgeReader:
    pipe = open_pipe()
    assert os.write(pipe.write, data) == len(data)
    os.close(pipe.write)
    return open_reader(pipe.read, fingerprint="f")


def crossed(events: list[Batch | Barrier]) -> tuple[list[Batch | Barrier], Exception | None]:
    """Return what comes out of slots into which a thread writes these."""
    ends = open_slots()
    reader = slots.open_reader(ends.read, fingerprint="f")
    writer = slots.open_writer(ends.write, fingerprint="f", memory_bytes=1)
    thread = threading.Thread(target=write_all, args=(writer, events))
    thread.start()
    try:
        return drained(reader)
    finally:
        thread.join()


def read(data: bytes) -> tuple[list[Batch | Barrier], Exception | None]:
    return drained(reader_of(data))


def drained(reader: EdgeReader) -> tuple[list[Batch | Barrier], Exception | None]:
    found: list[Batch | Barrier] = []
    try:
        found.extend(reader.events())
    except (ProducerFailed, ProtocolViolation) as error:
        return found, error
    finally:
        reader.close()
    return found, None


@given(HEADERS)
def test_a_header_comes_back_as_it_was(header: Header) -> None:
    assert unpacked(packed(header)) == header


@given(HEADERS, st.integers(0, HEADER_BYTES * 8 - 1))
def test_a_header_with_a_turned_bit_is_no_header(header: Header, bit: int) -> None:
    """The checksum finds every single bit, save in the three bytes that say nothing: those, too, are under it."""
    head = bytearray(packed(header))
    head[bit // 8] ^= 1 << bit % 8
    try:
        unpacked(bytes(head))
    except ProtocolViolation:
        return
    raise AssertionError("it was taken for a header")


@given(st.binary(min_size=HEADER_BYTES, max_size=HEADER_BYTES))
def test_other_bytes_are_no_header(head: bytes) -> None:
    try:
        unpacked(head)
    except ProtocolViolation:
        return
    raise AssertionError("it was taken for a header")


@given(st.text(max_size=FINGERPRINT_BYTES_MAX // 4))
def test_a_greeting_comes_back_as_it_was(fingerprint: str) -> None:
    data = greeting(fingerprint)
    assert fingerprint_bytes(data[:GREETING_BYTES]) == len(data) - GREETING_BYTES


@given(EVENTS)
@settings(max_examples=60)
def test_a_stream_comes_back_as_it_was(events: list[Batch | Barrier]) -> None:
    assert read(written(events)) == (events, None)


@pytest.mark.parametrize("inline_bytes_max", [0, slots.INLINE_BYTES_MAX])
def test_what_crosses_slots_comes_back_as_it_was(inline_bytes_max: int) -> None:
    """With slots of 64 bytes a body lies in many, and its pieces are cut anywhere."""

    @given(EVENTS)
    @settings(max_examples=60)
    def holds(events: list[Batch | Barrier]) -> None:
        assert crossed(events) == (events, None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slots, "INLINE_BYTES_MAX", inline_bytes_max)
        patch.setattr(slots, "slot_bytes", lambda _: 64)
        patch.setattr(slots._Outgoing, "batch_bytes_max", 1 << 20)
        holds()


@given(st.binary(max_size=200))
def test_a_message_to_the_reader_of_slots_is_a_frame_or_refused(message: bytes) -> None:
    try:
        unpacked_head(message)
    except ProtocolViolation:
        return
    assert message[: len(b"RnkF")] == b"RnkF"


@given(EVENTS, st.data())
@settings(max_examples=60)
def test_a_torn_stream_gives_a_beginning_of_what_was_written_and_never_ends(
    events: list[Batch | Barrier], data: st.DataObject
) -> None:
    whole = written(events)
    size = data.draw(st.integers(0, len(whole) - 1))
    found, error = read(whole[:size])
    assert found == events[: len(found)]
    assert isinstance(error, ProducerFailed)


@given(EVENTS, st.data())
@settings(max_examples=150)
def test_damage_is_seen_or_changes_values_only(
    events: list[Batch | Barrier], data: st.DataObject
) -> None:
    """The checksum is of headers; inside a body Arrow's own checks say what they can. What may not happen is any other error."""
    whole = bytearray(written(events))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    found, error = read(bytes(whole))
    if error is None:
        assert len(found) == len(events)


@given(batches())
@settings(max_examples=30)
def test_an_end_without_what_was_counted_is_refused(batch: Batch) -> None:
    """Leaving a whole frame out cannot pass for a clean end, unless it held no rows."""
    whole = written([batch])
    found, error = read(
        whole[: GREETING_BYTES + 1] + packed(Header(Kind.END, number=batch.data.num_rows))
    )
    assert found == []
    assert (error is None) == (batch.data.num_rows == 0)
