"""The running hash: one value for all that was ever applied, by which members that have come apart are found.

    digest = BLAKE2b-128(the digest before, then MessagePack of what an entry did)

What an entry did is the revision that it made with every key as it became (its text alone where it was deleted), or the lease that it granted, renewed or ended.
So members whose digests at one revision are equal have had the same changes from the beginning, whatever they keep of them; a hash of the state would
have to walk over a million keys to say that.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

import msgspec

from runink.barn.keyvalue import Change, KeyValue
from runink.barn.lease_table import LeaseView

DIGEST_BYTES: Final = 16  # two histories that differ have one digest once in 10^38
BEGINNING: Final = bytes(DIGEST_BYTES)

_encode: Final = msgspec.msgpack.Encoder().encode


def after_changes(digest: bytes, revision: int, changes: Iterable[Change]) -> bytes:
    """Return the digest behind a revision."""
    done: list[int | str | KeyValue] = [revision]
    for change in changes:
        done.append(change.key if change.now is None else change.now)  # noqa: PERF401 - mostly one
    return blake2b(digest + _encode(done), digest_size=DIGEST_BYTES).digest()


def after_lease(digest: bytes, deed: str, view: LeaseView) -> bytes:
    """Return the digest behind what was done to a lease."""
    return blake2b(digest + _encode((deed, view)), digest_size=DIGEST_BYTES).digest()
