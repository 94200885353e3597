"""What a watch is told: the changes behind a revision that it is interested in, cut into answers.

    an answer ends                                              `part`   the next one asks for what is behind
    with the newest revision: there is nothing more             0        `revision`
    behind a whole revision, because it holds enough            0        `revision`
    behind a whole revision, because it has looked long enough  0        `revision`; it may be empty, and is a progress mark then
    within a revision that is too large for one answer          above 0  `revision`, and `part` changes of the one behind it

So what was told is a revision and a part, and nothing else is kept of a watch between two answers.  A watch that is interested in a few keys is answered from
the changes of those keys, not from all there were.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

import msgspec

from runink.barn.history import Watched
from runink.barn.keyspace import Keyspace
from runink.barn.keyvalue import Change, Span, key_prefix

LOOKS_MAX: Final = 20_000  # changes that one answer looks at: some 5 ms
CHANGE_BYTES: Final = 512  # of what stands around a change: numbers and names count in a frame too
_INDEX_GAIN: Final = 4  # finding a key's changes takes as long as looking at so many


class Skip(Enum):
    """What a watch does not want to be told."""

    NOTHING = "nothing"
    PUTS = "puts"
    DELETES = "deletes"


class Interest(msgspec.Struct, frozen=True, array_like=True):
    """What a watch wants to be told: changes of keys with a prefix or in a span. Watches with equal interests are told the same."""

    prefixes: tuple[str, ...]
    spans: tuple[Span, ...] = ()
    skip: Skip = Skip.NOTHING
    want_before: bool = False

    def all_spans(self) -> Iterable[Span]:
        yield from map(key_prefix, self.prefixes)
        yield from self.spans

    def has(self, key: str) -> bool:
        """Say whether it is about this key."""
        return key.startswith(self.prefixes) or any(
            span.start <= key and (not span.end or key < span.end) for span in self.spans
        )

    def told(self, change: Change) -> Change | None:
        """Return a change of one of its keys as it is told, or nothing if it is skipped."""
        if self.skip is not Skip.NOTHING and (change.now is None) is (self.skip is Skip.DELETES):
            return None
        if self.want_before or change.before is None:
            return change
        return Change(change.revision, change.key, change.now)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one answer tells. Behind `changes` it ends with the revision; beyond `bytes` it does not reach, and cuts a revision that alone is larger."""

    changes: int
    bytes: int = 1 << 62


def change_bytes(change: Change) -> int:
    """Return what a change counts for in an answer."""
    values = len(change.now.value) if change.now is not None else 0
    values += len(change.before.value) if change.before is not None else 0
    return CHANGE_BYTES + len(change.key) + values


def changes_behind(
    keys: Keyspace, revision: int, interest: Interest, bounds: Bounds, *, part: int = 0
) -> Watched:
    """Return what happened behind `revision` (and behind `part` changes of the next). Raises Refused (`compacted`, `future_revision`)."""
    assert bounds.changes > 0
    keys.history.check_kept(revision)
    answer = _Answer(interest, bounds, revision, part)
    looks = 0
    for number in _candidates(keys, revision, interest):
        if not answer.reach(number - 1) or looks > LOOKS_MAX:
            return answer.done()
        changes = keys.history.row(number).changes
        looks += len(changes)
        if not answer.add(number, changes):
            return answer.done()
    answer.reach(keys.revision)
    return answer.done()


def _candidates(keys: Keyspace, revision: int, interest: Interest) -> Iterable[int]:
    """Return the revisions that may hold something: all, or those of the keys in question where these are few."""
    history = keys.history
    behind = keys.revision - revision
    few = behind // _INDEX_GAIN
    found: set[int] = set()
    for span in interest.all_spans():
        few -= keys.items.count(span, most=few) + history.gone.count(span, most=few)
        if few < 0:
            return range(revision + 1, keys.revision + 1)
        for item in keys.items.walk(span):
            found.update(history.revisions_of(item.key, revision, item))
        for change in history.gone.walk(span):
            found.update(history.revisions_of(change.key, revision, None))
    return sorted(found)


class _Answer:
    """An answer that is being filled, revision by revision."""

    def __init__(self, interest: Interest, bounds: Bounds, revision: int, part: int) -> None:
        self._interest = interest
        self._bounds = bounds
        self._found: list[Change] = []
        self._bytes = 0
        self._revision = revision
        self._part = part  # of the revision behind: how many of its changes were told before

    def done(self) -> Watched:
        return Watched(tuple(self._found), self._revision, self._part)

    def reach(self, revision: int) -> bool:
        """Say that there is nothing up to a revision, unless the answer is full."""
        if len(self._found) >= self._bounds.changes:
            return False
        if revision > self._revision:
            self._revision, self._part = revision, 0
        return True

    def add(self, revision: int, changes: tuple[Change, ...]) -> bool:
        """Take a revision, or what of it finds room, and say whether all of it did."""
        part = self._part if revision == self._revision + 1 else 0
        matched = list(self._matched(changes, part))
        size = sum(change_bytes(change) for _, change in matched)
        if self._bytes + size <= self._bounds.bytes:
            self._found += (change for _, change in matched)
            self._bytes += size
            self._revision, self._part = revision, 0
            return True
        if not self._found:
            self._cut(matched)
        return False

    def _matched(self, changes: tuple[Change, ...], part: int) -> Iterator[tuple[int, Change]]:
        for place in range(part, len(changes)):
            if self._interest.has(changes[place].key):
                told = self._interest.told(changes[place])
                if told is not None:
                    yield place, told

    def _cut(self, matched: list[tuple[int, Change]]) -> None:
        """Take of a revision that is too large what fits, and one change at least."""
        for place, change in matched:
            size = change_bytes(change)
            if self._found and self._bytes + size > self._bounds.bytes:
                break
            self._found.append(change)
            self._bytes += size
            self._part = place + 1
