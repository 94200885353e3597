"""What comes over a socket of slots is checked: memory that could be taken away, places and sizes, descriptors that nobody asked for."""

from __future__ import annotations

import array
import fcntl
import gc
import os
import socket
from pathlib import Path

import pytest
from edge_world import SLOTS, all_of, edge, many, numbers
from runink.errors import ProtocolViolation
from runink.pipes import slot_pool
from runink.pipes.frames import Header, Kind, greeting
from runink.pipes.open import open_slots
from runink.pipes.slot_pool import SLOT_BYTES_MAX, SLOTS_MAX
from runink.pipes.slot_protocol import NOWHERE, Part, packed_head, packed_part
from runink.pipes.slots import open_reader, open_writer

ROWS = 50_000  # 400 KB: too much for a message, little for a slot


def descriptors() -> int:
    gc.collect()  # what earlier tests have dropped in circles closes its own now, and not between two counts
    return len(list(Path("/proc/self/fd").iterdir()))


class Stranger:
    """A writer that may say anything. It greets as one of ours."""

    def __init__(self) -> None:
        ends = open_slots()
        self.reader = open_reader(ends.read, fingerprint="f")
        self._socket = socket.socket(fileno=ends.write)
        self.say(greeting("f"))

    def say(self, message: bytes, *descriptors: int) -> None:
        brought = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
        self._socket.sendmsg([message], [brought] if descriptors else [])

    def frame(self, part: Part, *descriptors: int, body_bytes: int = 100, rows: int = 0) -> None:
        header = Header(Kind.SCHEMA, body_bytes=body_bytes)
        self.say(packed_head(header, rows, part), *descriptors)

    def refused(self) -> str:
        """Return why the reader takes no more, and that it was a violation."""
        before = descriptors()
        events, error = all_of(self.reader)
        self._socket.close()
        assert events == []
        assert isinstance(error, ProtocolViolation), error
        assert descriptors() == before - 2, "a descriptor that came stays open"
        return error.text


def memory(size: int, seals: int) -> int:
    descriptor = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor


SEALED = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW


@pytest.mark.parametrize(
    ("seals", "size", "told"),
    [
        (0, 4096, "may change its size"),
        (fcntl.F_SEAL_GROW, 4096, "may change its size"),
        (fcntl.F_SEAL_SHRINK, 4096, "may change its size"),
        (SEALED, SLOT_BYTES_MAX + 1, "bytes, more than"),
        (SEALED, 0, "a slot of 0 bytes"),
    ],
)
def test_memory_that_could_be_taken_away_under_a_reader_is_refused(
    seals: int, size: int, told: str
) -> None:
    stranger = Stranger()
    descriptor = memory(size, seals)
    stranger.frame(Part(0, 100), descriptor)
    os.close(descriptor)
    assert told in stranger.refused()


def test_a_descriptor_that_is_no_memory_is_refused() -> None:
    stranger = Stranger()
    with Path("/dev/zero").open("rb") as file:
        stranger.frame(Part(0, 100), file.fileno())
    assert "none of shared memory" in stranger.refused()


@pytest.mark.parametrize(
    ("part", "told"),
    [
        (Part(0, 5000), "a frame of 5,000 bytes in a slot of 4,096"),
        (Part(0, 0), "a frame of 0 bytes"),
        (Part(SLOTS_MAX, 100), "which there is already or never"),
        (Part(NOWHERE - 1, 100), "which there is already or never"),
    ],
)
def test_a_part_that_is_not_within_its_slot_is_refused(part: Part, told: str) -> None:
    stranger = Stranger()
    descriptor = memory(4096, SEALED)
    stranger.frame(part, descriptor, body_bytes=10_000)
    os.close(descriptor)
    assert told in stranger.refused()


