"""The last changes, by revision: what watches are answered from.

Bounded by number and by bytes; the oldest revisions go first, and always whole.  A watch from a revision below what is kept is
refused (`compacted`): it would miss changes and not know it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter
from typing import Final

import msgspec

from runink.barn.keyvalue import Change
from runink.errors import Refused

HISTORY_CHANGES_MAX: Final = 10_000  # minutes of a busy cluster: longer than any watcher reconnects
HISTORY_BYTES_MAX: Final = 32 << 20  # large values must not make the history larger than the state
_CHANGE_BYTES: Final = 128  # what a change takes beside key and value, about

_revision_of = attrgetter("revision")


class Watched(msgspec.Struct, frozen=True, array_like=True):
    """Changes in order, whole revisions only; `revision` is how far they reach, and where to go on from."""

    changes: tuple[Change, ...]
    revision: int


def _bytes(change: Change) -> int:
    value = change.now.value if change.now is not None else b""
    return _CHANGE_BYTES + len(change.key) + len(value)


class History:
    """Kept changes. Every revision above `compacted` up to the store's own is there, whole."""

    def __init__(self, changes: Sequence[Change] = (), *, compacted: int = 0) -> None:
        self._changes = list(changes)
        self._first = 0  # where the kept ones begin; what lies before is cut off now and then
        self._bytes = sum(map(_bytes, changes))
        self.compacted = compacted

    def __len__(self) -> int:
        return len(self._changes) - self._first

    def add(self, changes: Sequence[Change]) -> None:
        """Append the changes of one revision, and drop what is over the limits."""
        assert changes
        self._changes.extend(changes)
        self._bytes += sum(map(_bytes, changes))
        newest = changes[-1].revision
        while len(self) > HISTORY_CHANGES_MAX or self._bytes > HISTORY_BYTES_MAX:
            oldest = self._changes[self._first].revision
            if oldest == newest:
                break  # one revision may be larger than the limit; it is kept whole
            self.compact(oldest)

    def compact(self, revision: int) -> None:
        """Drop the changes up to and with `revision`."""
        if revision <= self.compacted:
            return
        end = bisect_right(self._changes, revision, lo=self._first, key=_revision_of)
        self._bytes -= sum(map(_bytes, self._changes[self._first : end]))
        self._first = end
        self.compacted = revision
        if self._first > HISTORY_CHANGES_MAX:
            del self._changes[: self._first]
            self._first = 0

    def after(
        self, revision: int, *, now: int, prefixes: tuple[str, ...], changes_max: int
    ) -> Watched:
        """Return what happened behind `revision`, up to the store's revision `now`, to keys with one of the prefixes.

        It ends behind the revision with which `changes_max` is reached. Raises Refused (`compacted`, `future_revision`).
        """
        assert changes_max > 0
        if revision < self.compacted:
            raise Refused(
                f"changes up to revision {self.compacted} are not kept any more, asked for from {revision}",
                code="compacted",
                hint="read the keys anew and watch from that revision",
            )
        if revision > now:
            raise Refused(
                f"revision {revision} is yet to come, the store is at {now}", code="future_revision"
            )
        begin = bisect_right(self._changes, revision, lo=self._first, key=_revision_of)
        found: list[Change] = []
        for place in range(begin, len(self._changes)):
            change = self._changes[place]
            if len(found) >= changes_max and change.revision != found[-1].revision:
                return Watched(tuple(found), found[-1].revision)
            if change.key.startswith(prefixes):
                found.append(change)
        return Watched(tuple(found), now)

    def kept(self) -> tuple[Change, ...]:
        return tuple(self._changes[self._first :])
