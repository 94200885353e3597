"""What may be asked of the Barn, and what it answers.

    request      answer                                              raises, beside the deadline
    Read         Pages, all of one revision                          -
    Propose      Applied | Declined, when it is durable and applied  Invalid, Overloaded, disk_full, stopping, OutcomeUnknown
    WatchFrom    Watched: as soon as there is something, or empty    compacted, future_revision, too_many_watches
                 when `wait_s` is over
    Status       BarnStatus                                          -

They stand here and not beside the actor because both the actor and the client speak them, and neither may import the other.
"""

from __future__ import annotations

import msgspec

from runink.barn.commands import Answer, Command
from runink.barn.history import Watched
from runink.barn.keyvalue import Page, Span
from runink.runtime.actor import Request


class Pages(msgspec.Struct, frozen=True):
    """What the spans held, in the order in which they were asked for, all at `revision`."""

    pages: tuple[Page, ...]
    revision: int


class BarnStatus(msgspec.Struct, frozen=True):
    """The Barn in numbers. `torn` tells what was cut off the log when it was opened, `trouble` why it takes no writes at the moment, if so."""

    term: int
    applied_index: int
    snapshot_index: int
    revision: int
    compacted: int
    keys: int
    leases: int
    clients: int
    watches: int
    waiting: int
    batches: int
    log_segments: int
    free_bytes: int
    torn: str = ""
    trouble: str = ""


class Read(Request[Pages], frozen=True):
    """Read some spans at one revision; of each the first `limit` keys (0: all)."""

    spans: tuple[Span, ...]
    limit: int = 0


class Propose(Request[Answer], frozen=True):
    """Apply a command, once for each client and sequence; answered when it is on disk and applied."""

    client: str
    sequence: int
    command: Command


class WatchFrom(Request[Watched], frozen=True):
    """Wait for changes of keys with one of the prefixes behind a revision, for `wait_s` at most."""

    prefixes: tuple[str, ...]
    after_revision: int
    limit: int = 1000
    wait_s: float = 30.0


class Status(Request[BarnStatus], frozen=True):
    """Ask for the Barn in numbers."""


BarnRequest = Read | Propose | WatchFrom | Status
