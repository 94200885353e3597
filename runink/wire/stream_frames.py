"""The kinds of frames that carry streams between nodes, beside those of `messages.py`.

    no   kind     from         when                              meaning
    11   Open     connecting   open                              a stream for this edge, in this attempt; the token proves the right to it
    12   Data     connecting   it has room                       bytes of the edge; takes as much room
    13   Room     accepting    the stream was opened             so many bytes more may be sent; the first one says that the stream is taken
    14   End      connecting   once a stream                     no more bytes come, because the writer has closed its pipe, or in answer to a Reset
    15   Reset    both         connecting: once, instead of End  the stream is broken off: why

`stream` counts the Opens of a connection: 1, 2, 3, without gaps.  A Data frame is not gathered: its bytes go on as they come, so its head is read by itself (`StreamCutter`).
"""

from __future__ import annotations

from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from runink.errors import ProtocolViolation, WireError

TOKEN_BYTES: Final = 32  # of HMAC-SHA-256
DATA_BYTES_MAX: Final = 1 << 20  # of one frame, so that streams take turns
CONTROL_BYTES_MAX: Final = 64 << 10  # of every other frame, a Hello among them
HEAD_BYTES: Final = 6  # the length, and of the body an array's mark and a kind
DATA: Final = 12

_Stream = Annotated[int, Meta(ge=1, lt=1 << 32)]
_Room = Annotated[int, Meta(ge=1, lt=1 << 32)]
_Edge = Annotated[str, Meta(max_length=2048)]
_Token = Annotated[bytes, Meta(min_length=TOKEN_BYTES, max_length=TOKEN_BYTES)]

_ARRAY_OF_3: Final = 0x93
_NUMBERS: Final = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}  # mark -> bytes of the number behind it
_BYTES: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4}  # mark -> bytes of the length behind it
_FIXED_MAX: Final = 0x7F  # a number that is its own mark


class Open(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    tag_field="kind",
    tag=11,
    forbid_unknown_fields=True,
):
    stream: _Stream
    edge: _Edge
    attempt: _Room
    token: _Token


class Data(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    tag_field="kind",
    tag=DATA,
    forbid_unknown_fields=True,
):
    stream: _Stream
    data: Annotated[bytes, Meta(min_length=1, max_length=DATA_BYTES_MAX)]


class Room(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    tag_field="kind",
    tag=13,
    forbid_unknown_fields=True,
):
    stream: _Stream
    bytes: _Room


class End(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    tag_field="kind",
    tag=14,
    forbid_unknown_fields=True,
):
    stream: _Stream


class Reset(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    tag_field="kind",
    tag=15,
    forbid_unknown_fields=True,
):
    stream: _Stream
    error: WireError


StreamFrame = Open | Data | Room | End | Reset
KINDS: Final = {kind.__struct_config__.tag: kind for kind in (Open, Data, Room, End, Reset)}


def data_head(stream: int, size: int) -> bytes:
    """Return what stands before that many bytes of a stream."""
    assert 0 < size <= DATA_BYTES_MAX
    inner = bytes((_ARRAY_OF_3, DATA, 0xCE)) + stream.to_bytes(4, "big") + b"\xc6"
    inner += size.to_bytes(4, "big")
    return (len(inner) + size).to_bytes(4, "big") + inner


class DataHead(NamedTuple):
    """The beginning of a Data frame: so many bytes of that stream follow."""

    stream: int
    size: int


class StreamCutter:
    """Cuts what comes into bodies of frames, heads of Data frames and, behind each of these, its data as it comes. Only bodies and heads are gathered."""

    def __init__(self) -> None:
        self._rest = memoryview(b"")
        self._head = bytearray()
        self._missing = 0  # of the data of a frame

    @property
    def is_between_frames(self) -> bool:
        return not self._head and not self._missing

    @property
    def awaited_bytes(self) -> int:
        """Return the length of what is on its way, or 0 where that is not known."""
        return self._missing or int.from_bytes(self._head[:4], "big")

    def feed(self, data: bytes) -> None:
        """Take a piece of the connection; `next` must have returned nothing."""
        assert not self._rest
        self._rest = memoryview(data)

    def next(self) -> bytes | DataHead | memoryview | None:
        """Return what comes next, or nothing if more must be fed. Raises ProtocolViolation."""
        if self._missing:
            piece = self._take(self._missing)
            self._missing -= len(piece)
            return piece or None
        while len(self._head) < (needs := _needs(self._head)):
            piece = self._take(needs - len(self._head))
            if not piece:
                return None
            self._head += piece
        head, self._head = self._head, bytearray()
        if not _is_data(head):
            return bytes(memoryview(head)[4:])
        found = _data_head(head)
        self._missing = found.size
        return found

    def _take(self, most: int) -> memoryview:
        piece, self._rest = self._rest[:most], self._rest[most:]
        return piece


def _is_data(head: bytearray) -> bool:
    return head[4] == _ARRAY_OF_3 and head[5] == DATA


def _needs(head: bytearray) -> int:
    """Return how many bytes must be gathered to go on: as many as there are when it is whole. Raises ProtocolViolation."""
    if len(head) < HEAD_BYTES:
        return HEAD_BYTES
    if _is_data(head):
        return _data_needs(head)
    length = int.from_bytes(head[:4], "big")
    if not HEAD_BYTES - 4 <= length <= CONTROL_BYTES_MAX:
        text = f"a frame of {length} bytes: without data it has 2 to {CONTROL_BYTES_MAX}"
        raise ProtocolViolation(text, code="frame_too_large" if length else "frame_empty")
    return 4 + length


def _data_needs(head: bytearray) -> int:
    if len(head) == HEAD_BYTES:
        return HEAD_BYTES + 1
    mark = head[HEAD_BYTES]
    behind = HEAD_BYTES + 1 + (0 if mark <= _FIXED_MAX else _size(_NUMBERS, mark))
    if len(head) <= behind:
        return behind + 1
    return behind + 1 + _size(_BYTES, head[behind])


def _data_head(head: bytearray) -> DataHead:
    """Return what a whole head tells. Raises ProtocolViolation where the frame is longer or shorter than that."""
    behind = HEAD_BYTES + 1
    stream = head[HEAD_BYTES]
    if stream > _FIXED_MAX:
        behind += _NUMBERS[stream]
        stream = int.from_bytes(head[HEAD_BYTES + 1 : behind], "big")
    size = int.from_bytes(head[behind + 1 :], "big")
    length = int.from_bytes(head[:4], "big")
    if length != len(head) - 4 + size or not 1 <= size <= DATA_BYTES_MAX:
        text = f"a Data frame of {length} bytes, of which {size} are data: it has 1 to {DATA_BYTES_MAX}, and nothing behind them"
        raise ProtocolViolation(text, code="bad_value")
    return DataHead(stream, size)


def _size(sizes: dict[int, int], mark: int) -> int:
    size = sizes.get(mark)
    if size is None:
        raise ProtocolViolation(f"Data: {mark:#x} where a number and bytes stand", code="bad_value")
    return size
