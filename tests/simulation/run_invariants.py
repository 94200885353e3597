"""What must be true of runs and slices in the Barn, whatever happens: checked on every revision, by watching all of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import aclosing
from typing import Any

import msgspec
from placement_invariants import Past, check_amounts, check_decision, check_placed, tables_of
from runink.barn.history import Watched
from runink.barn.keys import (
    DECISIONS,
    HEALTH,
    HERDS,
    LINEAGE,
    NODES,
    PLACEMENTS,
    PUBLISHING,
    RESERVATIONS,
    RUNS,
    SLICES,
    STANDINGS,
    health_key,
    lineage_key,
    parse_placement,
    run_key,
)
from runink.barn.keyvalue import Change
from runink.clients.barn import BarnClient
from runink.herds.record import HerdRecord
from runink.jobs import Done
from runink.names import NodeId, RunId
from runink.runs.health import NodeHealth
from runink.runs.lifecycle import PUBLISH, target_hash
from runink.runs.records import (
    NodeRecord,
    NodeStanding,
    Placement,
    RunRecord,
    RunState,
    SliceRecord,
    SliceState,
    Task,
)
from runink.runs.reservations import ReservationRecord, Victim
from runink.scheduling.decisions import DecisionRecord

KINDS: dict[str, Any] = {
    HERDS.prefix(): HerdRecord,
    NODES.prefix(): NodeRecord,
    STANDINGS.prefix(): NodeStanding,
    RUNS.prefix(): RunRecord,
    SLICES.prefix(): SliceRecord,
    PLACEMENTS.prefix(): Placement,
    PUBLISHING.prefix(): str,
    RESERVATIONS.prefix(): ReservationRecord,
    LINEAGE.prefix(): dict,
    HEALTH.prefix(): NodeHealth,
    DECISIONS.prefix(): DecisionRecord,
}
_BY_CHANCE = re.compile(rb'"streams":"[0-9a-f]+"|"pid":[0-9]+')  # keys, and this process
ORDER = [SliceState.PENDING, SliceState.PLACED, SliceState.LAUNCHING, SliceState.RUNNING]
_UNDONE = (SliceState.LOST, SliceState.CANCELLED)


class Invariants:
    """The Barn as it was last seen. It outlives clusters: what a power cut leaves must go on where it was."""

    def __init__(self) -> None:
        self.revision = 0
        self.state: dict[str, Any] = {}
        self.cancelled: set[str] = set()  # runs whose cancellation was answered
        self.submitted: set[str] = set()  # runs whose submission was answered
        self.past = Past()
        self.history: list[bytes] = []  # all that was seen, but for what is by chance
        self.stopped: set[Victim] = set()  # what has had to give way to others
        self.spread: set[tuple[str, str, int]] = (
            set()
        )  # attempts of gangs that stood on several nodes

    async def watch(self, barn: BarnClient) -> None:
        async with aclosing(barn.watch(*KINDS, after_revision=self.revision)) as changes:
            async for watched in changes:
                self.see(watched)

    def see(self, watched: Watched) -> None:
        revision: list[Change] = []
        for change in watched.changes:
            if revision and revision[-1].revision != change.revision:
                self._see_revision(revision)
                revision = []
            revision.append(change)
        self._see_revision(revision)
        self.revision = watched.revision

    def runs(self) -> list[RunRecord]:
        return [one for key, one in self.state.items() if key.startswith(RUNS.prefix())]

    def slices(self, run: str = "") -> list[SliceRecord]:
        return [
            one
            for key, one in self.state.items()
            if key.startswith(SLICES.prefix()) and run in ("", one.run)
        ]

    def keys(self, prefix: str) -> list[str]:
        return [key for key in self.state if key.startswith(prefix)]

    def _see_revision(self, changes: list[Change]) -> None:
        before = {change.key: self.state.get(change.key) for change in changes}
        for change in changes:
            value = change.now.value if change.now is not None else b""
            said = f"{change.revision} {change.key} ".encode()
            self.history.append(said + _BY_CHANCE.sub(b"", value))
            if change.now is None:
                self.state.pop(change.key, None)
            else:
                kind = next(kind for prefix, kind in KINDS.items() if change.key.startswith(prefix))
                self.state[change.key] = msgspec.json.decode(change.now.value, type=kind)
        for key, was in before.items():
            self._check(key, was, self.state.get(key))
        self._check_placements()
        self._check_gangs(
            {now.run for key in before if isinstance(now := self.state.get(key), SliceRecord)}
        )
        check_amounts(self.state)
        self._check_moves(before)
        if changes:
            self._check_places(changes[0].revision, before)
            self.past.add(changes[0].revision, self.state)

    def _check(self, key: str, was: Any, now: Any) -> None:
        if key.startswith(RUNS.prefix()):
            self._check_run(was, now)
        elif key.startswith(SLICES.prefix()):
            self._check_slice(was, now)
        elif key.startswith(RESERVATIONS.prefix()):
            self._check_reservation(was, now)
        elif key.startswith(PUBLISHING.prefix()):
            assert was is None or now is None, f"{key} went from {was} to {now}"

    def _check_run(self, was: RunRecord | None, now: RunRecord | None) -> None:
        assert now is not None, "nobody forgets runs here"
        if was is not None:
            assert not was.state.is_over, f"{was.run} was over and is changed"
            assert not (was.cancel and not now.cancel), "a cancellation is lost"
            assert was.ending in (None, now.ending), f"{now.run} ends in another way than it began"
        if now.state is RunState.COMMITTING and (was is None or was.state is not now.state):
            self._check_all_chains_succeeded(now)
            for one in now.prepared:
                assert self.state.get(PUBLISHING.key(target_hash(one))) == now.run
        if now.state.is_over:
            self._check_over(now)
        for gang, one in now.yielded.items():
            assert Victim(now.run, gang, one.attempt) in self.stopped, f"nobody asked {gang}"

    def _check_reservation(
        self, was: ReservationRecord | None, now: ReservationRecord | None
    ) -> None:
        """Only what has a strictly lower priority gives way, and only what has a node."""
        named = set(was.victims) if was is not None else set()
        for victim in now.victims if now is not None else ():
            assert now is not None
            gang = [one for one in self.slices(victim.run) if one.gang == victim.gang]
            assert all(one.turn.priority < now.priority for one in gang), f"{now} stops {gang}"
            if victim not in named:
                assert any(one.state.is_on_node and one.attempt == victim.attempt for one in gang)
            self.stopped.add(victim)

    def _check_all_chains_succeeded(self, run: RunRecord) -> None:
        chains = [one for one in self.slices(run.run) if one.task is Task.CHAIN]
        assert chains
        assert all(one.state is SliceState.SUCCEEDED for one in chains)
        assert not run.cancel or run.ending is None

    def _check_over(self, run: RunRecord) -> None:
        assert lineage_key(run.herd, run.run) in self.state, f"{run.run} has no lineage"
        assert all(one.state.is_over for one in self.slices(run.run)), f"{run.run} has slices left"
        mine = [key for key in self.keys(PLACEMENTS.prefix()) if f"/{run.run}/" in key]
        assert not mine, f"{run.run} has placements left: {mine}"
        assert run.run not in {self.state[key] for key in self.keys(PUBLISHING.prefix())}
        if run.state is RunState.SUCCEEDED:
            self._check_all_chains_succeeded(run)

    def _check_slice(self, was: SliceRecord | None, now: SliceRecord | None) -> None:
        assert now is not None
        run = self.state[run_key(now.herd, now.run)]
        assert not run.state.is_over or now.state.is_over
        if now.slice == PUBLISH and was is None:
            assert run.state is RunState.COMMITTING
        if was is None:
            assert now.attempt == 1
            return
        assert now.attempt in (was.attempt, was.attempt + 1), f"attempt {was.attempt} to {now}"
        if now.attempt > was.attempt:
            assert was.state.is_over
            assert now.state is SliceState.PENDING
            return
        if was.state is SliceState.SUCCEEDED and now.state in _UNDONE:
            assert isinstance(was.report, Done)  # the files went away with their node
            assert any(one.kind == "file" for one in was.report.prepared)
            assert run.state is not RunState.COMMITTING
            assert now.is_moved is (now.state is SliceState.CANCELLED)
            was = msgspec.structs.replace(was, state=now.state, ended_ms=now.ended_ms)
        if now.is_moved and was.state is SliceState.CANCELLED:  # why, is said when its end is seen
            was = msgspec.structs.replace(was, is_moved=True)
        assert not was.state.is_over or now == was, f"{was} was over and became {now}"
        assert now.launched_ms >= was.launched_ms, f"{now} forgets that it was launched"
        if was.state is SliceState.RUNNING and now.state is SliceState.CANCELLED:
            assert now.exit is not None, f"{now} may live still"
        if not now.state.is_over and not was.state.is_over:
            assert ORDER.index(now.state) >= ORDER.index(was.state)

    def _check_placements(self) -> None:
        placed: set[tuple[str, str]] = set()
        gangs: dict[tuple[str, str, int], list[Placement]] = {}
        nodes: dict[tuple[str, str, int], set[str]] = {}
        for key in self.keys(PLACEMENTS.prefix()):
            parsed = parse_placement(key)
            assert parsed is not None
            node, run, slice_id = parsed
            assert (run, slice_id) not in placed, f"{slice_id} of {run} is placed twice"
            placed.add((run, slice_id))
            one = self.state[key]
            gangs.setdefault((run, one.gang, one.attempt), []).append(one)
            nodes.setdefault((run, one.gang, one.attempt), set()).add(node)
        for attempt, found in gangs.items():
            keys = {one.streams for one in found}
            assert len(keys) == 1, f"{attempt} has several keys of its streams"
            if len(nodes[attempt]) > 1:
                assert keys != {""}, f"{attempt} has no streams between its nodes"
                self.spread.add(attempt)

    def _check_gangs(self, runs: set[RunId]) -> None:
        """A gang is placed whole: none of it waits while another is on a node."""
        for run in runs:
            gangs: dict[tuple[str, int], set[SliceState]] = {}
            for one in self.slices(run):
                gangs.setdefault((one.gang, one.attempt), set()).add(one.state)
            for gang, states in gangs.items():
                is_split = SliceState.PENDING in states and any(one.is_on_node for one in states)
                assert not is_split, f"{gang} of {run} is placed in part: {states}"

    def _check_places(self, revision: int, before: dict[str, Any]) -> None:
        """What is placed fits by the rules, and what was decided comes out again."""
        now = {key: self.state.get(key) for key in before}
        placed = [
            one
            for key, one in now.items()
            if isinstance(one, SliceRecord)
            and one.state is SliceState.PLACED
            and before[key].state is SliceState.PENDING
        ]
        if placed:
            check_placed(self.past.at(revision - 1), placed)
        for one in now.values():
            if isinstance(one, DecisionRecord):
                check_decision(tables_of(self.past.at(one.revision), one.revision), one)

    def _check_moves(self, before: dict[str, Any]) -> None:
        """A node that is to get nothing new gets nothing, but what has to end there; a suspect one gets nothing at all."""
        for key, was in before.items():
            now = self.state.get(key)
            if isinstance(now, SliceRecord) and now.state is SliceState.PLACED and now != was:
                is_closed = STANDINGS.key(str(now.node)) in self.state
                assert not is_closed or now.pin == now.node, f"{now} goes to a closed node"
                health = self.state.get(health_key(NodeId(str(now.node))))
                assert health is None or not health.is_suspect, f"{now} goes to a suspect node"

    def check_answers(self) -> None:
        """What a client was answered holds for ever."""
        runs = {one.run: one for one in self.runs()}
        assert self.submitted <= set(runs), "a run that was answered for is not there"
        for name in self.cancelled:
            assert runs[name].cancel or runs[name].state.is_over

    def check_at_rest(self, over: Iterable[str]) -> None:
        """Nothing is left of runs that are over."""
        self.check_answers()
        states = {one.run: one.state for one in self.runs()}
        assert all(states[name].is_over for name in over)
        assert not self.keys(PLACEMENTS.prefix())
        assert not self.keys(PUBLISHING.prefix())
        assert not self.keys(RESERVATIONS.prefix())
