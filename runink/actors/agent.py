"""The agent of a worker node: makes its processes what the Barn says they should be.

    it sees                                   it does
    the placements of a gang on this node     makes its pipes, launches its slices through the spawner, all at once
    a placement is gone                       SIGTERM to the slice, after GRACE_S an end by force
    a slice's process has ended               writes the slice's record and takes the placement back, in one transaction
    its own start                             takes slices up again that the spawner kept; what is not there any more is lost
    every HEARTBEAT_S                         renews the lease that its node's record hangs on

It never touches data: it makes a pipe, hands both ends to slices and closes its own.  Records that cannot be written because
somebody else has changed them are not ours any more: the slice is ended and forgotten.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import anyio
from msgspec.structs import replace as changed

from runink.actors.attending import Descriptors, Ending, attend, ended
from runink.actors.exits import Exits
from runink.actors.launching import (
    Launch,
    Workplace,
    environment,
    gang_descriptors,
    launches_of,
    process_name,
)
from runink.actors.slice_records import SliceRecords
from runink.actors.tables import Loaded, Seen, follow
from runink.barn.history import Watched
from runink.barn.keys import (
    PLACEMENTS,
    SLICES,
    node_key,
    parse_slice,
    pipeline_key,
    placement_key,
    run_key,
    slice_key,
)
from runink.barn.keyvalue import KeyValue, key_prefix, one_key
from runink.clients.barn import BarnClient, decode_value
from runink.clients.run_requests import RunRequest, SliceProgress
from runink.dag import Dag
from runink.errors import NotFound, Overloaded, RuninkError, to_wire
from runink.jobs import Failed, Progress
from runink.names import RunId
from runink.observe.slice_logs import SliceLog, log_path
from runink.runs.records import (
    Exit,
    NodeRecord,
    PipelineRecord,
    Placement,
    RunRecord,
    SliceRecord,
    SliceState,
)
from runink.runtime.actor import Actor, Context
from runink.runtime.ref import Ref
from runink.sandbox.client import Exited, LaunchedSlice, Spawner
from runink.wire.channel import Channel

LEASE_S: Final = 30.0  # a node that does not renew for so long has lost its slices
HEARTBEAT_S: Final = 5.0
GRACE_S: Final = 3.0  # for a slice that is told to end
DAGS_KEPT_MAX: Final = 50

AgentMessage = Loaded | Watched
_Gang = tuple[RunId, str, int]  # of a run, in an attempt


@dataclass(eq=False, slots=True)
class Attended:
    """A slice of ours, from its launch to the moment its end is written."""

    record: SliceRecord
    name: str
    stopping: bool = False


class Agent(Actor[AgentMessage]):
    """One for a worker node. `spawner` starts its processes, `runs` is told how far slices are."""

    def __init__(
        self,
        barn: BarnClient,
        runs: Ref[RunRequest],
        spawner: Spawner,
        *,
        node: NodeRecord,
        workplace: Workplace,
        now_ms: Callable[[], int],
    ) -> None:
        self._barn = barn
        self._runs = runs
        self._spawner = spawner
        self._node = node
        self._workplace = workplace
        self._now_ms = now_ms
        self._prefix = PLACEMENTS.prefix(node.node)
        self._attended: dict[str, Attended] = {}  # by the placement's key
        self._launching: dict[_Gang, frozenset[str]] = {}  # the placements of each gang
        self._unwanted: set[str] = set()  # placements that were taken back during the launch
        self._exits = Exits()
        self._dags: dict[str, Dag] = {}
        self._records = SliceRecords(barn, lost=self._disown)
        self._context: Context[AgentMessage]

    async def started(self, context: Context[AgentMessage]) -> None:
        self._context = context
        context.spawn(self._records.run)
        context.spawn(self._hear_exits)
        await self._take_up()
        context.spawn(partial(self._keep_registered, await self._register()))
        context.spawn(partial(follow, self._barn, (self._prefix,), self._tell))

    async def _tell(self, seen: Seen) -> None:
        await self._context.me.tell(seen)

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

    # The node itself.

    async def _register(self) -> int:
        lease = await self._barn.grant_lease(LEASE_S)
        await self._barn.put(node_key(self._node.node), self._node, lease=lease)
        return lease

    async def _keep_registered(self, lease: int) -> None:
        while True:
            await anyio.sleep(HEARTBEAT_S)
            try:
                await self._barn.keep_lease(lease)
            except NotFound:  # we were away for longer than it lasts
                lease = await self._register()

    async def _take_up(self) -> None:
        """Find again what the spawner kept for us; what the Barn has as ours and is not there, is lost."""
        kept = {one.slice: one for one in await self._spawner.list()}
        items = (await self._barn.read(key_prefix(SLICES.prefix()))).pages[0].items
        for found in (decode_value(item, SliceRecord) for item in items):
            record = found.value
            is_ours = record.node == self._node.node and record.state.is_on_node
            if not is_ours:
                continue
            launched = kept.pop(process_name(record), None)
            if launched is not None:
                self._records.take(found)
                self._attend(record, launched)
            elif record.state is not SliceState.PLACED:
                self._records.take(found)
                lost = changed(record, state=SliceState.LOST, ended_ms=self._now_ms())
                self._records.write(lost)
        for name, launched in kept.items():
            await self._end(name, launched)

    async def _end(self, name: str, launched: LaunchedSlice) -> None:
        """End a process that nobody wants any more."""
        for descriptor in (launched.stdout, launched.stderr, launched.pidfd):
            os.close(descriptor)
        launched.control.close()
        await self._spawner.kill(name)
        self._context.spawn(partial(self._release, name))

    async def _release(self, name: str) -> None:
        await self._exits.wait(name)
        await self._spawner.release(name)

    # Placements.

    def _reconcile(self, there: list[KeyValue], gone: list[str]) -> None:
        """Launch what is new and stop what is no longer placed here."""
        for key in gone:
            self._unwant(key)
        gangs: dict[_Gang, list[Placement]] = {}
        for item in there:
            placement = decode_value(item, Placement).value
            attended = self._attended.get(item.key)
            if attended is None or attended.record.attempt < placement.attempt:
                gang = (placement.run, placement.gang, placement.attempt)
                gangs.setdefault(gang, []).append(placement)
        for gang, placements in gangs.items():
            if gang not in self._launching:
                self._launching[gang] = frozenset(map(self._placement_key, placements))
                self._context.spawn(partial(self._launch, gang, placements))

    def _placement_key(self, one: Placement | SliceRecord) -> str:
        return placement_key(self._node.node, one.run, one.slice)

    def _unwant(self, key: str) -> None:
        """Stop the slice with this placement, if there is one; one that is being launched is stopped as soon as it is there."""
        attended = self._attended.get(key)
        if attended is not None:
            self._context.spawn(partial(self._stop, attended))
        elif any(key in keys for keys in self._launching.values()):
            self._unwanted.add(key)

    async def _stop(self, attended: Attended) -> None:
        if attended.stopping:
            return
        attended.stopping = True
        await self._spawner.signal(attended.name, signal.SIGTERM)
        await anyio.sleep(GRACE_S)
        if attended in self._attended.values():
            await self._spawner.kill(attended.name)

    def _disown(self, key: str) -> None:
        """Somebody else has changed the record with this key: the slice is not ours any more."""
        parsed = parse_slice(key)
        assert parsed is not None
        _, run, slice_id = parsed
        self._unwant(placement_key(self._node.node, run, slice_id))

    # Launching.

    async def _launch(self, gang: _Gang, placements: list[Placement]) -> None:
        try:
            await self._launch_gang(placements)
        finally:
            self._unwanted -= self._launching.pop(gang)

    async def _launch_gang(self, placements: list[Placement]) -> None:
        """Launch slices whose placements came together, because they were written together."""
        first = placements[0]
        pages = await self._barn.read(
            one_key(run_key(first.herd, first.run)),
            key_prefix(SLICES.prefix(first.herd, first.run)),
        )
        if not pages.pages[0].items:
            return  # The run was cleaned away meanwhile.
        run = decode_value(pages.pages[0].items[0], RunRecord).value
        found = {item.key: decode_value(item, SliceRecord) for item in pages.pages[1].items}
        wanted = [
            one
            for placement in placements
            if (one := found.get(_slice_key(placement))) is not None
            and one.value.attempt == placement.attempt
            and one.value.state is SliceState.PLACED
        ]
        if len(wanted) < len(placements):
            return  # Somebody has changed it meanwhile; the watch tells us what became of it.
        for one in wanted:
            self._records.take(one)
        launches = launches_of(
            await self._dag(run),
            run,
            [one.value for one in wanted],
            {one.value.slice: one.value for one in found.values()},
            self._workplace,
        )
        await self._launch_all(run, launches)

    async def _launch_all(self, run: RunRecord, launches: list[Launch]) -> None:
        modules = frozenset(module for launch in launches for module in launch.modules)
        try:
            if modules:
                await self._spawner.preload(sorted(modules))
            with gang_descriptors(launches) as descriptors:
                async with anyio.create_task_group() as group:
                    for launch, mine in zip(launches, descriptors, strict=True):
                        self._write(launch.record, SliceState.LAUNCHING)
                        group.start_soon(self._launch_one, run, launch, mine)
        except RuninkError as error:
            for launch in launches:
                self._unborn(launch, error)

    async def _launch_one(self, run: RunRecord, launch: Launch, descriptors: list[int]) -> None:
        if launch.scratch is not None:
            launch.scratch.mkdir(parents=True, exist_ok=True)
        try:
            launched = await self._spawner.launch(
                launch.name,
                attempt=launch.record.attempt,
                job=launch.job,
                descriptors=descriptors,
                cwd=launch.cwd,
                environment=environment(),
                wall_time_s=run.wall_time_s,
            )
        except RuninkError as error:
            self._unborn(launch, error)
            return
        record = self._write(launch.record, SliceState.RUNNING, pid=launched.pid)
        self._attend(record, launched)

    def _write(self, record: SliceRecord, state: SliceState, *, pid: int = 0) -> SliceRecord:
        launched_ms = record.launched_ms or self._now_ms()
        written = changed(record, state=state, pid=pid, launched_ms=launched_ms)
        self._records.write(written)
        return written

    def _unborn(self, launch: Launch, error: RuninkError) -> None:
        """Fail a slice that could not be started."""
        now_ms = self._now_ms()
        failed = changed(
            launch.record,
            state=SliceState.FAILED,
            ended_ms=now_ms,
            launched_ms=now_ms,
            exit=Exit("unborn"),
            report=Failed(to_wire(error)),
        )
        self._records.write(failed)

    async def _dag(self, run: RunRecord) -> Dag:
        if run.version not in self._dags:
            key = pipeline_key(run.herd, run.pipeline, run.version)
            found = await self._barn.get(key, PipelineRecord)
            assert found is not None, "a run's pipeline is put in the transaction that submits it"
            if len(self._dags) >= DAGS_KEPT_MAX:
                del self._dags[next(iter(self._dags))]
            self._dags[run.version] = found.value.dag
        return self._dags[run.version]

    # Attending.

    def _attend(self, record: SliceRecord, launched: LaunchedSlice) -> None:
        attended = Attended(record, process_name(record))
        key = self._placement_key(record)
        self._attended[key] = attended
        self._context.spawn(partial(self._attend_to_end, attended, launched))
        if key in self._unwanted:
            self._unwant(key)

    async def _attend_to_end(self, attended: Attended, launched: LaunchedSlice) -> None:
        record = attended.record
        folder = self._workplace.run_folder(record.run)
        log = SliceLog(log_path(folder, record.slice, record.attempt))
        try:
            ending = await attend(
                Descriptors(Channel(launched.control), launched.stdout, launched.stderr),
                partial(self._exits.wait, attended.name),
                log=log,
                progress=partial(self._progress, record),
                now_ms=self._now_ms,
            )
        finally:
            log.close()
            os.close(launched.pidfd)
        await self._write_end(attended, ending)

    async def _write_end(self, attended: Attended, ending: Ending) -> None:
        record = attended.record
        final = ended(record, ending, was_stopped=attended.stopping, now_ms=self._now_ms())
        attended.stopping = True  # it has ended: that its placement goes is our own doing
        self._records.write(final)
        await self._records.wait_written(final)
        del self._attended[self._placement_key(record)]
        await self._spawner.release(attended.name)
        scratch = self._workplace.run_folder(record.run) / "scratch"
        name = f"{record.slice}.{record.attempt}"
        await anyio.to_thread.run_sync(partial(shutil.rmtree, scratch / name, ignore_errors=True))

    def _progress(self, record: SliceRecord, progress: Progress) -> None:
        try:
            self._runs.tell_nowait(SliceProgress(record.run, record.slice, progress.nodes))
        except Overloaded:
            return  # The next one says more.

    # What the spawner tells.

    async def _hear_exits(self) -> None:
        async for event in self._spawner.events():
            if isinstance(event, Exited):
                self._exits.tell(event)


def _slice_key(placement: Placement) -> str:
    return slice_key(placement.herd, placement.run, placement.slice)
