"""The agent of a worker node: makes its processes what the Barn says they should be.

    it sees                                   it does
    the placements of a gang on this node     says in the Barn that it launches them; then makes its pipes, launches its slices through the
                                              spawner, all at once
    a placement is marked as leaving          tells the slice, which has its grace; then as if it were gone
    a placement is gone                       SIGTERM to the slice, after GRACE_S an end by force
    a slice's process has ended               writes the slice's record and takes the placement back, in one transaction
    its own start                             takes slices up again that the spawner kept; what is not there any more is lost
    the Barn is not heard of (`parted_s`)     ends slices, as if their placements were gone, but those whose herd has them go on
    every HEARTBEAT_S                         renews the lease that its node's record hangs on (`registration.py`)

It never touches data: it makes a pipe, hands both ends to slices, or one to the relay, and closes its own.  Records that cannot be written because somebody else has changed them are
not ours any more: the slice is ended and forgotten.  No process begins before the Barn says `launching`: who finds a slice `placed` may be sure that nothing of it was written.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from msgspec.structs import replace as changed

from runink.actors.attending import (
    Attended,
    Ending,
    Gang,
    Living,
    attend,
    gang_of,
    shortened,
    unborn,
)
from runink.actors.beginning import begin
from runink.actors.exits import Exits
from runink.actors.fitness import check_fit
from runink.actors.gang_reading import read_gang
from runink.actors.launching import (
    Attending,
    Launch,
    Launching,
    Workplace,
    gang_descriptors,
    launches_of,
    process_name,
)
from runink.actors.leavings import Leavings
from runink.actors.life_signs import LifeSigns
from runink.actors.limiting import begun, held_to
from runink.actors.log_keeping import KeptLog, LogKeeping
from runink.actors.node_metrics import NodeMetrics
from runink.actors.noticed import noticed
from runink.actors.offload import Offload, in_thread
from runink.actors.outputs import Own, own_found, own_of
from runink.actors.packages import Packages, TakenBack
from runink.actors.pipelines import Pipelines
from runink.actors.registration import Look, Registration, same
from runink.actors.slice_meters import SliceMeter
from runink.actors.slice_records import SliceRecords
from runink.actors.slice_tokens import NO_TOKENS, SliceTokens
from runink.actors.tables import Loaded, follow
from runink.actors.taking_up import end_all, end_kept, records_on
from runink.actors.telling import Telling
from runink.actors.tidying import drop_scratch, drop_stored
from runink.actors.together import all_of
from runink.actors.under_way import UnderWay
from runink.actors.wires import hand_over
from runink.barn.history import Watched
from runink.barn.keys import PLACEMENTS, parse_slice, placement_key
from runink.barn.keyvalue import KeyValue
from runink.clients.barn import BarnClient
from runink.clients.run_requests import DeskRequest
from runink.dag import Dag
from runink.errors import RuninkError, Unavailable
from runink.loops import Readiness, now_s
from runink.observe.log_room import Room
from runink.runs.records import NodeRecord, Placement, RunRecord, SliceRecord, SliceState
from runink.runtime.actor import Actor, Context
from runink.runtime.ref import Ref
from runink.sandbox.client import LaunchedSlice, Spawner

AgentMessage = Loaded | Watched
End = Callable[[Attended, Spawner], Coroutine[Any, Any, None]]


class Agent(Actor[AgentMessage]):
    """One for a worker node. `spawner` starts its processes, `runs` is told how far slices are, `offload` is for what blocks: nothing for threads."""

    def __init__(  # noqa: PLR0913 - what a node gives its agent
        self,
        barn: BarnClient,
        runs: Ref[DeskRequest],
        spawner: Spawner,
        *,
        node: NodeRecord,
        workplace: Workplace,
        now_ms: Callable[[], int],
        metrics: NodeMetrics,
        look: Look = same,
        offload: Offload | None = None,
        tokens: SliceTokens = NO_TOKENS,
    ) -> None:
        self._barn = barn
        self._spawner = spawner
        self._node = node.node
        self._workplace = workplace
        self._now_ms = now_ms
        self._attended: dict[str, Attended] = {}  # by the placement's key
        self._launching = UnderWay()
        self._living = Living()
        self._exits = Exits()
        self._readiness = Readiness()
        self._pipelines = Pipelines(barn, workplace.placed)
        self._meters = metrics.slices
        self._leavings = Leavings(barn, workplace, now_ms=now_ms, offload=offload)
        self._registration = Registration(
            barn, node, metrics=metrics, now_ms=now_ms, look=look, parted=self._part
        )
        self._registration.returned = self._leavings.look
        self._records = SliceRecords(barn, lost=self._disown)
        self._telling = Telling(runs, self._attended, now_ms=now_ms, offload=offload or in_thread)
        self._tokens = tokens
        self._life = LifeSigns(runs, node, metrics.slices)
        room = Room(workplace.state, node.reserved.disk_bytes) if node.reserved else None
        self._logs = LogKeeping(now_ms=now_ms, offload=offload, room=room)
        self._packages = Packages(barn, workplace, self._records, now_ms=now_ms)
        self._context: Context[AgentMessage]

    async def started(self, context: Context[AgentMessage]) -> None:
        self._context = context
        self._meters.begin()
        context.spawn(self._records.run)
        context.spawn(partial(self._exits.hear, self._spawner))
        context.spawn(self._readiness.run)
        # A write comes first: behind it the Barn holds all that an earlier life of ours had still under way.
        try:
            await self._registration.begin()
        except Unavailable:
            if self._registration.is_parted:  # nobody attends them, and we hold the spawner
                await end_kept(self._spawner, self._exits)
            raise
        await self._take_up()
        context.spawn(self._registration.keep)
        context.spawn(self._packages.collect)
        if self._workplace.stays:
            context.spawn(self._leavings.keep)
        context.spawn(self._telling.keep)
        context.spawn(self._life.keep)
        context.spawn(
            partial(follow, self._barn, (PLACEMENTS.prefix(self._node),), context.me.tell)
        )

    async def receive(self, message: AgentMessage) -> None:
        match message:
            case Loaded(items):
                placed = {item.key for item in items}
                gone = [key for key in self._attended if key not in placed]
                self._reconcile(list(items), gone)
            case Watched(changes):
                latest = {change.key: change for change in changes}
                there = [one.now for one in latest.values() if one.now is not None]
                self._reconcile(there, [key for key, one in latest.items() if one.now is None])

    async def stopped(self) -> None:
        self._readiness.close()
        self._logs.close()

    # What was there before.

    async def _take_up(self) -> None:
        """Find again what the spawner kept for us; what the Barn has as ours and is not there, is lost."""
        kept = {one.slice: one for one in await self._spawner.list()}
        try:
            await self._sort_out(kept)
        finally:
            for launched in kept.values():
                launched.close()
        await end_all(self._spawner, self._exits, kept)

    async def _sort_out(self, kept: dict[str, LaunchedSlice]) -> None:
        """Take what is ours out of `kept`."""
        ours = await records_on(self._barn, self._node)
        begun = {gang_of(one.value) for one in ours if one.value.state is not SliceState.PLACED}
        for found in ours:
            record = found.value
            if process_name(record) in kept:
                run = await self._pipelines.run_of(record)
                meter = self._meters.adopted(record, "" if run is None else run.pipeline)
                own = await own_found(self._pipelines, run, record)
                launched = kept.pop(process_name(record))
                self._records.take(found)
                running = self._write_running(record, launched)
                self._context.spawn(self._attend(running, launched, meter, own, is_adopted=True))
            elif gang_of(record) in begun:  # a gang is launched whole or not at all
                self._records.take(found)
                tail = shortened(await self._logs.last_lines(self._workplace.log(record)))
                self._write_over(changed(record, log_tail=tail), SliceState.LOST)
                await drop_scratch(self._workplace.scratch(record))

    # Placements.

    def _reconcile(self, there: list[KeyValue], gone: list[str]) -> None:
        """Launch what is new and stop what is no longer placed here."""
        seen = noticed(there, self._attended)
        for key in (*gone, *seen.replaced):
            self._unwant(key)
        for key in seen.leaving:
            self._unwant(key, Attended.tell)
        for gang, placements in seen.new.items():
            if gang not in self._launching:
                keys = frozenset(map(self._placement_key, placements))
                unwanted = {*seen.leaving} & keys
                launching = Launching(keys, placements[0].streams, unwanted=unwanted)
                self._launching.begin(gang, launching)
                self._context.spawn(partial(self._launch, gang, launching, placements))

    def _placement_key(self, one: Placement | SliceRecord) -> str:
        return placement_key(self._node, one.run, one.slice)

    def _unwant(self, key: str, end: End = Attended.stop) -> None:
        """End the slice with this placement, if there is one; one that is being launched is stopped as soon as it is there."""
        if (attended := self._attended.get(key)) is not None:
            self._context.spawn(partial(end, attended, self._spawner))
        self._launching.take_back(key)

    def _part(self) -> None:
        """End all that others may soon begin with anew: the Barn was not heard of for so long."""
        ends = (key for key, one in self._attended.items() if not one.record.goes_on)
        for key in (*ends, *self._launching.keys()):
            self._unwant(key)

    def _disown(self, key: str) -> None:
        """Somebody else has changed the record with this key: the slice is not ours any more."""
        parsed = parse_slice(key)
        assert parsed is not None
        _, run, slice_id = parsed
        self._unwant(placement_key(self._node, run, slice_id))

    # Launching.

    async def _launch(self, gang: Gang, launching: Launching, placements: list[Placement]) -> None:
        try:
            await self._launch_gang(launching, placements)
        finally:
            self._launching.end(gang)
        await all_of(launching.begun)

    async def _launch_gang(self, launching: Launching, placements: list[Placement]) -> None:
        """Launch slices whose placements came together, because they were written together."""
        for key in launching.keys:
            if (before := self._attended.get(key)) is not None:
                await before.over.wait()  # two attempts of one slice never live side by side
        sight = await read_gang(self._barn, self._pipelines, placements)
        if sight is None:
            return  # The run was cleaned away meanwhile.
        run, found, herds = sight
        gang = [one for one in found if gang_of(one.value) == gang_of(placements[0])]
        wanted = [one for one in gang if one.value.node == self._node]  # others have the rest
        if not wanted or not all(self._may_begin(one.value) for one in wanted):
            return  # Somebody has changed it meanwhile; the watch tells us what became of it.
        for one in wanted:
            self._records.take(one)
        launching.heed(herds)
        records = [held_to(one.value, herds) for one in wanted]
        if await self._announce(launching, records):
            slices = {str(one.value.slice): one.value for one in found}
            await self._launch_all(run, launching, slices, records)

    def _may_begin(self, record: SliceRecord) -> bool:
        """Say whether it has surely not begun. What is `launching` and unknown to us was announced by a former life that came no further."""
        is_ahead = record.state in (SliceState.PLACED, SliceState.LAUNCHING)
        return record.node == self._node and is_ahead and not self._records.holds(record)

    async def _announce(self, launching: Launching, records: list[SliceRecord]) -> bool:
        """Say in the Barn that the gang is being launched, and whether all of it still may be; else nothing of it is."""
        of = {"state": SliceState.LAUNCHING, "launched_ms": self._now_ms()}
        announced = [self._records.write(changed(record, **of)) for record in records]
        are_ours = [await self._records.wait_written(record) for record in announced]
        if all(are_ours) and not launching.unwanted:
            return True
        for record, is_ours in zip(announced, are_ours, strict=True):
            if is_ours:
                self._write_over(record, SliceState.CANCELLED)
        return False

    async def _launch_all(
        self,
        run: RunRecord,
        launching: Launching,
        slices: dict[str, SliceRecord],
        records: list[SliceRecord],
    ) -> None:
        try:
            dag = await self._pipelines.of(run)
            check_fit(self._registration.node, dag, records, launching)
            with await self._packages.ready(dag, run, records, launching) as packages:
                launches = launches_of(
                    dag, run, records, slices, self._workplace, packages.environment
                )
                modules = frozenset(module for launch in launches for module in launch.modules)
                if modules:
                    await self._spawner.preload(sorted(modules))
                with gang_descriptors(launches, packages.leases) as (descriptors, wires):
                    known = (self._workplace.relay, self._barn)
                    await hand_over(wires, *known, key=launching.streams, dag=dag, slices=slices)
                    pairs = zip(launches, descriptors, strict=True)
                    start = partial(self._launch_one, dag, run, launching)
                    await all_of([partial(start, *pair) for pair in pairs])
        except TakenBack:
            for record in records:
                self._write_over(record, SliceState.CANCELLED)
        except RuninkError as error:
            for record in records:
                self._meters.refused(run, error)
                self._records.write(unborn(record, error, now_ms=self._now_ms()))

    async def _launch_one(
        self,
        dag: Dag,
        run: RunRecord,
        launching: Launching,
        launch: Launch,
        descriptors: list[int],
    ) -> None:
        began_s = now_s()
        own = own_of(dag, run, launch.record)
        try:
            known = (self._workplace, self._spawner, own)
            process = await begin(launch, launching, descriptors, *known)
        except RuninkError as error:
            self._meters.refused(run, error)
            self._records.write(unborn(launch.record, error, now_ms=self._now_ms()))
            return
        meter = self._meters.launched(launch.record, run, now_s() - began_s)
        attending = self._attend(self._write_running(launch.record, process), process, meter, own)
        launching.begin(attending, self._context.spawn)
        if (key := self._placement_key(launch.record)) in launching.unwanted:
            self._unwant(key)

    # Records.

    def _write_running(self, record: SliceRecord, launched: LaunchedSlice) -> SliceRecord:
        return self._records.write(begun(record, launched, now_ms=self._now_ms()), is_urgent=False)

    def _write_over(self, record: SliceRecord, state: SliceState) -> SliceRecord:
        return self._records.write(changed(record, state=state, ended_ms=self._now_ms()))

    # Attending.

    def _attend(
        self,
        record: SliceRecord,
        launched: LaunchedSlice,
        meter: SliceMeter,
        own: Own | None,
        *,
        is_adopted: bool = False,
    ) -> Attending:
        """Take note of a slice, and return what attends it to its end. That is to be called at once: it closes the slice's channels."""
        attended = Attended(record, process_name(record), meter, own, is_adopted, launched)
        self._attended[self._placement_key(record)] = attended
        self._living.began(record)
        log = self._logs.begin(self._workplace.log(record), resumes=is_adopted)
        meter.logs_to(log.log)
        return partial(self._see_out, attended, launched, log)

    async def _see_out(self, attended: Attended, launched: LaunchedSlice, log: KeptLog) -> None:
        try:
            ending = await attend(
                launched,
                partial(self._exits.listen, attended.name),
                readiness=self._readiness,
                log=log,
                progress=partial(self._telling.progress, attended),
                tokens=self._tokens.of(attended.record, self._context.spawn),
            )
        finally:
            log.close()
            os.close(launched.pidfd)
        self._meters.ended(attended.meter, ending.report, ending.exit)
        await self._write_end(attended, ending)

    async def _write_end(self, attended: Attended, ending: Ending) -> None:
        record = attended.record
        final = attended.ended(ending, now_ms=self._now_ms())
        attended.stopping = True  # it has ended: that its placement goes is our own doing
        attended.over.set()
        is_last = self._living.ended(record)
        await drop_stored(record, self._workplace.state)
        self._records.write(final, is_urgent=is_last or final.state is not SliceState.SUCCEEDED)
        await self._records.wait_written(final)
        key = self._placement_key(record)
        if self._attended.get(key) is attended:  # not if a new attempt is here already
            del self._attended[key]
        await self._spawner.release(attended.name)
        self._exits.forget(attended.name)
        await drop_scratch(self._workplace.scratch(record))
