"""The store's state as bytes: the body of a snapshot.

A row of sections, each 4 bytes of length (big-endian) and that many bytes of MessagePack: an array whose first element names its kind.

    header    [format's version, term, index, revision, compacted, highest dropped client]
    items     keys in order      } any number of sections of up to SECTION_ITEMS each,
    leases    by id              } in this order
    sessions  oldest first       }
    changes   by revision        }
    end       how many of each there were

Encoding is a generator of small pieces, so that a thread that writes a large state gives way to the event loop often.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from runink.barn.keyvalue import Change, KeyValue
from runink.barn.sessions import Session
from runink.errors import Broken

FORMAT_VERSION: Final = 1
SECTION_ITEMS: Final = 512  # about 0.2 ms of encoding, during which nothing else runs

_LENGTH: Final = struct.Struct(">I")


class Header(msgspec.Struct, frozen=True, array_like=True, tag="header"):
    version: int
    term: int
    index: int
    revision: int
    compacted: int
    dropped_client: str


class Lease(msgspec.Struct, frozen=True, array_like=True):
    lease: int
    ttl_ms: int
    renewals: int


class Items(msgspec.Struct, frozen=True, array_like=True, tag="items"):
    items: tuple[KeyValue, ...]


class Leases(msgspec.Struct, frozen=True, array_like=True, tag="leases"):
    leases: tuple[Lease, ...]


class SomeSessions(msgspec.Struct, frozen=True, array_like=True, tag="sessions"):
    sessions: tuple[Session, ...]


class Changes(msgspec.Struct, frozen=True, array_like=True, tag="changes"):
    changes: tuple[Change, ...]


class End(msgspec.Struct, frozen=True, array_like=True, tag="end"):
    counts: tuple[int, int, int, int]


Section = Header | Items | Leases | SomeSessions | Changes | End


@dataclass(frozen=True, slots=True)
class Image:
    """A state as values, all of them frozen."""

    header: Header
    items: tuple[KeyValue, ...]
    leases: tuple[Lease, ...]
    sessions: tuple[Session, ...]
    changes: tuple[Change, ...]

    @property
    def counts(self) -> tuple[int, int, int, int]:
        return len(self.items), len(self.leases), len(self.sessions), len(self.changes)


_decode: Final = msgspec.msgpack.Decoder(Section).decode


def _sections(image: Image) -> Iterator[Section]:
    step = SECTION_ITEMS
    yield image.header
    for at in range(0, len(image.items), step):
        yield Items(image.items[at : at + step])
    for at in range(0, len(image.leases), step):
        yield Leases(image.leases[at : at + step])
    for at in range(0, len(image.sessions), step):
        yield SomeSessions(image.sessions[at : at + step])
    for at in range(0, len(image.changes), step):
        yield Changes(image.changes[at : at + step])
    yield End(image.counts)


def encode(image: Image) -> Iterator[bytes]:
    """Yield the bytes of the state, piece by piece; equal states give equal bytes."""
    encoder = msgspec.msgpack.Encoder()  # one for each call: it may run in a thread of its own
    for section in _sections(image):
        body = encoder.encode(section)
        yield _LENGTH.pack(len(body)) + body


def decode(data: bytes) -> Image:
    """Return the state that these bytes tell. Raises Broken (`snapshot_corrupt`, `snapshot_version`) for bytes that `encode` did not make."""
    header: Header | None = None
    items: list[KeyValue] = []
    leases: list[Lease] = []
    sessions: list[Session] = []
    changes: list[Change] = []
    ended: tuple[int, int, int, int] | None = None
    for section in _read_sections(data):
        match section:
            case Header():
                header = section
            case Items(some):
                items.extend(some)
            case Leases(some_leases):
                leases.extend(some_leases)
            case SomeSessions(some_sessions):
                sessions.extend(some_sessions)
            case Changes(some_changes):
                changes.extend(some_changes)
            case End(counts):
                ended = counts
    if header is None:
        raise Broken("a snapshot without a header", code="snapshot_corrupt")
    image = Image(header, tuple(items), tuple(leases), tuple(sessions), tuple(changes))
    if ended != image.counts:
        raise Broken("a snapshot that is not whole", code="snapshot_corrupt")
    return image


def _read_sections(data: bytes) -> Iterator[Section]:
    view = memoryview(data)
    at = 0
    try:
        while at < len(view):  # ends: every section takes at least its length
            (length,) = _LENGTH.unpack_from(view, at)
            section = _decode(view[at + _LENGTH.size : at + _LENGTH.size + length])
            if isinstance(section, Header) and section.version != FORMAT_VERSION:
                raise Broken(
                    f"a snapshot of format {section.version}, this version reads {FORMAT_VERSION}",
                    code="snapshot_version",
                    hint="it was written by another Runink: run that one",
                )
            yield section
            at += _LENGTH.size + length
    except (struct.error, msgspec.DecodeError) as error:
        raise Broken(f"a snapshot that cannot be read: {error}", code="snapshot_corrupt") from error
