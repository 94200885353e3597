"""A cluster on a bad day, from a seed: slices that fail in every way, people who change their minds, power cuts, and what `faults.py` has."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import anyio
import anyio.abc
from faults import Faults
from msgspec.structs import replace as changed
from placement_invariants import Waits
from places import ALIKE, Places, widened
from run_invariants import Invariants
from runink.barn.keys import (
    deployment_key,
    herd_key,
    publishing_key,
    run_key,
    schedule_key,
    slice_key,
)
from runink.calendars import Missed, Overlap, Schedule
from runink.clients.barn import Transaction, decode_value
from runink.clients.cluster import Cluster
from runink.clients.run_requests import Submit
from runink.connectors.targets import target_of
from runink.dag import Dag, Sink
from runink.errors import Unavailable, WireError
from runink.jobs import (
    ChainJob,
    CompareJob,
    Done,
    Failed,
    NodeFacts,
    Prepared,
    Progress,
    PublishJob,
)
from runink.names import HerdName, RunId, run_id
from runink.runs.lifecycle import target_hash
from runink.runs.records import RunRecord, RunState, SliceRecord, SliceState
from runink.runs.schedule_records import DeploymentRecord, ScheduleRecord
from runink.testing.cluster import BUNDLE, SimulatedCluster, simulated_cluster
from runink.testing.disk import SPACE_BYTES, FaultyDisk
from runink.testing.lives import EPOCH_MS, now_ms
from runink.testing.spawner import FakeSlice
from runink.tries import Retry

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "runs"))

from run_world import prepared, staged_dag

SHAPES = [("a",), ("a", "b"), ("b",), ("c", "d", "e")]
MEMBERS = ("m1", "m2", "m3")
ASKED = ["submit"] * 6 + ["cancel", "cancel", "pause", "unpause", "unpause"]
PRIORITIES = (0, 0, 5)
SCHEDULE = Schedule(
    every_ms=20_000,
    missed=Missed.ALL,
    overlap=Overlap.ALLOW,
    start_ms=EPOCH_MS,
    end_ms=EPOCH_MS + 100_000,
)
TICKS = [EPOCH_MS + 20_000 * number for number in range(1, 5)]
RETRY = Retry(times=2, delay_ms=2000, delay_max_ms=10_000)
STEPS = 25
CALM_S = 900.0  # within which every run has ended, once nothing goes wrong any more
REFUSED = Failed(WireError("Refused", "step_failed", "x"))
AWAY = Failed(WireError("Unavailable", "unavailable", "x"))
NEIGHBOUR = Failed(WireError("Unavailable", "producer_failed", "x"), consequence=True)


@dataclass
class FaultyWorld:
    """One simulation. It remembers what outlives a cluster: the disk, what was seen, what became visible, what was begun.

    `members` are those of its control plane.  One alone is that of a laptop: runs may live and die with it.  One that `is_wired` has gangs that stand on several nodes.
    """

    random: Random
    folder: Path
    members: tuple[str, ...] = ("m1",)
    is_wired: bool = False
    places: Places = ALIKE
    disk: FaultyDisk = field(default_factory=FaultyDisk)
    invariants: Invariants = field(default_factory=Invariants)
    published: list[tuple[str, RunId]] = field(default_factory=list)
    requests: dict[RunId, Submit] = field(default_factory=dict)
    begun: set[tuple[RunId, str, int]] = field(default_factory=set)
    is_calm: bool = False
    steps: int = 0
    cluster: SimulatedCluster = field(init=False)
    group: anyio.abc.TaskGroup = field(init=False)
    faults: Faults = field(init=False)

    def __post_init__(self) -> None:
        if self.is_wired:
            self.places = self.places.wired()
        self.scheduled = self._sized(staged_dag("s"))

    async def run(self) -> None:
        while not self.is_calm:  # ends after STEPS
            await self._live_until_power_cut()

    async def _live_until_power_cut(self) -> None:
        session = f"s{self.steps}"
        async with (
            anyio.create_task_group() as self.group,
            simulated_cluster(
                self.disk,
                self.folder,
                nodes=self.places.nodes,
                members=self.members,
                session=session,
                launched=self._begin,
            ) as self.cluster,
        ):
            self.cluster.sync_s = self._sync_s
            self.cluster.refuses_stream = self._refuses_stream
            others = self.places.others
            self.faults = Faults(self.random, self.cluster, self.disk, self.group, others)
            self.group.start_soon(self.invariants.watch, self.cluster.client.barn)
            try:
                await self._live()
            finally:
                self.group.cancel_scope.cancel()  # nobody begins anything in a cluster that ends
            for node in self.cluster.nodes.values():
                node.spawner.die()

    async def _live(self) -> None:
        await self._deploy()
        await self._act()
        if self.is_calm:
            await self._settle()
        assert not self.cluster.plane.overlaps, "two members acted at once"
        self.disk = self.disk.crash_at_random(self.random)
        self.disk.space_bytes = SPACE_BYTES  # nobody starts a cluster on a full disk

    async def _deploy(self) -> None:
        """Have a pipeline run at each of TICKS, if it is not deployed yet."""
        dag, at = self.scheduled, (self.scheduled.herd, self.scheduled.pipeline)
        schedule = ScheduleRecord(*at, dag.hash, SCHEDULE, seen_ms=EPOCH_MS)
        deployed = Transaction().if_absent(schedule_key(*at)).put(schedule_key(*at), schedule)
        deployment = DeploymentRecord(dag, "/p", BUNDLE, deployed_ms=EPOCH_MS)
        deployed = deployed.put(deployment_key(*at), deployment)
        # Of several records of one herd the first.
        for herd in {one.herd: one for one in reversed(self.places.herds)}.values():
            deployed = deployed.put(herd_key(herd.herd), herd)
        await self.client.barn.commit(deployed)

    def _sync_s(self) -> float:
        """Let the disk be slow now and then: what is decided meanwhile is decided on what has changed."""
        return self.random.choice([0.0, 0.001, 0.005, 0.05])

    def _refuses_stream(self) -> bool:
        return not self.is_calm and self.random.random() < 0.1

    async def _act(self) -> None:
        """Do this and that, until a power cut or the end of the bad day."""
        while self.steps < STEPS:
            self.steps += 1
            await anyio.sleep(self.random.choice([0.0, 0.01, 0.1, 0.5, 2.0, 10.0]))
            if self._one_step() == "power cut":
                return
        self.is_calm = True
        await self.faults.calm()

    def _one_step(self) -> str:
        step = self.random.choice([*ASKED, *["fault"] * 9, "power cut"])
        run = self.random.choice(list(self.requests)) if self.requests else None
        match step:
            case "submit":
                self.group.start_soon(self._submit, self._request())
            case "cancel" if run is not None:
                self.group.start_soon(self._cancel, run)
            case "pause" | "unpause" if run is not None:
                self.group.start_soon(partial(self._pause, run, paused=step == "pause"))
            case "fault":
                self.faults.strike()
        return step

    def _request(self) -> Submit:
        entropy = self.random.randbytes(10)
        run = run_id(now_ms=now_ms(), entropy=entropy)
        dag = self._sized(staged_dag(*self.random.choice(SHAPES), fan=self.random.choice([1, 2])))
        bound = len(self.members) == 1 and self.random.random() < 0.2
        priority = PRIORITIES[entropy[0] % len(PRIORITIES)]
        herd = self.random.choice(self.places.herds)
        dag = changed(dag, herd=herd.herd)
        request = Submit(run, dag, herd, "/p", BUNDLE, is_bound=bound, priority=priority)
        self.requests[run] = request
        return request

    def _sized(self, dag: Dag) -> Dag:
        """Return the pipeline with slices of other sizes, and with retries for some of its nodes."""
        dag = self.places.sized(dag, self.random)
        if self.is_wired and self.random.random() < 0.6:
            dag = widened(dag)
        retries = {node.id: RETRY for node in dag.nodes if self.random.random() < 0.5}
        return changed(dag, retries=retries)

    @property
    def client(self) -> Cluster:
        """Return what somebody has who asks any of the members that are there."""
        there = [name for name, one in self.cluster.members.items() if one.is_there]
        return self.cluster.client_at(self.random.choice(there or [MEMBERS[0]]))

    async def _submit(self, request: Submit) -> None:
        try:
            await self.client.submit(request)
        except Unavailable:
            return
        self.invariants.submitted.add(request.run)
        await self._follow(request.run)

    async def _follow(self, run: RunId) -> None:
        """Follow a run to its end: whoever was told that it is there must find it."""
        last: RunRecord | None = None
        while last is None or not last.state.is_over:
            try:
                async for view in self.client.follow(run):
                    assert last is None or not last.state.is_over
                    last = view.record
            except Unavailable:
                await anyio.sleep(0.5)

    async def _cancel(self, run: RunId) -> None:
        if run not in self.invariants.submitted:
            return
        try:
            record = await self.client.cancel(run)
        except Unavailable:
            return
        if record.cancel:
            self.invariants.cancelled.add(run)

    async def _pause(self, run: RunId, *, paused: bool) -> None:
        if run in self.invariants.submitted:
            with suppress(Unavailable):
                await self.client.pause(run, paused=paused)

    async def _settle(self) -> None:
        """From here on nothing goes wrong: every run ends."""
        for request in self.requests.values():
            if request.run not in self.invariants.submitted:
                self.group.start_soon(self._submit_at_last, request)
        waits = Waits()
        with anyio.move_on_after(CALM_S) as limit:
            while not self._are_all_over():
                waits.look(self.invariants.state, now_ms())
                for one in self.invariants.runs():
                    if one.paused and not one.state.is_over:
                        await self._pause(one.run, paused=False)
                await anyio.sleep(1.0)
        left = [one for one in self.invariants.runs() if not one.state.is_over]
        slices = [one for run in left for one in self.invariants.slices(run.run)]
        unsent = set(self.requests) - self.invariants.submitted
        assert not limit.cancelled_caught, f"not over: {left} {slices}, not submitted: {unsent}"
        await anyio.sleep(
            150.0
        )  # for nodes that are away, and what they and clients still have to do
        self._check_rest()

    async def _submit_at_last(self, request: Submit) -> None:
        while request.run not in self.invariants.submitted:
            await self._submit(request)
            await anyio.sleep(0.5)  # who is refused at once lets time pass before he asks again

    def _are_all_over(self) -> bool:
        known = {one.run for one in self.invariants.runs() if one.state.is_over}
        return known >= set(self.requests) and self._ticks(known) == TICKS

    def _ticks(self, runs: set[RunId]) -> list[int]:
        """Return of which ticks these are, sorted: a tick of which there are two runs stands in it twice."""
        found = [one.occasion for one in self.invariants.runs() if one.run in runs]
        return sorted(one.tick_ms for one in found if one is not None)

    def _check_rest(self) -> None:
        self.invariants.check_at_rest(self.requests)
        states = {one.run: one for one in self.invariants.runs()}
        for target, run in self.published:
            assert states[run].state is RunState.SUCCEEDED, f"{target} shows {states[run]}"
        for one in states.values():
            if one.state is RunState.SUCCEEDED:
                for output in one.prepared:
                    assert (output.target, one.run) in self.published
        for node in self.cluster.nodes.values():
            assert not node.spawner.slices, "the spawner keeps what nobody wants"

    # Slices.

    def _begin(self, fake: FakeSlice) -> None:
        self.group.start_soon(self._be, fake, self._record(fake))

    def _record(self, fake: FakeSlice) -> SliceRecord | None:
        ticket = fake.job.ticket
        found = self._value(
            slice_key(self._herd(ticket.run), ticket.run, ticket.slice), SliceRecord
        )
        return found if isinstance(found, SliceRecord) else None

    def _herd(self, run: RunId) -> HerdName:
        request = self.requests.get(run)
        return request.herd.herd if request is not None else self.scheduled.herd

    def _value(self, key: str, kind: type[Any]) -> Any:
        store = self.cluster.store
        item = store.get(key) if store is not None else None
        return decode_value(item, kind).value if item is not None else None

    async def _be(self, fake: FakeSlice, record: SliceRecord | None) -> None:
        """Be a slice: work for a while, then end in some way; when told to, end soon, or not. `record` is what the Barn said when it began."""
        begun = (fake.job.ticket.run, fake.job.ticket.slice, fake.attempt)
        assert begun not in self.begun, f"{begun} begins twice"
        self.begun.add(begun)
        if record is not None:
            assert record.state is SliceState.LAUNCHING, f"it begins while it is {record}"
            assert record.attempt == fake.attempt
        work_s = 0.1 if self.is_calm else self.random.choice([0.0, 0.02, 0.3, 1.0, 20.0])
        with anyio.move_on_after(work_s):
            await fake.signalled.wait()
        if fake.ended is not None:
            return
        if fake.signals:
            await anyio.sleep(self.random.choice([0.0, 1.0, 5.0]))
            fake.report(Failed(WireError("Refused", "cancelled", "x")))
            fake.exit(1)
            return
        self._end(fake)

    def _end(self, fake: FakeSlice) -> None:
        fate = self.random.random() if not self.is_calm else 1.0
        if fate < 0.05:
            fake.report(REFUSED if not isinstance(fake.job, PublishJob) else AWAY)
            fake.exit(1)
        elif fate < 0.1:
            fake.report(AWAY)
            fake.exit(1)
        elif fate < 0.13:
            fake.report(NEIGHBOUR)
            fake.exit(1)
        elif fate < 0.17:
            fake.die()
        elif fate < 0.2:
            fake.write_control(b"\xff" * 40)
            fake.exit(0)
        else:
            self._succeed(fake, dies_after=fate < 0.25)

    def _succeed(self, fake: FakeSlice, *, dies_after: bool) -> None:
        match fake.job:
            case ChainJob(nodes=nodes):
                facts = tuple(NodeFacts(node.id, 1, 1) for node in nodes)
                outputs = tuple(
                    _prepared(node, fake.job) for node in nodes if isinstance(node, Sink)
                )
                fake.report(Progress(facts))
                fake.report(Done(nodes=facts, prepared=outputs))
            case PublishJob(publish=outputs, ticket=ticket):
                if ticket.slice == "@publish":
                    for output in outputs:
                        self._publish(ticket.run, output)
                fake.report(Done())
            case CompareJob():
                raise AssertionError("nothing is rehearsed here")
        if dies_after:
            fake.die()
        else:
            fake.exit()

    def _is_barn_behind(self) -> bool:
        """Say whether the Barn has begun anew, and has not read all of its log yet that was seen of it before."""
        store = self.cluster.store
        return store is None or store.revision < self.invariants.revision

    def _publish(self, run: RunId, output: Any) -> None:
        record = self._value(run_key(self._herd(run), run), RunRecord)
        if record is None:
            assert self._is_barn_behind(), f"{run} publishes, and is not there"
        else:
            assert record.state is RunState.COMMITTING, f"it publishes while it is {record}"
            assert self._value(publishing_key(target_hash(output)), str) == run
        self.published.append((output.target, run))


def _prepared(sink: Sink, job: ChainJob) -> Prepared:
    """Return what a slice with this job has written for the sink."""
    target = target_of(sink, root=Path(job.project), ticket=job.ticket)
    return changed(prepared(sink.scenario), uri=sink.uri, aside=target.aside, target=target.place)
