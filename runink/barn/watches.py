"""Who waits for which keys: matches changes with waiting watches. Pure.

A watch is a long poll: it waits here only while nothing has happened since the revision it goes on from, and is answered from
the history as soon as something has.  So nothing is kept for a watch between two polls, nothing can overflow, and a
watcher that reconnects resumes by its revision.

Waiting watches are found by their prefixes: a change costs one look for each *length* that a prefix has, however many prefixes and watches there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from runink.barn.keyvalue import Change


class Watches:
    """The waiting watches, by a number that their owner gives them."""

    def __init__(self) -> None:
        self._prefixes: dict[int, tuple[str, ...]] = {}
        self._waiting: dict[str, dict[int, None]] = {}  # a dict keeps their order, a set would not
        self._lengths: Counter[int] = Counter()  # how many different prefixes have it

    def __len__(self) -> int:
        return len(self._prefixes)

    def add(self, watch: int, prefixes: tuple[str, ...]) -> None:
        """Let a watch wait for changes of keys that begin with one of the prefixes."""
        assert watch not in self._prefixes
        self._prefixes[watch] = prefixes
        for prefix in prefixes:
            if prefix not in self._waiting:
                self._waiting[prefix] = {}
                self._lengths[len(prefix)] += 1
            self._waiting[prefix][watch] = None

    def remove(self, watch: int) -> None:
        """Forget a watch; one that is not there is no mistake (it was answered)."""
        for prefix in dict.fromkeys(self._prefixes.pop(watch, ())):
            waiting = self._waiting[prefix]
            del waiting[watch]
            if not waiting:
                del self._waiting[prefix]
                self._lengths[len(prefix)] -= 1
                if not self._lengths[len(prefix)]:
                    del self._lengths[len(prefix)]

    def take(self, changes: Iterable[Change]) -> list[int]:
        """Remove the watches that these changes concern, and return them, who came first first."""
        found: set[int] = set()
        for key in {change.key: None for change in changes}:
            for length in self._lengths:
                found.update(self._waiting.get(key[:length], ()))
        for watch in found:
            self.remove(watch)
        return sorted(found)
