"""Those who follow runs: what they have seen, and what they are told when there is something newer.

A run's number grows with every change of its records and with every progress that an agent tells; a follower is answered as soon as the
number is above the one that it has seen.  Progress is kept in memory only, for the runs that live.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import anyio

from runink.clients.run_requests import RunView
from runink.errors import Overloaded
from runink.jobs import NodeFacts
from runink.names import RunId, SliceId
from runink.runs.figures import figures_of
from runink.runs.lifecycle import RunView as RunState
from runink.runtime.actor import Later

FOLLOWERS_MAX: Final = 1000  # open requests; a person has one or two


@dataclass(eq=False, slots=True)
class Follower:
    """One open request. `answered` ends the wait of who watches its time."""

    seen: int
    later: Later
    answered: anyio.Event = field(default_factory=anyio.Event)


@dataclass(slots=True)
class _Followed:
    number: int = 1
    progress: dict[SliceId, tuple[NodeFacts, ...]] = field(default_factory=dict)
    followers: list[Follower] = field(default_factory=list)


class Followers:
    """All that is followed, by run."""

    def __init__(self) -> None:
        self._runs: dict[RunId, _Followed] = {}
        self._open = 0

    def add(self, run: RunId, seen: int, later: Later) -> Follower:
        """Take a request. Raises Overloaded beyond FOLLOWERS_MAX."""
        if self._open >= FOLLOWERS_MAX:
            raise Overloaded(f"{self._open} requests follow runs already", hint="try again later")
        follower = Follower(seen, later)
        self._runs.setdefault(run, _Followed()).followers.append(follower)
        self._open += 1
        return follower

    def progress(self, run: RunId, slice_id: SliceId, nodes: tuple[NodeFacts, ...]) -> None:
        """Take note of how far a slice is."""
        followed = self._runs.setdefault(run, _Followed())
        followed.progress[slice_id] = nodes
        followed.number += 1

    def changed(self, run: RunId) -> None:
        """Take note that a run's records have changed."""
        if run in self._runs:
            self._runs[run].number += 1

    def tell(self, state: RunState) -> None:
        """Answer those who have seen less than there is."""
        followed = self._runs.get(state.record.run)
        if followed is None:
            return
        due = [one for one in followed.followers if one.seen < followed.number]
        for follower in due:
            self.answer(follower, state)

    def answer(self, follower: Follower, state: RunState) -> None:
        """Answer one, unless it has been."""
        followed = self._runs.get(state.record.run)
        if followed is None or follower not in followed.followers:
            return
        followed.followers.remove(follower)
        self._open -= 1
        follower.later.answer(_shown(state, followed))
        follower.answered.set()
        if state.record.state.is_over and not followed.followers:
            del self._runs[state.record.run]


def _shown(state: RunState, followed: _Followed) -> RunView:
    return RunView(
        number=followed.number,
        record=state.record,
        slices=tuple(state.slices[name] for name in sorted(state.slices)),
        figures=tuple(
            figures_of(state.dag, scenario.id, state.slices) for scenario in state.dag.scenarios
        ),
        progress=tuple(row for rows in followed.progress.values() for row in rows),
    )
