"""What revisions alone tell of a history, without a search: cheap enough for any length, and it looks across keys.

- An acknowledged change has a revision of its own, and no other change has it.
- Real time respects revisions: what began after something else had been answered has a newer revision if it changed a key, and none that is older if it did not.
  So a read is not older than the newest write that was acknowledged before it began, nor than what another read has shown by then.
- A read shows, for every key, what was written at the revision that it names: by a write of that key, of that value, that had begun.
- A read at a revision misses no acknowledged change of its key up to there.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf

from runink.testing.histories import Delete, Operation, Put, Saw, Swap, Wrote


def check_revisions(history: Iterable[Operation]) -> list[str]:
    """Return everything that is wrong, for people; nothing, if all is well."""
    operations = list(history)
    changes = _Changes()
    findings = [finding for operation in operations for finding in changes.add(operation)]
    findings += _out_of_order(operations)
    for operation in sorted(operations, key=_ended):
        if isinstance(operation.answer, Saw):
            findings += changes.missed(operation, operation.answer)
    return findings


def _value_of(operation: Operation) -> bytes | None:
    """Return what a write makes of its key."""
    match operation.action:
        case Put(value) | Swap(_, value):
            return value
        case _:
            return None


@dataclass(slots=True)
class _Changes:
    """The writes of a history: by revision those that were acknowledged, by key all of them."""

    by_revision: dict[int, Operation] = field(default_factory=dict)
    revisions: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    unknown: defaultdict[str, list[Operation]] = field(default_factory=lambda: defaultdict(list))
    shown: dict[int, Operation] = field(default_factory=dict)

    def add(self, operation: Operation) -> Iterator[str]:
        if operation.answer is None:
            self.unknown[operation.key].append(operation)
        elif isinstance(operation.answer, Wrote) and operation.answer.changed:
            revision = operation.answer.revision
            first = self.by_revision.setdefault(revision, operation)
            if first is not operation:
                yield f"two changes with revision {revision}: {first}, and {operation}"
            revisions = self.revisions[operation.key]
            revisions.insert(bisect_right(revisions, revision), revision)

    def missed(self, read: Operation, saw: Saw) -> Iterator[str]:
        """Yield what the read shows wrongly or does not show."""
        revisions = self.revisions[read.key]
        place = bisect_right(revisions, saw.revision)
        newest = revisions[place - 1] if place else 0
        if saw.value is None:
            last = self.by_revision[newest] if newest else None
            is_gone = last is None or isinstance(last.action, Delete)
            if not is_gone and not any(self._unknown_before(read, None)):
                yield f"{read} misses {last}"
            return
        if saw.mod_revision > saw.revision:
            yield f"{read} shows a change that was yet to come"
        if saw.mod_revision < newest:
            yield f"{read} misses {self.by_revision[newest]}"
        yield from self._not_written(read, saw)

    def _not_written(self, read: Operation, saw: Saw) -> Iterator[str]:
        first = self.shown.setdefault(saw.mod_revision, read)
        if (first.key, _shown(first)) != (read.key, saw.value):
            yield f"{read} and {first} show different changes of one revision"
        written = self.by_revision.get(saw.mod_revision)
        if written is None:
            if not any(self._unknown_before(read, saw.value)):
                yield f"{read} shows what nobody wrote"
        elif (written.key, _value_of(written)) != (read.key, saw.value):
            yield f"{read} shows something else than was written: {written}"

    def _unknown_before(self, read: Operation, value: bytes | None) -> Iterator[Operation]:
        """Yield the writes with an unknown outcome that may have left `value`."""
        assert read.ended is not None
        for operation in self.unknown[read.key]:
            if _value_of(operation) == value and operation.began <= read.ended:
                yield operation


def _shown(read: Operation) -> bytes | None:
    assert isinstance(read.answer, Saw)
    return read.answer.value


def _ended(operation: Operation) -> float:
    return inf if operation.ended is None else operation.ended


def _out_of_order(operations: Sequence[Operation]) -> Iterator[str]:
    """Yield the operations whose revision is older than one that was answered before they began."""
    answered = [one for one in operations if one.answer is not None]
    by_end = sorted(answered, key=_ended)
    newest: Operation | None = None
    newest_revision = -1
    place = 0
    for operation in sorted(answered, key=lambda one: one.began):
        while _ended(by_end[place]) < operation.began:  # ends: this operation ends later
            answer = by_end[place].answer
            assert answer is not None
            if answer.revision > newest_revision:
                newest, newest_revision = by_end[place], answer.revision
            place += 1
        answer = operation.answer
        assert answer is not None
        changed = isinstance(answer, Wrote) and answer.changed
        if answer.revision < newest_revision or (changed and answer.revision == newest_revision):
            yield f"{operation} began after {newest}, and its revision is no newer"
