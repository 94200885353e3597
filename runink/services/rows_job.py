"""What a process that reads rows is given, and says.

    standard input     Job, as JSON in a frame; then what was asked for of the file, a frame for each block
    standard output    frames: the number of a block that is wanted (4 bytes), or at the end Rows, as JSON

A frame is its length in 4 bytes, big-endian, and so many bytes.  An answer is told from a number by its length: it has five bytes at least.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import msgspec

from runink.clients.node_files import ANSWER_BYTES_MAX
from runink.dag import Sink
from runink.dsl.readings import Reading
from runink.errors import WireError

BLOCK_BYTES: Final = ANSWER_BYTES_MAX  # what comes from a node in one answer
LENGTH: Final = struct.Struct(">I")
DAMAGED: Final = "rows_damaged"
TOO_FAR: Final = "rows_too_far"

Row = dict[str, Any]


class Job(msgspec.Struct, frozen=True):
    """Which rows of a sink's file of `size` bytes are read, and what of them is seen. `bytes_max` is how much may be fetched of it."""

    sink: Sink
    size: int
    start: int
    limit: int
    bytes_max: int
    reading: Reading


class Rows(msgspec.Struct, frozen=True, omit_defaults=True):
    """Rows as they are seen, and whether these are the last; or why there are none."""

    rows: tuple[Row, ...] = ()
    is_all: bool = False
    refused: WireError | None = None
