"""Those who follow runs: what they have seen, and what they are told when there is something newer.

A run's number grows with every change of its records and with every progress that an agent tells; a follower is answered as soon as the
number is another than the one that it has seen (after a restart they begin anew, so it may be a lower one), but not again within PAUSE_S, and the longer the more slices it has.
The end of a run is told at once.  Progress is kept in memory only, for the runs that live.

Numbers are given out by one count over all runs, so that no run has the same one twice within a start of the controller.  A follower who says who told it what it has seen is told only the slices that have
changed since: a run of 1,000 slices is told a hundred times, and all of it each time took as long as a slice's launch.

No answer is larger than what the other side takes (`wire/codec.py`), however large the run: of many slices it tells the first by name, and that there are more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate, takewhile
from typing import Final, TypeVar

import anyio
from msgspec.structs import replace

from runink.clients.run_requests import Follow, RunView, SliceProgress, SliceUsed
from runink.errors import Overloaded, RuninkError
from runink.names import RunId, SliceId
from runink.runs.figures import figures_of
from runink.runs.records import SliceRecord
from runink.runs.views import RunView as RunState
from runink.runtime.actor import Later
from runink.wire.codec import encode

FOLLOWERS_MAX: Final = 1000  # open requests; a person has one or two
PAUSE_S: Final = 0.05  # nobody sees more
PAUSE_S_PER_SLICE: Final = (
    0.0005  # a view of all slices costs the more, here and where it is read, the more they are
)
# Of one answer. A value takes a byte at least, so these are fewer than VALUES_MAX of the receiver, and leave room for the run's own record and its figures.
SLICES_BYTES_MAX: Final = 64 << 10
PROGRESS_BYTES_MAX: Final = 128 << 10  # of some thousand nodes; beyond it some show none
USED_BYTES_MAX: Final = 32 << 10

# Runs that ended while they were told in parts, whose other parts are at hand for so long: who comes later is told of them from the Barn, which reads all of the run for each part.
ENDED_MAX: Final = 4
ENDED_S: Final = 10.0

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class Follower:
    """One open request. `answered` ends the wait of who watches its time; `has` is the number whose slices it has, 0 for none; `after` is the last slice of the part before."""

    seen: int
    has: int
    after: str
    later: Later
    answered: anyio.Event = field(default_factory=anyio.Event)


@dataclass(frozen=True, slots=True)
class _Ended:
    """A run as it ended, and the numbers that its slices were shown with."""

    view: RunView
    changed: Mapping[str, int]
    at_s: float


@dataclass(slots=True)
class _Followed:
    """`slices` are those that were shown last, `changed` the number that each was first shown with."""

    number: int
    slices: Mapping[str, SliceRecord] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)
    progress: dict[SliceId, SliceProgress] = field(default_factory=dict)
    used: dict[SliceId, SliceUsed] = field(default_factory=dict)
    followers: dict[Follower, None] = field(default_factory=dict)  # a dict keeps their order
    not_before_s: float = 0.0

    def is_due(self, follower: Follower) -> bool:
        """Say whether there is something that it has not been told: newer slices, or the others of which it was told a part."""
        return follower.seen != self.number or bool(follower.after)


class Followers:
    """All that is followed, by run. `started_ms` tells this start of the controller from others."""

    def __init__(self, started_ms: int) -> None:
        self._started_ms = started_ms
        self._runs: dict[RunId, _Followed] = {}
        self._ended: dict[RunId, _Ended] = {}  # the last one last
        self._open = 0
        self._last = 0  # number given out

    def __len__(self) -> int:
        return len(self._runs)

    def runs(self) -> tuple[RunId, ...]:
        """Return the runs that are followed, or about which something is known."""
        return tuple(self._runs)

    def add(self, request: Follow, later: Later) -> Follower:
        """Take a request. Raises Overloaded beyond FOLLOWERS_MAX."""
        if self._open >= FOLLOWERS_MAX:
            raise Overloaded(f"{self._open} requests follow runs already", hint="try again later")
        is_ours = request.told_by == self._started_ms
        has = request.seen if is_ours else 0
        follower = Follower(request.seen, has, request.after if is_ours else "", later)
        self._of(request.run).followers[follower] = None
        self._open += 1
        return follower

    def rest(self, request: Follow) -> RunView | None:
        """Return the next part for who was told a part of a run that was over then; nothing if it is to be told otherwise."""
        ended = self._ended.get(request.run)
        if ended is None or not request.after or request.told_by != self._started_ms:
            return None
        return _behind(_since(ended.view, request.seen, ended.changed), request.after)

    def progress(self, told: SliceProgress) -> None:
        """Take note of how far a slice of a run that lives is. An attempt that another has followed is not listened to any more."""
        followed = self._of(told.run)
        before = followed.progress.get(told.slice)
        if before is None or before.attempt <= told.attempt:
            followed.progress[told.slice] = told
            followed.number = self._next()

    def used(self, told: SliceUsed) -> None:
        """Take note of what a slice of a run that lives has used. Nobody is told for that alone."""
        followed = self._of(told.run)
        before = followed.used.get(told.slice)
        if before is None or before.attempt <= told.attempt:
            followed.used[told.slice] = told

    def changed(self, run: RunId) -> None:
        """Take note that a run's records have changed."""
        self._of(run).number = self._next()

    def due_s(self, run: RunId, *, now_s: float) -> float | None:
        """Say in how many seconds somebody is to be told something about a run that lives, nothing if nobody is."""
        followed = self._runs.get(run)
        if followed is None or not any(map(followed.is_due, followed.followers)):
            return None
        if any(one.after for one in followed.followers):
            return 0.0
        return max(followed.not_before_s - now_s, 0.0)

    def tell(self, state: RunState, *, now_s: float) -> None:
        """Answer those who have seen something else than there is; if the run is over, all, and forget it."""
        run = state.record.run
        followed = self._runs.get(run)
        if followed is None:
            return
        is_over = state.record.state.is_over
        due = [one for one in followed.followers if is_over or followed.is_due(one)]
        if due:
            pause_s = max(PAUSE_S, len(state.slices) * PAUSE_S_PER_SLICE)
            followed.not_before_s = now_s + pause_s
            view = self._shown(state, followed)
            is_in_parts = [self._answer(followed, follower, view) for follower in due]
            if is_over and any(is_in_parts):
                self._end(run, _Ended(view, followed.changed, now_s))
        if is_over:
            del self._runs[run]

    def _end(self, run: RunId, ended: _Ended) -> None:
        """Keep a run at hand that ended, and none that did long ago."""
        kept = [(name, one) for name, one in self._ended.items() if one.at_s + ENDED_S > ended.at_s]
        self._ended = {**dict(kept[1 - ENDED_MAX :]), run: ended}

    def tell_anew(self, state: RunState, *, now_s: float) -> None:
        """Answer all who follow a run that was not watched for a while: what has changed meanwhile nobody has counted."""
        self.changed(state.record.run)
        self.tell(state, now_s=now_s)

    def answer(self, follower: Follower, state: RunState) -> None:
        """Answer one, unless it has been: its time is over."""
        followed = self._runs.get(state.record.run)
        if followed is not None and follower in followed.followers:
            self._answer(followed, follower, self._shown(state, followed))

    def forget(self, run: RunId, error: RuninkError) -> None:
        """Drop a run that is not there any more, and tell who follows it so."""
        followed = self._runs.pop(run, None)
        for follower in followed.followers if followed is not None else ():
            self._open -= 1
            follower.later.fail(error)
            follower.answered.set()

    def _of(self, run: RunId) -> _Followed:
        followed = self._runs.get(run)
        if followed is None:
            followed = self._runs[run] = _Followed(self._next())
        return followed

    def _next(self) -> int:
        self._last += 1
        return self._last

    def _answer(self, followed: _Followed, follower: Follower, view: RunView) -> bool:
        """Answer one, and say whether there is more than it is told."""
        del followed.followers[follower]
        self._open -= 1
        told = _behind(_since(view, follower.has, followed.changed), follower.after)
        follower.later.answer(told)
        follower.answered.set()
        return told.more

    def _shown(self, state: RunState, followed: _Followed) -> RunView:
        before, changed = followed.slices, followed.changed
        for name, record in state.slices.items():
            if before.get(name) is not record:
                changed[name] = followed.number
        followed.slices = state.slices
        return RunView(
            number=followed.number,
            record=state.record,
            slices=tuple(state.slices[name] for name in sorted(state.slices)),
            figures=tuple(
                figures_of(state.dag, scenario.id, state.slices) for scenario in state.dag.scenarios
            ),
            progress=_fitting(
                tuple(row for told in followed.progress.values() for row in told.nodes),
                PROGRESS_BYTES_MAX,
            ),
            used=dict(
                _fitting(
                    tuple(
                        (name, told.used)
                        for name, told in followed.used.items()
                        if _is_running(state.slices.get(name), told.attempt)
                    ),
                    USED_BYTES_MAX,
                )
            ),
            told_by=self._started_ms,
        )


def _since(view: RunView, number: int, changed: Mapping[str, int]) -> RunView:
    """Return what a follower is told who has the slices as they were at this number, 0 for none."""
    if not number:
        return view
    newer = tuple(one for one in view.slices if changed[one.slice] > number)
    return replace(view, since=number, slices=newer)


def _behind(view: RunView, after: str) -> RunView:
    """Return a view with those of its slices that are behind one, or with the first of them where they are too many for an answer."""
    left = tuple(one for one in view.slices if one.slice > after) if after else view.slices
    # One at least, or nobody would come to its end: it is a value of the Barn.
    told = _fitting(left, SLICES_BYTES_MAX) or left[:1]
    if len(told) == len(view.slices):
        return view
    return replace(view, slices=told, more=len(told) < len(left))


def _fitting(rows: tuple[T, ...], bytes_max: int) -> tuple[T, ...]:
    """Return the first rows that are so large at most together."""
    sizes = accumulate(len(encode(row)) for row in rows)
    return rows[: sum(1 for _ in takewhile(bytes_max.__ge__, sizes))]


def _is_running(record: SliceRecord | None, attempt: int) -> bool:
    return record is not None and record.attempt == attempt and not record.state.is_over
