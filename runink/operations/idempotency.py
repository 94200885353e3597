"""Idempotency keys: the same call twice is one call. Pure but for `KeyStore`, which keeps the records where every server finds them.

    what is kept              the same request     another request, same key
    nothing, or too old       begins               begins
    under way                 409 `in_flight`      422 `key_reused`
    open: the lease is over   begins again         422 `key_reused`
    done                      its answer again     422 `key_reused`

A record is made before the call and completed behind it, both times by compare-and-swap, so of two servers one begins.  A server that dies between
leaves a record that is under way; when its lease is over the call is made again, with the same `once`, by which a service finds what it had made.  So
a crash at any point costs the caller a wait, and never a second run.  `once` has the time in it at which the first try began, as the record has: a
key that comes back after a day makes something new.

A call that is refused is done, too: the same request is refused again in the same words.  What may work later (5xx, 429) leaves its record open: it
may have happened, so the key still belongs to that request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Protocol

import msgspec

from runink.errors import Conflict, Invalid

KEPT_MS: Final = 24 * 3600 * 1000
LEASE_MS: Final = 60_000  # more than a request may take: whoever holds it longer is gone
BODY_BYTES_MAX: Final = 256 << 10  # of an answer that is kept: what POST makes is one document
OF_SUBJECT: Final = 16  # digits of a place: those who share them share a limit, and nothing else
_KEY: Final = re.compile(r"[!-~]{1,255}")


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept of a call. `since_ms` is when its first try began (Unix epoch); `status` is 0 until it is done, and then nobody else makes it before `until_ms`."""

    request: bytes
    since_ms: int
    until_ms: int
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class KeyStore(Protocol):
    """Keeps records. `version` is what a change compares with: 0 for what is not there."""

    async def read(self, place: str) -> tuple[Record | None, int]:
        """Return the record and its version."""
        ...

    async def write(self, place: str, record: Record, *, version: int) -> int:
        """Put a record in place of that version, and return its own; 0 if another one was there. It may be forgotten KEPT_MS after `since_ms`."""
        ...


@dataclass(frozen=True, slots=True)
class Begin:
    """Make the call. `record` is to be written first."""

    record: Record


@dataclass(frozen=True, slots=True)
class Again:
    """Answer as before."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def check_key(text: str) -> str:
    """Return a key as it came. Raises Invalid (`bad_request`)."""
    if not _KEY.fullmatch(text):
        raise Invalid(
            "Idempotency-Key is no key",
            code="bad_request",
            hint="1 to 255 printable ASCII characters without spaces: a UUID does",
        )
    return text


def place_of(subject: str, *parts: str) -> str:
    """Return where a call's record is kept: 64 hexadecimal digits, by which who asks, the herd, the operation and the key are told apart. The first OF_SUBJECT are the same for all calls of one who asks."""
    whole = sha256(msgspec.msgpack.encode((subject, *parts))).hexdigest()
    return sha256(subject.encode()).hexdigest()[:OF_SUBJECT] + whole[OF_SUBJECT:]


def once_of(place: str, record: Record) -> str:
    """Return what a call goes by: the same for each of its tries, and another one for the next call with that key.

    It begins with when the first try began, 12 hexadecimal digits of milliseconds of the Unix epoch, for ids that sort by time; 64 digits of a hash follow.
    """
    return f"{record.since_ms:012x}{sha256(msgspec.msgpack.encode((place, record.since_ms))).hexdigest()}"


def request_hash(method: str, target: str, body: bytes) -> bytes:
    """Return what makes a request the same: its method, its path and query, and its body, byte for byte."""
    return sha256(msgspec.msgpack.encode((method, target, body))).digest()


def decide(kept: Record | None, request: bytes, *, now_ms: int) -> Begin | Again:
    """Say what is to be done. Raises Invalid (`key_reused`) and Conflict (`in_flight`)."""
    if kept is None or now_ms - kept.since_ms >= KEPT_MS:
        return Begin(Record(request, now_ms, now_ms + LEASE_MS))
    if kept.request != request:
        raise Invalid(
            "this Idempotency-Key belongs to another request",
            code="key_reused",
            hint="take a new key for each new request",
        )
    if kept.status:
        return Again(kept.status, dict(kept.headers), kept.body)
    if now_ms >= kept.until_ms:
        return Begin(Record(request, kept.since_ms, now_ms + LEASE_MS))
    raise in_flight()


def in_flight() -> Conflict:
    """Return what is told while the same call is under way."""
    return Conflict(
        "the same request is under way",
        code="in_flight",
        hint="ask again with the same key after the time in Retry-After",
    )


def opened(record: Record) -> Record:
    """Return the record of a call that may be made again, by the same request."""
    return Record(record.request, record.since_ms, 0)


def done(record: Record, status: int, headers: Mapping[str, str], body: bytes) -> Record:
    """Return the record of a call that is answered."""
    return Record(record.request, record.since_ms, 0, status, tuple(headers.items()), body)


def is_kept(status: int, body: bytes) -> bool:
    """Say whether an answer is given again: what may work later is asked anew."""
    return status < 500 and status != 429 and len(body) <= BODY_BYTES_MAX
