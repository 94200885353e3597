"""A cluster's life in virtual time: units arrive, are planned, run for as long as they do, end, and let others begin. Pure: the same jobs, the same life.

Units are heard of as events by one planner; each plan is carried out at once and whole.  What is stopped for others ends after its grace, and waits again
from its beginning.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from itertools import pairwise
from random import Random
from typing import Final, NamedTuple

from msgspec.structs import replace

from runink.names import HerdName, NodeId, RunId
from runink.placement.cluster import Amount, NodeView
from runink.placement.demands import Part, Unit, UnitKey
from runink.placement.planner import (
    Advanced,
    Event,
    Planner,
    Reserved,
    UnitEnded,
    UnitPlaced,
    UnitWaits,
)
from runink.placement.plans import Plan, Policy, Running, Snapshot

FIRST_COME: Final = Policy(ageing_ms=0, preemption=False)  # with the priorities of `first_come`
LARGE_RUNS: Final = 1 / 8
_ENDS: Final = 0
_ARRIVES: Final = 1


class Job(NamedTuple):
    """A unit, how long it runs when it runs, and after what it may begin. `together`: its time runs only while all units of that name have their nodes."""

    unit: Unit
    takes_ms: int
    arrives_ms: int = 0
    after: tuple[UnitKey, ...] = ()
    together: str = ""


class Life:
    """Runs jobs to their ends. `began_ms` and `ended_ms` tell when, by unit; `plans` are all plans that were made."""

    def __init__(self, snapshot: Snapshot, jobs: Iterable[Job]) -> None:
        self.planner = Planner(snapshot)
        self.now_ms = snapshot.now_ms
        self.began_ms: dict[UnitKey, int] = {}
        self.ended_ms: dict[UnitKey, int] = {}
        self.plans: list[Plan] = []
        self._jobs = {job.unit.key: job for job in jobs}
        self._left = {key: set(job.after) for key, job in self._jobs.items()}
        self._placed: dict[
            UnitKey, int
        ] = {}  # by its number of attempts: an end of an earlier one is stale
        self._attempts: dict[UnitKey, int] = {}
        self._next: list[tuple[int, int, UnitKey, int]] = []
        for key, job in self._jobs.items():
            if not job.after:
                heapq.heappush(self._next, (job.arrives_ms, _ARRIVES, key, 0))

    def run(self, *, until_ms: int = 1 << 60) -> None:
        """Live until nothing happens any more, or until then."""
        while self._next and self._next[0][0] <= until_ms:
            self.now_ms = self._next[0][0]
            while self._next and self._next[0][0] == self.now_ms:
                _, what, key, attempt = heapq.heappop(self._next)
                if what == _ARRIVES:
                    self._arrive(key)
                elif self._placed.get(key) == attempt:
                    self._end(key)
            self.plan()

    def run_times_ms(self) -> list[int]:
        """Live to the end, and return how long each run took from when it came."""
        self.run()
        came: dict[RunId, int] = {}
        ended: dict[RunId, int] = {}
        for key, job in self._jobs.items():
            run, _ = key
            if not job.after:
                came[run] = min(came.get(run, job.arrives_ms), job.arrives_ms)
            ended[run] = max(ended.get(run, 0), self.ended_ms[key])
        return [ended[run] - came[run] for run in came]

    def hear(self, event: Event) -> None:
        self.planner.step(event)

    def plan(self) -> None:
        """Plan, and carry that out."""
        self.hear(Advanced(len(self.plans), self.now_ms))
        plan = self.planner.plan()
        self.plans.append(plan)
        self.hear(Reserved(plan.reservations))
        for one in plan.placed:
            key = one.unit.key
            self.hear(UnitPlaced(Running(one.unit, one.nodes, self.now_ms)))
            self.began_ms[key] = self.now_ms
            self._attempts[key] = self._attempts.get(key, 0) + 1
            self._placed[key] = self._attempts[key]
        for one in plan.placed:
            self._run(self._jobs[one.unit.key])
        for victim in plan.preempted:
            self._stop(victim.unit, victim.grace_ms)

    def _run(self, job: Job) -> None:
        """Let a job's time run, if all that it runs together with have their nodes."""
        mates = [job]
        if job.together:
            mates = [other for other in self._jobs.values() if other.together == job.together]
        if all(mate.unit.key in self._placed for mate in mates):
            for mate in mates:
                key = mate.unit.key
                end = (self.now_ms + mate.takes_ms, _ENDS, key, self._placed[key])
                if end not in self._next:
                    heapq.heappush(self._next, end)

    def _stop(self, key: UnitKey, grace_ms: int) -> None:
        attempt = self._attempts[key] = self._attempts[key] + 1
        self._placed[key] = attempt
        running = next(one for one in self.planner.snapshot().placed if one.unit.key == key)
        self.hear(UnitPlaced(replace(running, is_leaving=True)))
        self._left[key] = {key}
        heapq.heappush(self._next, (self.now_ms + grace_ms, _ENDS, key, attempt))

    def _arrive(self, key: UnitKey) -> None:
        unit = self._jobs[key].unit
        self.hear(UnitWaits(replace(unit, waiting_since_ms=self.now_ms)))

    def _end(self, key: UnitKey) -> None:
        del self._placed[key]
        self.hear(UnitEnded(key))
        if self._left[key]:  # it was stopped
            self._left[key] = set()
            heapq.heappush(self._next, (self.now_ms, _ARRIVES, key, 0))
            return
        self.ended_ms[key] = self.now_ms
        for other, left in self._left.items():
            if key in left:
                left.discard(key)
                if not left:
                    heapq.heappush(self._next, (self.now_ms, _ARRIVES, other, 0))


