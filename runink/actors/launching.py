"""How a gang comes to life: its jobs, its edges, its processes.

An edge, slots or a pipe, is made for every link between two slices of the gang.  The agent holds both ends only for the time of the launch: the reader
would never see the end of an edge whose writing end somebody else still holds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from runink.actors.limiting import limits_of, showing
from runink.actors.shown import Shown, shown_to
from runink.actors.wires import WireEnd
from runink.barn.keyvalue import KeyValue
from runink.capabilities import IsolationPolicy
from runink.checkpoints import folder_of, kept_in
from runink.clearances import NO_CLEARANCES, ClearancePolicy
from runink.clients.barn import decode_value
from runink.dag import Dag, Link, Node, Sink, Step
from runink.documents import DocumentBytes, SliceDocument, encode_document
from runink.errors import Overloaded, Refused, Unavailable
from runink.herds.record import HerdRecord
from runink.identity.roles import Role
from runink.jobs import CompareJob, Port, PublishJob, Transport
from runink.loops import Flag
from runink.masking_keys import NO_KEY, MaskingKey, masking_key
from runink.networks import Network, NodeNetwork, granted
from runink.observe.slice_logs import log_path
from runink.pipes.open import open_pipe, open_slots
from runink.relay.client import RelayClient
from runink.runs.jobs import ChainPlan, Folders, chain_plan, closing_job, context_of
from runink.runs.limits import wall_time_s
from runink.runs.records import RunRecord, SliceRecord, Task
from runink.sandbox.client import Bind, SliceWanted
from runink.sandbox.protocol import ISOLATION
from runink.stores import NO_STORES, Stores


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where a node keeps what belongs to runs, and how it reaches what lies elsewhere. `is_away` says that its cluster is elsewhere, and may go on without it; `stays`, that it outlives a command."""

    state: Path
    network: NodeNetwork = NodeNetwork()  # noqa: RUF009 - frozen
    relay: RelayClient | None = None  # nothing where the node has no part in gangs of several
    is_plain: bool = False  # slices are processes without isolation
    stores: Stores = NO_STORES
    is_away: bool = False
    stays: bool = False

    def folders(self, run: RunRecord, environment: str = "") -> Folders:
        return _folders(self.state, run.run, run.bundle, environment)

    def bundle(self, run: RunRecord) -> Path:
        return self.bundles / run.bundle

    @property
    def bundles(self) -> Path:
        return self.state / "bundles"

    def run_folder(self, run: str) -> Path:
        return _run_folder(self.state, run)

    def placed(self, dag: Dag, run: RunRecord) -> Dag:
        """Return a run's pipeline as it is on this node: with its checkpoints in the run's folder, here or in its herd's store."""
        return kept_in(dag, folder_of(run.store) or str(self.run_folder(run.run)))

    def log(self, record: SliceRecord) -> Path:
        return log_path(self.run_folder(record.run), record.slice, record.attempt)

    def scratch(self, record: SliceRecord) -> str:
        """Return the folder that `runs.jobs` names in a chain's job."""
        return f"{self.run_folder(record.run)}/scratch/{record.slice}.{record.attempt}"


@lru_cache(maxsize=64)  # each slice of a run asks five times
def _run_folder(state: Path, run: str) -> Path:
    return state / "runs" / run


@lru_cache(maxsize=64)
def _folders(state: Path, run: str, bundle: str, environment: str) -> Folders:
    return Folders(f"{state}/bundles/{bundle}", str(_run_folder(state, run)), environment)


@dataclass(frozen=True, slots=True)
class Launch:
    """A slice that is to be launched. `name` is its name at the spawner, `document` all that it is told, `modules` what its steps import, `store` its run's folder in its herd's store."""

    record: SliceRecord
    name: str
    document: DocumentBytes
    project: str
    shown: Shown
    wall_time_s: float
    network: Network
    scratch: Path | None = None
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()
    stdin: str = ""
    stdout: str = ""
    modules: frozenset[str] = frozenset()
    store: str = ""


Attending = Callable[[], Coroutine[Any, Any, None]]  # of one slice, to its end


