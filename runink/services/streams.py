"""Streams that are open at the desk of the wire: whose they are, how many, and when they are over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from runink.errors import NotFound, Overloaded
from runink.services.feeds import Feed, source_of
from runink.services.parties import Party

STREAMS_OF_PRINCIPAL: Final = 16  # over all of its links: 8 MiB of what waits, at the worst
STREAMS_MAX: Final = 1024
IDLE_S: Final = 60.0  # who asks for no part as long as that has gone


@dataclass(frozen=True, slots=True)
class _Open:
    party: Party
    feed: Feed


class OpenStreams:
    """Of one desk. A stream is known to the link that has opened it, and to no other."""

    def __init__(self) -> None:
        self._number = 0
        self._open: dict[str, dict[int, _Open]] = {}  # by principal, in the order of their opening
        self._parties: set[Party] = set()  # whose end we are told of

    def statistics(self) -> dict[str, int]:
        """Return how many streams there are, and of how many principals."""
        return {"streams": sum(map(len, self._open.values())), "principals": len(self._open)}

    def check_room(self, party: Party) -> None:
        """Raise Overloaded (`too_many_streams`, `overloaded`) where nobody may open another one. Streams whose end was told give way."""
        theirs = self._open.get(party.principal.subject, {})
        for number in [number for number, one in theirs.items() if one.feed.is_over]:
            if len(theirs) < STREAMS_OF_PRINCIPAL:
                break
            self._drop(party.principal.subject, number)
        if len(theirs) >= STREAMS_OF_PRINCIPAL:
            raise Overloaded(
                f"you have {len(theirs)} streams open",
                code="too_many_streams",
                hint="leave one, or ask for more in one stream",
            )
        if self.statistics()["streams"] >= STREAMS_MAX:
            raise Overloaded("too many streams are open", hint="ask again in a moment")

    def open(
        self,
        party: Party,
        answer: Any,
        check_may: Callable[[], object],
        *,
        now_s: float,
        has_sent: Callable[[int], object],
    ) -> tuple[int, Feed]:
        """Open a stream of what an operation was answered with; return its number, and the feed, whose pump has to run. `has_sent` is told the bytes of each part."""
        self._number += 1
        feed = Feed(source_of(answer), check_may, now_s=now_s, has_sent=has_sent)
        theirs = self._open.setdefault(party.principal.subject, {})
        theirs[self._number] = _Open(party, feed)
        if party not in self._parties:
            self._parties.add(party)
            party.when_gone(partial(self._gone, party))
        return self._number, feed

    def of(self, party: Party, number: int) -> Feed:
        """Return a stream of a link. Raises NotFound (`no_such_stream`)."""
        found = self._open.get(party.principal.subject, {}).get(number)
        if found is None or found.party is not party:
            raise NotFound(
                f"there is no stream {number} of this connection",
                code="no_such_stream",
                hint="open it again, since the revision of the last event",
            )
        return found.feed

    def close(self, party: Party, number: int) -> None:
        """Close a stream of a link, if there is such a one."""
        found = self._open.get(party.principal.subject, {}).get(number)
        if found is not None and found.party is party:
            self._drop(party.principal.subject, number)

    def tick(self, *, now_s: float) -> None:
        """Take note of the time, each second: who has gone has no streams any more."""
        for subject, number, feed in list(self._all()):
            feed.tick(now_s=now_s)
            if not feed.is_awaited and now_s - feed.used_s >= IDLE_S:
                self._drop(subject, number)

    def close_all(self) -> None:
        for subject, number, _ in list(self._all()):
            self._drop(subject, number)

    def _gone(self, party: Party) -> None:
        self._parties.discard(party)
        theirs = self._open.get(party.principal.subject, {})
        for number in [number for number, one in theirs.items() if one.party is party]:
            self._drop(party.principal.subject, number)

    def _all(self) -> Iterator[tuple[str, int, Feed]]:
        for subject, theirs in self._open.items():
            for number, one in theirs.items():
                yield subject, number, one.feed

    def _drop(self, subject: str, number: int) -> None:
        theirs = self._open[subject]
        theirs.pop(number).feed.close()
        if not theirs:
            del self._open[subject]
