"""Those who follow runs: what they have seen, and what they are told when there is something newer.

A run's number grows with every change of its records and with every progress that an agent tells; a follower is answered as soon as the
number is another than the one that it has seen (after a restart they begin anew, so it may be a lower one), but not again within PAUSE_S, and the longer the more slices it has.
The end of a run is told at once.  Progress is kept in memory only, for the runs that live.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import anyio

from runink.clients.run_requests import RunView, SliceProgress, SliceUsed
from runink.errors import Overloaded, RuninkError
from runink.names import RunId, SliceId
from runink.runs.figures import figures_of
from runink.runs.records import SliceRecord
from runink.runs.views import RunView as RunState
from runink.runtime.actor import Later

FOLLOWERS_MAX: Final = 1000  # open requests; a person has one or two
PAUSE_S: Final = 0.05  # nobody sees more
PAUSE_S_PER_SLICE: Final = (
    0.0005  # a view of all slices costs the more, here and where it is read, the more they are
)


@dataclass(eq=False, slots=True)
class Follower:
    """One open request. `answered` ends the wait of who watches its time."""

    seen: int
    later: Later
    answered: anyio.Event = field(default_factory=anyio.Event)


@dataclass(slots=True)
class _Followed:
    number: int = 1
    progress: dict[SliceId, SliceProgress] = field(default_factory=dict)
    used: dict[SliceId, SliceUsed] = field(default_factory=dict)
    followers: dict[Follower, None] = field(default_factory=dict)  # a dict keeps their order
    not_before_s: float = 0.0


class Followers:
    """All that is followed, by run."""

    def __init__(self) -> None:
        self._runs: dict[RunId, _Followed] = {}
        self._open = 0

    def __len__(self) -> int:
        return len(self._runs)

    def runs(self) -> tuple[RunId, ...]:
        """Return the runs that are followed, or about which something is known."""
        return tuple(self._runs)

    def add(self, run: RunId, seen: int, later: Later) -> Follower:
        """Take a request. Raises Overloaded beyond FOLLOWERS_MAX."""
        if self._open >= FOLLOWERS_MAX:
            raise Overloaded(f"{self._open} requests follow runs already", hint="try again later")
        follower = Follower(seen, later)
        self._runs.setdefault(run, _Followed()).followers[follower] = None
        self._open += 1
        return follower

    def progress(self, told: SliceProgress) -> None:
        """Take note of how far a slice of a run that lives is. An attempt that another has followed is not listened to any more."""
        followed = self._runs.setdefault(told.run, _Followed())
        before = followed.progress.get(told.slice)
        if before is None or before.attempt <= told.attempt:
            followed.progress[told.slice] = told
            followed.number += 1

    def used(self, told: SliceUsed) -> None:
        """Take note of what a slice of a run that lives has used. Nobody is told for that alone."""
        followed = self._runs.setdefault(told.run, _Followed())
        before = followed.used.get(told.slice)
        if before is None or before.attempt <= told.attempt:
            followed.used[told.slice] = told

    def changed(self, run: RunId) -> None:
        """Take note that a run's records have changed."""
        self._runs.setdefault(run, _Followed()).number += 1

    def due_s(self, run: RunId, *, now_s: float) -> float | None:
        """Say in how many seconds somebody is to be told something about a run that lives, nothing if nobody is."""
        followed = self._runs.get(run)
        if followed is None or all(one.seen == followed.number for one in followed.followers):
            return None
        return max(followed.not_before_s - now_s, 0.0)

    def tell(self, state: RunState, *, now_s: float) -> None:
        """Answer those who have seen something else than there is; if the run is over, all, and forget it."""
        run = state.record.run
        followed = self._runs.get(run)
        if followed is None:
            return
        is_over = state.record.state.is_over
        due = [one for one in followed.followers if is_over or one.seen != followed.number]
        if due:
            pause_s = max(PAUSE_S, len(state.slices) * PAUSE_S_PER_SLICE)
            followed.not_before_s = now_s + pause_s
            view = _shown(state, followed)
            for follower in due:
                self._answer(followed, follower, view)
        if is_over:
            del self._runs[run]

    def answer(self, follower: Follower, state: RunState) -> None:
        """Answer one, unless it has been: its time is over."""
        followed = self._runs.get(state.record.run)
        if followed is not None and follower in followed.followers:
            self._answer(followed, follower, _shown(state, followed))

    def forget(self, run: RunId, error: RuninkError) -> None:
        """Drop a run that is not there any more, and tell who follows it so."""
        followed = self._runs.pop(run, None)
        for follower in followed.followers if followed is not None else ():
            self._open -= 1
            follower.later.fail(error)
            follower.answered.set()

    def _answer(self, followed: _Followed, follower: Follower, view: RunView) -> None:
        del followed.followers[follower]
        self._open -= 1
        follower.later.answer(view)
        follower.answered.set()


def _shown(state: RunState, followed: _Followed) -> RunView:
    return RunView(
        number=followed.number,
        record=state.record,
        slices=tuple(state.slices[name] for name in sorted(state.slices)),
        figures=tuple(
            figures_of(state.dag, scenario.id, state.slices) for scenario in state.dag.scenarios
        ),
        progress=tuple(row for told in followed.progress.values() for row in told.nodes),
        used={
            name: told.used
            for name, told in followed.used.items()
            if _is_running(state.slices.get(name), told.attempt)
        },
    )


def _is_running(record: SliceRecord | None, attempt: int) -> bool:
    return record is not None and record.attempt == attempt and not record.state.is_over