def test_descriptors_that_nobody_asked_for_are_closed_and_refused() -> None:
    for count in (1, 2, 10):
        stranger = Stranger()
        descriptor = memory(4096, SEALED)
        header = Header(Kind.BARRIER)
        stranger.say(packed_head(header, 0, Part(NOWHERE, 0)), *[descriptor] * count)
        os.close(descriptor)
        assert "nobody asked for" in (told := stranger.refused()) or "came cut" in told


def test_a_place_for_which_no_memory_came_is_refused() -> None:
    stranger = Stranger()
    stranger.frame(Part(1, 100))
    assert "no memory came" in stranger.refused()


def test_memory_for_a_place_that_has_some_is_refused() -> None:
    stranger = Stranger()
    descriptor = memory(4096, SEALED)
    stranger.frame(Part(0, 50), descriptor)
    stranger.say(packed_part(Part(0, 50)), descriptor)
    os.close(descriptor)
    assert "already" in stranger.refused()


@pytest.mark.parametrize(
    "message",
    [
        b"hello, I am a library that prints\n",
        b"x" * 100,
        packed_head(Header(Kind.END), 0, Part(NOWHERE, 0)) + b"more",
        packed_head(Header(Kind.ERROR, body_bytes=9), 0, Part(NOWHERE, 0)) + b"less",
        packed_head(Header(Kind.ERROR, body_bytes=9), 0, Part(NOWHERE, 9)) + b"it is not",
        packed_head(Header(Kind.ERROR, body_bytes=9), 0, Part(0, 10)),
        packed_head(Header(Kind.BATCH, body_bytes=4), 0, Part(NOWHERE, 0)) + b"none",
        bytes(100_000),
    ],
)
def test_a_message_that_is_no_frame_is_refused(message: bytes) -> None:
    stranger = Stranger()
    stranger.say(message)
    assert stranger.refused()


def test_a_further_part_that_is_none_is_refused() -> None:
    for message, told in [
        (b"short", "no part of a frame"),
        (b"x" * 12, "no part of a frame"),
        (packed_part(Part(0, 51)), "50 are missing"),
    ]:
        stranger = Stranger()
        descriptor = memory(4096, SEALED)
        stranger.frame(Part(0, 50), descriptor)
        os.close(descriptor)
        stranger.say(message)
        assert told in stranger.refused()


def test_a_slot_that_is_still_read_cannot_be_named_again() -> None:
    """Its writer has filled it anew under the batch that lies there."""
    with edge(SLOTS) as (writer, reader):
        events = iter(reader)
        writer.write(many(ROWS))
        batch = next(events)
        writer._line._free.append(0)
        writer.write(many(ROWS))
        with pytest.raises(ProtocolViolation, match="which is still read"):
            next(events)
        del batch


def test_a_batch_with_other_rows_than_its_message_says_is_seen() -> None:
    with edge(SLOTS) as (writer, reader):
        real = writer._line.send
        writer._line.send = lambda header, origin=b"", pieces=(), *, rows=0: real(
            header, origin, pieces, rows=rows + (rows > 0)
        )
        writer.write(numbers(1, 2))
        with pytest.raises(ProtocolViolation, match="holds 2 rows, its writer says 3"):
            next(iter(reader))


def test_a_credit_for_a_slot_that_is_not_in_use_is_seen() -> None:
    ends = open_slots()
    writer = open_writer(ends.write, fingerprint="f")
    with socket.socket(fileno=ends.read) as stranger:
        writer.write(many(ROWS))
        stranger.send(b"\x00")
        stranger.send(b"\x00")
        with pytest.raises(ProtocolViolation, match="a credit for place 0"):
            writer.write(many(ROWS))
    writer.close()


def test_no_more_descriptors_for_memory_are_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def scarce(*_) -> int:
        raise OSError(24, "Too many open files")

    with edge(SLOTS) as (writer, _):
        monkeypatch.setattr(slot_pool.os, "memfd_create", scarce)
        with pytest.raises(slot_pool.Overloaded, match="Too many open files") as caught:
            writer.write(many(ROWS))
        assert caught.value.code == "no_slot"
