"""Watches that wait at a member of the Barn: who is answered when, and with what.

A watch is asked with the revision behind which it wants changes.  If there are some it is answered; else it waits here until a change of its keys is
applied, or its time is over.  Watches with the same interest are answered with one and the same value.

A member that has heard of no leader for some seconds may be cut off, while others go on, and one whose disk is full gets nothing new: nothing waits there.  Who asks is told so (`no_leader`,
`disk_full`), and asks another one from the same revision on, so that nothing is lost or told twice.

What is asked is looked up by a task beside the actor (`serve`), some at a time: after a change a thousand watches ask anew at once, and a write must not stand in
line behind them.  So the more there are, the more changes each answer holds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import anyio
import anyio.lowlevel

from runink.actors.barn_status import Served
from runink.barn.checks import check_interest
from runink.barn.history import Watched
from runink.barn.keyvalue import Change
from runink.barn.store import Store
from runink.barn.watches import Due, Watches
from runink.barn.watching import Bounds, Interest, change_bytes
from runink.clients.barn_requests import WatchFrom
from runink.errors import Overloaded, RuninkError, Unavailable
from runink.runtime.actor import Later

WATCHES_MAX: Final = 4096  # some per node and service; each holds a request open
WATCH_WAIT_S_MAX: Final = (
    300.0  # a watch that waits longer is indistinguishable from a forgotten one
)
CHANGES_MAX: Final = 10_000  # of one answer, some 10 ms
WATCHED_BYTES_MAX: Final = 6 << 20  # of one answer: with its numbers it fits a frame
SLICE: Final = 32  # watches that are looked up before others have their turn: some milliseconds
FOUND_BYTES_MAX: Final = 256 << 10  # of an answer that is kept
FOUND_MAX: Final = (
    64  # different questions behind one revision whose answers are kept for others who ask them
)


@dataclass(frozen=True, slots=True)
class _Poll:
    """A watch that waits, until when at most, and who is told."""

    request: WatchFrom
    interest: Interest
    until_s: float
    later: Later


class Polls:
    """The waiting watches of one member. `store` returns its state as it is now, `hindrance` says why nothing new may come to it, if that is so."""

    def __init__(
        self,
        served: Served,
        store: Callable[[], Store],
        *,
        hindrance: Callable[[], Unavailable | None],
    ) -> None:
        self._served = served
        self._store = store
        self._hindrance = hindrance
        self._watches = Watches()
        self._polls: dict[int, _Poll] = {}
        self._polled = 0
        self._asked: deque[tuple[WatchFrom, Later]] = deque()
        self._ahead: set[Later] = set()  # those that have seen more elsewhere
        self._is_asked = anyio.Event()
        self._found: dict[tuple[Interest, int, int, int], Watched] = {}
        self._found_at = (-1, -1)  # the store's revision, and what it had compacted

    def __len__(self) -> int:
        return len(self._polls)

    def ask(self, request: WatchFrom, later: Later) -> None:
        """Take a watch, to be answered when there is something. Raises Overloaded (`too_many_watches`)."""
        if len(self._polls) + len(self._asked) >= WATCHES_MAX:
            raise Overloaded(
                f"{WATCHES_MAX} watches wait already",
                code="too_many_watches",
                hint="try again in a moment",
            )
        self._asked.append((request, later))
        self._is_asked.set()

    def ask_ahead(self, later: Later) -> None:
        """Take a watch that has seen more than the state has: it is asked when that has caught up."""
        self._ahead.add(later)

    def caught_up(self, request: WatchFrom, later: Later) -> None:
        """Ask a watch that was ahead, unless it is answered. Raises Overloaded (`too_many_watches`)."""
        if later in self._ahead:
            self._ahead.remove(later)
            self.ask(request, later)

    async def serve(self) -> None:
        """Look up what is asked, for ever. Ends by being cancelled."""
        while True:  # ends by being cancelled
            await self._is_asked.wait()
            for _ in range(min(SLICE, len(self._asked))):
                request, later = self._asked.popleft()
                try:
                    self._look(request, later, now_s=anyio.current_time())
                except RuninkError as error:
                    later.fail(error)
            if not self._asked:
                self._is_asked = anyio.Event()
            await anyio.lowlevel.checkpoint()

    def _look(self, request: WatchFrom, later: Later, *, now_s: float) -> None:
        """Answer a watch, now or when there is something. Raises Invalid, Refused (`compacted`, `future_revision`), Unavailable (`no_leader`, `disk_full`)."""
        interest = Interest(request.prefixes, request.spans, request.skip, request.want_before)
        check_interest(interest, request.limit)
        store = self._store()
        watched = self._changes(store, interest, request)
        if watched.changes or request.wait_s <= 0 or watched.revision < store.revision:
            self._tell(later, watched)
            return
        hindrance = self._hindrance()
        if hindrance is not None:
            raise hindrance
        self._polled += 1
        until_s = now_s + min(request.wait_s, WATCH_WAIT_S_MAX)
        self._polls[self._polled] = _Poll(request, interest, until_s, later)
        self._watches.add(self._polled, interest)

    def _changes(self, store: Store, interest: Interest, request: WatchFrom) -> Watched:
        """Return what has happened. Many ask the same, so it is looked up once for each state."""
        if self._found_at != (store.revision, store.compacted):
            self._found_at = (store.revision, store.compacted)
            self._found = {}
        limit = min(request.limit, CHANGES_MAX)
        key = (interest, request.after_revision, request.part, limit)
        found = self._found.get(key)
        if found is None:
            bounds = Bounds(limit, WATCHED_BYTES_MAX)
            found = store.changes_after(request.after_revision, interest, bounds, part=request.part)
            size = sum(map(change_bytes, found.changes))
            if size <= FOUND_BYTES_MAX and len(self._found) < FOUND_MAX:
                self._found[key] = found
        return found

    def changed(self, changes: Sequence[Change]) -> None:
        """Answer those that wait for one of these, which were just applied."""
        if not self._polls or not changes:
            return
        revision = self._store().revision
        for due in self._watches.take(changes):
            self._answer(due, Watched(due.changes, revision), changes[0].revision - 1)

    def replaced(self) -> None:
        """Answer everybody: the state was replaced by a leader's, and who waits looks again."""
        for watch, poll in list(self._polls.items()):
            self._watches.remove(watch)
            del self._polls[watch]
            poll.later.answer(Watched((), poll.request.after_revision))

    def expire(self, *, now_s: float) -> None:
        """Answer those whose time is over, because they would have been answered if anything had happened to their keys; refuse all where nothing new may come."""
        hindrance = self._hindrance()
        if hindrance is not None:
            self._refuse_all(hindrance)
        revision = self._store().revision
        for watch in [watch for watch, poll in self._polls.items() if poll.until_s <= now_s]:
            self._watches.remove(watch)
            self._polls.pop(watch).later.answer(Watched((), revision))

    def _refuse_all(self, hindrance: Unavailable) -> None:
        polls, self._polls = self._polls, {}
        ahead, self._ahead = self._ahead, set()
        for watch in polls:
            self._watches.remove(watch)
        for later in (*(poll.later for poll in polls.values()), *ahead):
            later.fail(hindrance)

    def _answer(self, due: Due, watched: Watched, before: int) -> None:
        """Answer watches, all with one value: those for whom it is too much read for themselves."""
        is_large = sum(map(change_bytes, due.changes)) > WATCHED_BYTES_MAX
        for watch in due.watches:
            poll = self._polls.pop(watch)
            limit = min(poll.request.limit, CHANGES_MAX)
            if not is_large and len(due.changes) <= limit:
                self._tell(poll.later, watched)
                continue
            try:
                bounds = Bounds(limit, WATCHED_BYTES_MAX)
                self._tell(poll.later, self._store().changes_after(before, due.interest, bounds))
            except RuninkError as error:  # what it waits for was compacted away meanwhile
                poll.later.fail(error)

    def _tell(self, later: Later, watched: Watched) -> None:
        later.answer(watched)
        if watched.changes:
            self._served.watch_answers += 1
            self._served.watch_changes += len(watched.changes)


def no_leader() -> Unavailable:
    """Return the error for who would wait at a member that may be cut off."""
    return Unavailable(
        "this member has heard of no leader for some seconds, and may be cut off: what is written elsewhere does not come here",
        code="no_leader",
        hint="ask another member",
    )
