"""Files that a node has of a run: what its slices printed, its dead letters, and what it has published there. Who wants them asks a member, which asks the node.

    request       answer                                                              raises, beside the deadline
    ReadFiles     FileParts: of each file that is there, what comes at its offset     LinkLost where the node is not connected, Invalid for names that are none,
                                                                                      Unavailable (`being_checked`) while a large file is looked through

An answer holds ANSWER_BYTES_MAX at most, so that a file comes in parts: who wants all of it asks until nothing more comes.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import msgspec

from runink.names import HerdName, NodeId, RunId
from runink.quantities import Finite
from runink.runtime.actor import Request

FILES: Final = "files"  # the address under which members serve them
SHELF: Final = "shelf"  # and that under which a node does
ANSWER_BYTES_MAX: Final = 256 << 10  # a quarter of a frame
FILES_MAX: Final = 256  # of one request
WAIT_S_MAX: Final = 10.0
BEING_CHECKED: Final = "being_checked"


class Kept(Enum):
    """What is kept of a run on its nodes, by the folder that it is in. `LETTERS` and `OUTPUTS` are dead letters, and what else a run has published, where their sinks have written them; they are named by these."""

    LOGS = "logs"
    DEAD = "dead"
    LETTERS = "letters"
    OUTPUTS = "outputs"


AT_SINKS: Final = frozenset({Kept.LETTERS, Kept.OUTPUTS})


class Wanted(msgspec.Struct, frozen=True):
    """A file by its name, and from where on."""

    name: str
    offset: int = 0


class FilePart(msgspec.Struct, frozen=True):
    """What a file holds from its offset on, or a beginning of that."""

    name: str
    offset: int
    data: bytes


class FileParts(msgspec.Struct, frozen=True):
    """`is_all` says that nothing was left out for its size."""

    parts: tuple[FilePart, ...]
    is_all: bool


class ReadFiles(Request[FileParts], frozen=True):
    """Read files of a run that a node keeps, FILES_MAX at most. While none of them holds more than was seen, wait for `wait_s`, WAIT_S_MAX at most."""

    node: NodeId
    run: RunId
    kept: Kept
    files: tuple[Wanted, ...]
    wait_s: Finite = 0.0
    herd: HerdName = HerdName("")
