"""Laws of frames: any split of a stream gives the same frames, and garbage is refused or waited for, never anything else."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st
from runink.errors import ProtocolViolation
from runink.wire.frames import FrameReader, frame

bodies = st.lists(st.binary(min_size=1, max_size=300), max_size=8)


def read_all(pieces: list[bytes], **options: int) -> list[bytes]:
    reader = FrameReader(**options)
    found = []
    for piece in pieces:
        reader.feed(piece)
        while (body := reader.next()) is not None:
            found.append(body)
    return found


@given(bodies, st.data())
def test_any_split_gives_the_same_frames(sent: list[bytes], data: st.DataObject):
    stream = b"".join(map(frame, sent))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=20))
    places = [0, *sorted(cuts), len(stream)]
    pieces = [stream[a:b] for a, b in itertools.pairwise(places)]
    assert read_all(pieces) == sent


@given(st.lists(st.binary(max_size=50), max_size=10))
def test_garbage_gives_frames_within_the_limit_or_a_violation(pieces: list[bytes]):
    try:
        found = read_all(pieces, bytes_max=64)
    except ProtocolViolation:
        return
    assert all(1 <= len(body) <= 64 for body in found)


@given(bodies, st.integers(0, 3000))
def test_a_cut_stream_gives_the_frames_before_the_cut(sent: list[bytes], cut: int):
    stream = b"".join(map(frame, sent))[:cut]
    found = read_all([stream])
    assert found == sent[: len(found)]
