"""The store's state as bytes: the body of a snapshot, and of a backup.

A row of sections, each 4 bytes of length (big-endian) and that many bytes of MessagePack: an array whose first element names its kind.

    header    [format's version, term, index, revision, compacted, highest dropped client, facts]
    items     keys in order      } any number of sections of up to SECTION_ITEMS each,
    leases    by their granting  } in this order
    sessions  oldest first       }
    rows      by revision        }
    end       how many of each there were

A row tells a kept revision backwards: its running hash, and of each key that it changed what that was before (the key's text alone if it was not there).
What it became is what the next row that changes it says it was, or what it is now: so no value is written twice.

    format   what is different                            when it is read
    2        as above                                     -
    1        no facts; `changes` (what became of each     the history is left out: all of the past counts as compacted, watches read anew,
             key) instead of `rows`                       and the running hash begins

A newer version reads every older format and writes its own; an older one refuses a newer format and says so.
Encoding is a generator of small pieces, so that a thread that writes a large state gives way to the event loop often.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeVar

import msgspec

from runink.barn.digest import BEGINNING
from runink.barn.keyvalue import Change, KeyValue
from runink.barn.lease_table import LeaseView
from runink.barn.limits import Limits
from runink.barn.ordered import Many
from runink.barn.sessions import Session
from runink.errors import Broken

FORMAT_VERSION: Final = 2
FORMATS_READ: Final = frozenset({1, 2})
SECTION_ITEMS: Final = 512  # about 0.2 ms of encoding, during which nothing else runs

_LENGTH: Final = struct.Struct(">I")

T = TypeVar("T")


class Facts(msgspec.Struct, frozen=True, array_like=True):
    """What there is one of: the cluster's id, the running hashes (now, and behind the last compacted revision), what lease ids begin behind, limits, the alarm.

    `is_refounded` says that the cluster was made from the state of another one, whose members it must not mix with (`actors/kin.py`).
    """

    cluster: str = ""
    digest: bytes = BEGINNING
    digest_compacted: bytes = BEGINNING
    lease_base: int = 0
    limits: Limits = Limits()
    is_alarmed: bool = False
    is_refounded: bool = False


class Header(msgspec.Struct, frozen=True, array_like=True, tag="header"):
    version: int
    term: int
    index: int
    revision: int
    compacted: int
    dropped_client: str
    facts: Facts = Facts()


class PastRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A revision, told backwards."""

    digest: bytes
    before: tuple[KeyValue | str, ...]


class _Items(msgspec.Struct, frozen=True, array_like=True, tag="items"):
    items: tuple[KeyValue, ...]


class _Leases(msgspec.Struct, frozen=True, array_like=True, tag="leases"):
    leases: tuple[LeaseView, ...]


class _Sessions(msgspec.Struct, frozen=True, array_like=True, tag="sessions"):
    sessions: tuple[Session, ...]


class _Rows(msgspec.Struct, frozen=True, array_like=True, tag="rows"):
    rows: tuple[PastRow, ...]


class _Changes(msgspec.Struct, frozen=True, array_like=True, tag="changes"):
    """Of format 1."""

    changes: tuple[Change, ...]


class _End(msgspec.Struct, frozen=True, array_like=True, tag="end"):
    counts: tuple[int, int, int, int]


_Section = Header | _Items | _Leases | _Sessions | _Rows | _Changes | _End


@dataclass(frozen=True, slots=True)
class Image:
    """A state as values that stand still, whatever the store does meanwhile."""

    header: Header
    items: Many[KeyValue]
    leases: Many[LeaseView]
    sessions: Many[Session]
    rows: Many[PastRow]


_decode: Final = msgspec.msgpack.Decoder(_Section).decode


def _sections(image: Image) -> Iterator[_Section]:
    yield image.header
    yield from (_Items(some) for some in _in_parts(image.items))
    yield from (_Leases(some) for some in _in_parts(image.leases))
    yield from (_Sessions(some) for some in _in_parts(image.sessions))
    yield from (_Rows(some) for some in _in_parts(image.rows))
    yield _End((len(image.items), len(image.leases), len(image.sessions), len(image.rows)))


def _in_parts(whole: Iterable[T]) -> Iterator[tuple[T, ...]]:
    them = iter(whole)
    while some := tuple(islice(them, SECTION_ITEMS)):
        yield some


def encode(image: Image) -> Iterator[bytes]:
    """Yield the bytes of the state, piece by piece; equal states give equal bytes."""
    encoder = msgspec.msgpack.Encoder()  # one for each call: it may run in a thread of its own
    for section in _sections(image):
        body = encoder.encode(section)
        yield _LENGTH.pack(len(body)) + body


def decode(data: bytes | memoryview) -> Image:
    """Return the state that these bytes tell. Raises Broken (`snapshot_corrupt`, `snapshot_version`) for bytes that `encode` did not make."""
    header: Header | None = None
    items: list[KeyValue] = []
    leases: list[LeaseView] = []
    sessions: list[Session] = []
    rows: list[PastRow] = []
    changes = 0
    ended: tuple[int, int, int, int] | None = None
    for section in _read_sections(data):
        match section:
            case Header():
                header = section
            case _Items(some):
                items.extend(some)
            case _Leases(some_leases):
                leases.extend(some_leases)
            case _Sessions(some_sessions):
                sessions.extend(some_sessions)
            case _Rows(some_rows):
                rows.extend(some_rows)
            case _Changes(some_changes):
                changes += len(some_changes)
            case _End(counts):
                ended = counts
    if header is None:
        raise Broken("a snapshot without a header", code="snapshot_corrupt")
    past = changes if header.version == 1 else len(rows)
    if ended != (len(items), len(leases), len(sessions), past):
        raise Broken("a snapshot that is not whole", code="snapshot_corrupt")
    if header.version == 1:
        header = msgspec.structs.replace(header, compacted=header.revision)
    elif len(rows) != header.revision - header.compacted:
        raise Broken("a snapshot whose revisions are not whole", code="snapshot_corrupt")
    return Image(header, items, leases, sessions, rows)


def _read_sections(data: bytes | memoryview) -> Iterator[_Section]:
    view = memoryview(data)
    at = 0
    try:
        while at < len(view):  # ends: every section takes at least its length
            (length,) = _LENGTH.unpack_from(view, at)
            section = _decode(view[at + _LENGTH.size : at + _LENGTH.size + length])
            if isinstance(section, Header) and section.version not in FORMATS_READ:
                raise Broken(
                    f"a snapshot of format {section.version}, this version reads {FORMAT_VERSION} and older",
                    code="snapshot_version",
                    hint="it was written by another Runink: run that one",
                )
            yield section
            at += _LENGTH.size + length
    except (struct.error, msgspec.DecodeError) as error:
        raise Broken(f"a snapshot that cannot be read: {error}", code="snapshot_corrupt") from error