class Dags(NamedTuple):
    """Jobs of many runs, the nodes that they are to run on, and the least time in which anybody could run them there."""

    nodes: tuple[NodeView, ...]
    jobs: tuple[Job, ...]
    bound_ms: int


def dags(seed: int, *, runs: int = 60, nodes: int = 10, cores: int = 16) -> Dags:
    """Return runs of steps that follow each other, all there from the beginning, with the times that they take as estimates."""
    random = Random(seed)  # noqa: S311 - the same seed gives the same jobs
    jobs: list[Job] = []
    longest = area = 0
    for run in range(runs):
        made = _dag(random, RunId(f"{run:026}"), run)
        longest = max(longest, *(job.unit.rank for job in made))
        area += sum(job.takes_ms * job.unit.needs.cpu_m for job in made)
        jobs += made
    views = tuple(
        NodeView(NodeId(f"n{number:02}"), Amount(cores * 1000, slices=1000))
        for number in range(nodes)
    )
    bound_ms = max(longest, -(-area // (nodes * cores * 1000)))
    return Dags(views, tuple(jobs), bound_ms)


def arriving(seed: int, *, runs: int = 60, herds: int = 4, busy: float = 0.9) -> Dags:
    """Return runs of some herds that come one after the other, so many that the nodes are as busy as that. One in eight of them is of eight times the steps."""
    random = Random(seed)  # noqa: S311 - the same seed gives the same jobs
    made = dags(seed, runs=runs)
    work = sum(job.takes_ms * job.unit.needs.cpu_m for job in made.jobs)
    pause_ms = work / sum(view.capacity.cpu_m for view in made.nodes) / busy / runs
    # As much work comes as time passes: a run of eight is followed by as long a pause.
    owners: dict[RunId, tuple[RunId, int]] = {}
    at_ms, left, owner = 0.0, 0, RunId("")
    for run in sorted({job.unit.run for job in made.jobs}):
        if not left:
            owner, left = run, 8 if random.random() < LARGE_RUNS else 1
            comes_ms = int(at_ms)
        left -= 1
        at_ms += pause_ms * random.expovariate(1)
        owners[run] = owner, comes_ms
    jobs = tuple(_of(job, *owners[job.unit.run], herds) for job in made.jobs)
    return Dags(made.nodes, jobs, made.bound_ms)


def _of(job: Job, run: RunId, comes_ms: int, herds: int) -> Job:
    """Return the job as one of that run, which comes then."""
    before = job.unit
    herd = HerdName(f"h{int(run) % herds}")
    unit = replace(
        before, run=run, gang=f"{before.run}-{before.gang}", herd=herd, run_order=comes_ms
    )
    after = tuple((run, f"{key[0]}-{key[1]}") for key in job.after)
    return job._replace(unit=unit, arrives_ms=comes_ms, after=after)


def first_come(jobs: Iterable[Job]) -> tuple[Job, ...]:
    """Return the jobs so that whose run came first is always served first."""
    return tuple(
        job._replace(unit=replace(job.unit, priority=-job.unit.run_order, herd=HerdName("h")))
        for job in jobs
    )


def _dag(random: Random, run: RunId, order: int) -> list[Job]:
    layers: list[range] = []
    for _ in range(random.randint(3, 7)):
        began = layers[-1].stop if layers else 0
        layers.append(range(began, began + random.randint(2, 8)))
    steps = layers[-1].stop
    takes = [random.randint(1, 20) * 1000 for _ in range(steps)]
    after: list[list[int]] = [[] for _ in range(steps)]
    for before, layer in pairwise(layers):
        for number in layer:
            after[number] = sorted(random.sample(before, min(random.randint(1, 3), len(before))))
    rank = list(takes)
    for number in range(steps - 1, -1, -1):
        for earlier in after[number]:
            rank[earlier] = max(rank[earlier], takes[earlier] + rank[number])
    herd = HerdName("h")
    return [
        Job(
            Unit(
                run,
                f"s{number:02}",
                herd,
                (Part(Amount(random.choice((1, 1, 2, 4)) * 1000, slices=1)),),
                run_order=order,
                rank=rank[number],
                estimate_ms=takes[number],
            ),
            takes[number],
            after=tuple((run, f"s{before:02}") for before in after[number]),
        )
        for number in range(steps)
    ]