@dataclass(eq=False, slots=True)
class Launching:
    """A gang, or what of it is on this node, that is being launched: its placements' keys, and those of them that were taken back meanwhile."""

    keys: frozenset[str]
    streams: str = ""  # the key of its streams, where it is on several nodes
    policy: str = ""  # what its herd's network reaches
    clearances: ClearancePolicy = NO_CLEARANCES
    roles: tuple[Role, ...] | None = None  # what they show counts where the herd is declared
    isolation: IsolationPolicy = field(
        default_factory=IsolationPolicy
    )  # what its herd may do without
    own_nodes: bool = False  # whether they go only to nodes that take them by name
    unwanted: set[str] = field(default_factory=set)
    taken_back: Flag = field(default_factory=Flag)  # set with the first of them
    begun: list[Attending] = field(default_factory=list)  # what follows in the launch's own task

    def heed(self, herds: Sequence[KeyValue]) -> None:
        """Take what the herd's record says, if it has one: what its network reaches, as the spawner takes it, what its sinks may hold now, what its slices may do without, and whether any node will do for them."""
        if herds:
            record = decode_value(herds[0], HerdRecord).value
            self.policy = msgspec.json.encode(record.network).decode()
            self.clearances = record.clearances
            self.roles = record.roles if record.declared is not None else None
            self.isolation = record.isolation
            self.own_nodes = record.own_nodes

    def begin(self, attending: Attending, spawn: Callable[[Attending], object]) -> None:
        """Have a slice attended to its end: behind the launch where it is all of the gang, else in a task of its own, which costs more than most steps have to say."""
        if len(self.keys) == 1:
            self.begun.append(attending)
        else:
            spawn(attending)

    def take_back(self, key: str) -> None:
        self.unwanted.add(key)
        self.taken_back.set()


def process_name(record: SliceRecord) -> str:
    """Return the name that a slice's attempt has at the spawner."""
    return f"{record.herd}/{record.run}/{record.slice}/{record.attempt}"


def launches_of(
    dag: Dag,
    run: RunRecord,
    records: Iterable[SliceRecord],
    slices: Mapping[str, SliceRecord],
    workplace: Workplace,
    packages: str = "",
) -> list[Launch]:
    """Return what is to be launched for these slices of a run. `packages` is the folder of its own packages, if it has any."""
    folders = workplace.folders(run, packages)
    found = []
    for record in records:
        if record.task is Task.CHAIN:
            plan = chain_plan(dag, run, record, slices=slices, folders=folders)
            spec = dag.index.slices[record.slice]
            network = granted(spec.network, spec.reaches, workplace.network).network
            document = SliceDocument(
                job=plan.job,
                context=context_of(dag, run, record, network),
                stores=workplace.stores.needed_for(spec.reaches),
                masking_key=_masking_key(plan, record, workplace),
            )
            found.append(_chain(_launch(run, record, document), run, plan))
        else:
            job = closing_job(dag, run, record, slices=slices, folders=folders)
            places = _places(job)
            network = granted(Network.NONE, places, workplace.network).network
            document = SliceDocument(
                job=job,
                context=context_of(dag, run, record, network),
                stores=workplace.stores.needed_for(places),
            )
            found.append(_launch(run, record, document))
    return found


def _masking_key(plan: ChainPlan, record: SliceRecord, workplace: Workplace) -> MaskingKey:
    """Return the herd's key for a slice that needs it. Raises Refused."""
    sinks = (node for node in plan.job.nodes if isinstance(node, Sink))
    if not any(one.clearance is not None and one.clearance.needs_key for one in sinks):
        return NO_KEY
    try:
        return masking_key(workplace.state, record.herd)
    except OSError as error:
        raise Refused(
            f"the key for the masks of herd {record.herd} cannot be read: {error}",
            code="mask_key",
            hint="look at the folder keys/ of the node's state",
        ) from error


def _places(job: PublishJob | CompareJob) -> list[str]:
    """Return where a closing job may have to go."""
    if isinstance(job, CompareJob):
        return [sink.path for sink in job.sinks]
    prepared = [one.target for one in (*job.publish, *job.discard)]
    return [*prepared, *(sink.path for sink in job.sinks)]


def _launch(run: RunRecord, record: SliceRecord, document: SliceDocument) -> Launch:
    shown = shown_to(document.job) | dict.fromkeys(document.stores.files(), False)
    return Launch(
        record=showing(record, shown),
        name=process_name(record),
        document=encode_document(document),
        project=run.project,
        shown=shown,
        wall_time_s=wall_time_s(run, record),
        network=document.context.settings.network,
        store=run.store,
    )


