"""Who waits for which keys: matches changes with waiting watches when they are committed. Pure.

A watch is a long poll: it waits here only while nothing has happened since the revision it goes on from, and is answered with what matches as
soon as something does.  So nothing is kept for a watch between two polls, nothing can overflow, a slow watcher holds nobody, and one
that reconnects resumes by its revision.

Watches with equal interests wait together: what matches is found once for all of them, and is one value, which can be encoded once.  The interests that a
change concerns are found by a look for each *length* that a prefix has, one for the key itself, and one for each span that is neither; so it costs the
same with one watcher and with a thousand of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from runink.barn.keyvalue import Change, Span
from runink.barn.watching import Interest


@dataclass(frozen=True, slots=True)
class Due:
    """Watches of one interest, who came first first, and what has happened to its keys."""

    interest: Interest
    watches: tuple[int, ...]
    changes: tuple[Change, ...]


K = TypeVar("K")
Found = dict[Interest, None]  # a dict keeps their order, a set would not


class Watches:
    """The waiting watches, by a number that their owner gives them."""

    def __init__(self) -> None:
        self._interests: dict[int, Interest] = {}
        self._waiting: dict[Interest, dict[int, None]] = {}
        self._by_prefix: dict[str, Found] = {}
        self._lengths: Counter[int] = Counter()  # how many different prefixes have it
        self._by_key: dict[str, Found] = {}
        self._by_span: dict[Span, Found] = {}

    def __len__(self) -> int:
        return len(self._interests)

    def add(self, watch: int, interest: Interest) -> None:
        """Let a watch wait for changes that it is interested in."""
        assert watch not in self._interests
        self._interests[watch] = interest
        waiting = self._waiting.get(interest)
        if waiting is not None:
            waiting[watch] = None
            return
        self._waiting[interest] = {watch: None}
        for prefix in interest.prefixes:
            if prefix not in self._by_prefix:
                self._lengths[len(prefix)] += 1
            self._by_prefix.setdefault(prefix, {})[interest] = None
        for span in interest.spans:
            if _is_one_key(span):
                self._by_key.setdefault(span.start, {})[interest] = None
            else:
                self._by_span.setdefault(span, {})[interest] = None

    def remove(self, watch: int) -> None:
        """Forget a watch; one that is not there is no mistake (it was answered)."""
        interest = self._interests.pop(watch, None)
        if interest is None:
            return
        waiting = self._waiting[interest]
        del waiting[watch]
        if not waiting:
            self._forget(interest)

    def matched(self, changes: Sequence[Change]) -> list[Due]:
        """Return what these changes, whole revisions, are to the watches, which go on waiting."""
        found: dict[Interest, list[Change]] = {}
        for change in changes:
            for interest in dict.fromkeys(self._concerned(change.key)):
                told = interest.told(change)
                if told is not None:
                    found.setdefault(interest, []).append(told)
        return [
            Due(interest, tuple(self._waiting[interest]), tuple(told))
            for interest, told in found.items()
        ]

    def take(self, changes: Sequence[Change]) -> list[Due]:
        """Return what these changes are to the watches, and forget those that they are something to."""
        found = self.matched(changes)
        for due in found:
            for watch in due.watches:
                del self._interests[watch]
            self._forget(due.interest)
        return found

    def _concerned(self, key: str) -> Iterator[Interest]:
        for length in self._lengths:
            yield from self._by_prefix.get(key[:length], ())
        yield from self._by_key.get(key, ())
        for span, interests in self._by_span.items():
            if span.start <= key and (not span.end or key < span.end):
                yield from interests

    def _forget(self, interest: Interest) -> None:
        del self._waiting[interest]
        for prefix in dict.fromkeys(interest.prefixes):
            if _drop(self._by_prefix, prefix, interest):
                self._lengths[len(prefix)] -= 1
                if not self._lengths[len(prefix)]:
                    del self._lengths[len(prefix)]
        for span in dict.fromkeys(interest.spans):
            if _is_one_key(span):
                _drop(self._by_key, span.start, interest)
            else:
                _drop(self._by_span, span, interest)


def _is_one_key(span: Span) -> bool:
    return span.end == span.start + "\0"


def _drop(table: dict[K, Found], key: K, interest: Interest) -> bool:
    """Take an interest out of a table, and say whether it was the last of its key."""
    interests = table[key]
    del interests[interest]
    if interests:
        return False
    del table[key]
    return True
