"""A stream of text cut into blocks that end where a record does, in constant memory.

One buffer is filled, cut behind its last whole record, handed out, and what is left moves to its front:

    [ left over | newly read ............ | record's end ]  rest ]
      ^ offset                                          ^ cut

A block is a view of that buffer and valid until the next one is asked for: whoever keeps bytes of it copies them.  A record that is larger than the buffer makes it grow, up
to RECORD_BYTES_MAX; a longer one is refused, so a file without line ends never fills the memory.
Line numbers are for errors only: they are counted then, by reading the file again (standard input is counted as it passes).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from runink.connectors.inputs import Input
from runink.errors import Invalid
from runink.quantities import format_memory

BLOCK_BYTES: Final = 4 << 20  # about 45,000 flights: batches of 10,000 to 65,000 rows travel best
BOM: Final = b"\xef\xbb\xbf"
RECORD_BYTES_MAX: Final = (
    16 << 20
)  # a longer record is a missing line end or a quote that stays open


class Cut(Protocol):
    """Finds where the last whole record in `buffer[:end]` ends; 0 if there is none. The buffer begins at a record."""

    def __call__(self, buffer: bytearray, end: int, /) -> int: ...


@dataclass(frozen=True, slots=True)
class Block:
    """Whole records: `buffer[:end]`. `offset` is that of the first byte in the (uncompressed) stream; the last block may lack a line end."""

    buffer: bytearray
    end: int
    offset: int
    is_last: bool

    @property
    def view(self) -> memoryview:
        return memoryview(self.buffer)[: self.end]

    def holds(self, piece: bytes) -> bool:
        """Say whether these bytes stand somewhere in it, at memory speed."""
        return self.buffer.find(piece, 0, self.end) >= 0


class Blocks:
    def __init__(self, source: Input, *, cut: Cut, block_bytes: int = BLOCK_BYTES) -> None:
        self._source = source
        self._cut = cut
        self._file = source.open()
        self._buffer = bytearray(block_bytes)
        self._filled = 0
        self._offset = 0
        self._lines = 0  # before `_offset`, kept only where the stream cannot be read twice

    def close(self) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Block]:
        """Yield the blocks; an empty stream has none. Raises Invalid."""
        at_end = False
        while not at_end:
            at_end = not self._fill()
            cut = self._filled if at_end else self._cut(self._buffer, self._filled)
            if cut:
                yield Block(self._buffer, cut, self._offset, at_end)
                self._advance(cut)
            elif not at_end:
                self._grow()

    def line_at(self, block: Block, at: int) -> int:
        """Return the number of the line, from 1, in which that byte of the block stands."""
        before = self._lines if self._source.once else self._source.lines_before(block.offset)
        return before + bytes(block.view[:at]).count(b"\n") + 1

    def _fill(self) -> bool:
        """Fill the buffer; say whether the stream goes on. Raises Invalid for what no text holds."""
        buffer = self._buffer
        start = self._filled
        with memoryview(buffer) as view:
            while self._filled < len(buffer):
                count = self._source.read_into(self._file, view[self._filled :])
                if not count:
                    break
                self._filled += count
        zero = buffer.find(b"\0", start, self._filled)
        if zero >= 0:
            line = self._line_at_buffer(zero)
            raise Invalid(
                f"{self._source.origin} line {line} holds a NUL byte: this is no text in UTF-8",
                code="source_not_text",
                hint=hint_of(b"" if self._offset else bytes(buffer[:8])),
            )
        return self._filled == len(buffer)

    def _advance(self, cut: int) -> None:
        buffer = self._buffer
        if self._source.once:
            self._lines += buffer.count(b"\n", 0, cut)
        left = self._filled - cut
        buffer[:left] = buffer[cut : self._filled]
        self._filled = left
        self._offset += cut

    def _grow(self) -> None:
        if len(self._buffer) >= RECORD_BYTES_MAX:
            raise Invalid(
                f"{self._source.origin}: the record that begins in line {self._line_at_buffer(0)} is longer than {format_memory(RECORD_BYTES_MAX)}",
                code="source_record_too_long",
                hint="a quote that stays open, or no text with line ends at all?",
            )
        larger = bytearray(min(2 * len(self._buffer), RECORD_BYTES_MAX))
        larger[: self._filled] = self._buffer[: self._filled]
        self._buffer = larger

    def _line_at_buffer(self, at: int) -> int:
        filled = Block(self._buffer, self._filled, self._offset, is_last=False)
        return self.line_at(filled, at)


def not_utf8(block: Block, blocks: Blocks, source: Input) -> Invalid | None:
    """Return the error that says where the block is no text in UTF-8, if it is none."""
    try:
        str(block.view, "utf-8")
    except UnicodeDecodeError as error:
        line = blocks.line_at(block, error.start)
        byte = block.view[error.start]
        return Invalid(
            f"{source.origin} line {line} is no text in UTF-8: byte 0x{byte:02X} at byte {block.offset + error.start:,} of the file",
            code="source_not_utf8",
            hint="convert it, as in iconv -f latin1 -t utf-8",
        )
    return None


_DAMAGED_HINT: Final = "the file is damaged there, as after a crash or a full disk: write it again"
_MAGIC: Final = {
    b"\x1f\x8b": "it is compressed by gzip: name it so (.gz)",
    b"\x28\xb5\x2f\xfd": "it is compressed by zstd: name it so (.zst)",
    b"PK\x03\x04": "it is a zip archive, or a spreadsheet: unpack it, or save the sheet as CSV",
    b"PAR1": "it is a Parquet file: write parquet://",
    b"ARROW1": "it is an Arrow file: write arrow://",
    b"\xff\xfe": "it is UTF-16: convert it with iconv -f utf-16 -t utf-8",
    b"\xfe\xff": "it is UTF-16: convert it with iconv -f utf-16 -t utf-8",
}


def hint_of(head: bytes) -> str:
    """Say what a file that is no text may be, by its first bytes."""
    return next((hint for magic, hint in _MAGIC.items() if head.startswith(magic)), _DAMAGED_HINT)