def _chain(launch: Launch, run: RunRecord, plan: ChainPlan) -> Launch:
    """Return the launch with what a chain has beside other slices."""
    job = plan.job
    steps = [node for node in job.nodes if isinstance(node, Step)]
    shown = launch.shown | ({job.scratch: True} if plan.uses_scratch else {})
    return replace(
        launch,
        record=showing(launch.record, shown),
        shown=shown,
        scratch=Path(job.scratch) if plan.uses_scratch else None,
        inputs=job.inputs,
        outputs=job.outputs,
        stdin=run.stdin if plan.uses_stdin else "",
        stdout=run.stdout if plan.uses_stdout else "",
        modules=frozenset(module for step in steps for module in step.modules),
    )


def nodes_of(dag: Dag, records: Iterable[SliceRecord]) -> Iterator[Node]:
    """Yield the nodes of these slices; those that end a run have none."""
    for record in records:
        if record.task is Task.CHAIN:
            yield from map(dag.node, dag.index.slices[record.slice].nodes)


def slice_wanted(
    launch: Launch,
    descriptors: Sequence[int],
    binds: Sequence[Bind],
    *,
    is_plain: bool,
    policy: str,
) -> SliceWanted:
    """Return what the spawner is asked for."""
    record = launch.record
    return SliceWanted(
        name=launch.name,
        attempt=record.attempt,
        herd=record.herd,
        job=launch.document,
        cwd=launch.project,
        descriptors=descriptors,
        binds=binds,
        wall_time_s=launch.wall_time_s,
        **limits_of(record),
        network=launch.network.value,
        network_policy=policy if launch.network is Network.EGRESS else "",
        without=(ISOLATION, *record.without) if is_plain else record.without,
    )


@contextmanager
def gang_descriptors(
    launches: Sequence[Launch], leases: Sequence[int] = ()
) -> Iterator[tuple[list[list[int]], list[WireEnd]]]:
    """Make the gang's edges and yield each slice's descriptors, in the order that its job names, and the ends that are the relay's; all are closed at the end.

    Each slice gets the `leases` too, behind what its job names: what they hold is held until the last slice has ended. They stay the caller's.

    Raises Refused (`stdin_unusable`, `stdout_unusable`) if the run's standard input or output cannot be opened, Overloaded
    (`no_descriptors`) if this process may not have so many descriptors open.
    """
    held: list[int] = []
    try:
        ends: dict[Link, tuple[int, int]] = {}
        wires: list[WireEnd] = []
        for port, is_output in _ports(launches):
            if port.link not in ends:
                ends[port.link] = _edge(port.transport, len(held))
                held.extend(ends[port.link])
            if port.transport is Transport.WIRE:
                wires.append(
                    WireEnd(port.link, ends[port.link][not is_output], is_output=is_output)
                )
        found: list[list[int]] = []
        for launch in launches:
            mine = [ends[port.link][0] for port in launch.inputs]
            mine += [ends[port.link][1] for port in launch.outputs]
            for path, flags in ((launch.stdin, os.O_RDONLY), (launch.stdout, os.O_WRONLY)):
                if path:
                    mine.append(_opened(path, flags))
                    held.append(mine[-1])
            found.append([*mine, *leases])
        yield found, wires
    finally:
        for descriptor in held:
            os.close(descriptor)


def _ports(launches: Iterable[Launch]) -> Iterator[tuple[Port, bool]]:
    """Yield all ends of edges that slices have here, and whether rows go out there."""
    for launch in launches:
        yield from ((port, True) for port in launch.outputs)
        yield from ((port, False) for port in launch.inputs)


def _edge(transport: Transport, held: int) -> tuple[int, int]:
    try:
        return open_slots() if transport is Transport.SLOTS else open_pipe()
    except OSError as error:
        text = f"no more than {held // 2} of the gang's edges could be made: {error.strerror}"
        hint = "raise the limit of open files (ulimit -n), or join steps in fewer slices"
        raise Overloaded(text, code="no_descriptors", hint=hint) from error


def _opened(path: str, flags: int) -> int:
    """Open without waiting for the other end of a named pipe: that would hold up every slice of this node."""
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        what = "in" if flags == os.O_RDONLY else "out"
        raise Refused(
            f"the run's standard {what}put, {path}, cannot be opened: {error.strerror}",
            code=f"std{what}_unusable",
            hint="give it a file or a pipe",
        ) from error
    os.set_blocking(descriptor, True)
    return descriptor


def make_scratch(folder: Path) -> None:
    """Make a slice's folder for what it spools. Raises Unavailable (`no_scratch`)."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(
            f"the slice's folder {folder} cannot be made: {error.strerror}",
            code="no_scratch",
            hint="make room on the node's disk, or have the folder belong to who runs Runink",
        ) from error
