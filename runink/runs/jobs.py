"""What a slice is told: its job and what its steps may know, made from the compiled pipeline and the run's records.

A link between two slices is an edge, of slots or a pipe; both ends stand in the jobs as places in the slice's list of descriptors, which this module
orders: inputs, outputs, standard input, standard output, and of each the order of the pipeline's links.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from msgspec.structs import replace as changed

from runink.checkpoints import checkpoints_of
from runink.dag import (
    Check,
    Dag,
    Link,
    Sink,
    SliceSpec,
    Source,
    Sql,
    Step,
    reads_standard,
    writes_standard,
)
from runink.documents import SliceContext, SliceSettings
from runink.jobs import (
    ChainJob,
    CompareJob,
    Done,
    Failed,
    Port,
    Prepared,
    PublishJob,
    Seat,
    Ticket,
    transport_between,
)
from runink.networks import Network
from runink.runs.assertions import watched
from runink.runs.records import RunRecord, RunState, SliceRecord, Task
from runink.runs.traces import span_of


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a run's files are: the bundle's code, a folder of the run's own for scratch, logs and kept dead letters, and its own packages."""

    bundle: str
    run: str
    environment: str = ""


@dataclass(frozen=True, slots=True)
class ChainPlan:
    """A chain's job and what its descriptors are beside the job's inputs and outputs: standard input and output where it uses them.

    `uses_scratch` says whether anything in it may spool to disk: only then its scratch folder has to be there.
    """

    job: ChainJob
    uses_stdin: bool
    uses_stdout: bool
    uses_scratch: bool


def ticket_of(record: SliceRecord, *, attempt: int = 0) -> Ticket:
    """Return the ticket of a slice's attempt, its latest if none is named."""
    return Ticket(record.run, record.slice, attempt or record.attempt)


def context_of(dag: Dag, run: RunRecord, record: SliceRecord, network: Network) -> SliceContext:
    """Return what the steps of a slice may know. `record` says what it is held to, `network` which it was given."""
    cpu_m, memory_bytes, processes, disk_bytes, io_bytes_per_s = record.limits.amounts
    herd = record.herd_limits
    return SliceContext(
        herd=run.herd,
        pipeline=run.pipeline,
        run=run.run,
        slice=record.slice,
        attempt=record.attempt,
        node=record.node or "",
        traceparent=span_of(run.run, record.slice, record.attempt).traceparent,
        parameters=dag.parameters,
        settings=SliceSettings(
            network=network,
            cpu_m=cpu_m,
            memory_bytes=memory_bytes,
            processes=processes,
            disk_bytes=disk_bytes,
            io_bytes_per_s=io_bytes_per_s,
            herd_cpu_m=herd.cpu_m,
            herd_memory_bytes=herd.memory_bytes,
            grace_ms=record.wants.grace_ms,
        ),
    )


def chain_plan(
    dag: Dag,
    run: RunRecord,
    record: SliceRecord,
    *,
    slices: Mapping[str, SliceRecord],
    folders: Folders,
) -> ChainPlan:
    """Return the job of one chain. `slices` are those of its gang, and those whose output it reads, with their reports."""
    spec = dag.index.slices[record.slice]
    mine = set(spec.nodes)
    nodes = tuple(dag.node(name) for name in spec.nodes)
    links = dag.index.links_of(spec.nodes)
    inputs = tuple(link for link in links if link.source not in mine)
    outputs = tuple(link for link in links if link.target not in mine)
    uses_stdin, uses_stdout = reads_standard(nodes), writes_standard(nodes)
    seats = {name: Seat(one.herd, one.node) for name, one in slices.items()}
    place = len(inputs) + len(outputs)
    job = ChainJob(
        ticket=ticket_of(record),
        project=run.project,
        bundle=folders.bundle,
        scratch=f"{folders.run}/scratch/{record.slice}.{record.attempt}",
        nodes=nodes,
        links=links,
        inputs=tuple(_port(dag, link, at, seats) for at, link in enumerate(inputs)),
        outputs=tuple(_port(dag, link, at, seats) for at, link in enumerate(outputs, len(inputs))),
        staged=_staged(spec, dag, slices),
        stdin=place if uses_stdin else None,
        stdout=place + uses_stdin if uses_stdout else None,
        cpus=max(1, round(record.resources.cpu_m / 1000)),
        memory_bytes=record.resources.memory_bytes,
        memory_is_limit=record.limits.memory is not None,
        environment=folders.environment,
        watched=watched(dag, mine),
    )
    uses_scratch = any(link.spool for link in job.links) or any(
        isinstance(node, Step) and isinstance(node.action, Sql) for node in nodes
    )
    return ChainPlan(job, uses_stdin, uses_stdout, uses_scratch)


def _port(dag: Dag, link: Link, place: int, seats: Mapping[str, Seat]) -> Port:
    """Return one end of an edge; what flows behind a check is known by its contract's hash, on both ends."""
    node = dag.node(link.source)
    is_checked = isinstance(node, Check) and link.role != "rejected"
    fingerprint = node.contract.hash if is_checked and isinstance(node, Check) else ""
    writer, reader = (seats[dag.slice_of(one).id] for one in (link.source, link.target))
    return Port(link, place, fingerprint, transport_between(writer, reader))


def _staged(
    spec: SliceSpec, dag: Dag, slices: Mapping[str, SliceRecord]
) -> dict[str, tuple[str, ...]]:
    """Map the sources that read another slice's output to where that is prepared."""
    found: dict[str, tuple[str, ...]] = {}
    for name in spec.nodes:
        node = dag.node(name)
        if isinstance(node, Source) and node.staged_from:
            writer = slices[dag.slice_of(node.staged_from).id]
            assert isinstance(writer.report, Done), (
                "a gang begins when those it needs have succeeded"
            )
            found[name] = tuple(
                one.aside for one in writer.report.prepared if one.sink == node.staged_from
            )
    return found


def closing_job(
    dag: Dag,
    run: RunRecord,
    record: SliceRecord,
    *,
    slices: Mapping[str, SliceRecord],
    folders: Folders,
) -> PublishJob | CompareJob:
    """Return the job of a slice that ends its run: publish, discard or compare."""
    ticket = ticket_of(record)
    chains = [one for one in slices.values() if one.task is Task.CHAIN]
    match record.task:
        case Task.PUBLISH:
            # Those that may be refused come first, while nothing of the run is visible yet.
            ordered = sorted(_whole(run, chains), key=lambda one: one.mode != "error")
            return PublishJob(ticket, run.project, publish=tuple(ordered))
        case Task.COMPARE:
            prepared = tuple(one for record in chains for one in _prepared(record))
            sinks = tuple(node for node in dag.nodes if isinstance(node, Sink))
            return CompareJob(ticket, run.project, prepared, sinks, dag.goldens, run.update_goldens)
        case _:
            return _discarding(dag, run, ticket, chains, folders)


def _discarding(
    dag: Dag, run: RunRecord, ticket: Ticket, chains: list[SliceRecord], folders: Folders
) -> PublishJob:
    """Take everything away that the run left aside, but for what it keeps, and for dead letters: those of a failed run are kept in its folder."""
    is_published = run.state is RunState.COMMITTING and run.ending is None
    letters = {node.id: node for node in dag.nodes if isinstance(node, Sink) and node.dead_letter}
    kept: list[Prepared] = []
    gone: list[Prepared] = []
    own = checkpoints_of(dag)
    prepared = [
        one for record in chains if record.slice not in run.kept for one in _prepared(record)
    ]
    told = {letters[one.sink].scenario for one in prepared if one.sink in letters.keys() - own}
    for one in prepared:
        if is_published and one.sink not in own:
            continue
        is_letter = one.sink in letters and one.kind == "file" and not run.rehearsal
        # A dead letter that was kept on its way is part of that of its scenario, if that has come so far.
        if (
            is_letter
            and not is_published
            and not (one.sink in own and letters[one.sink].scenario in told)
        ):
            kept.append(
                changed(
                    one, target=kept_dead_letter(letters[one.sink], folders.run), mode="overwrite"
                )
            )
        else:
            gone.append(one)
    tickets = tuple(
        ticket_of(record, attempt=attempt)
        for record in chains
        for attempt in range(
            1, record.attempt + (not is_published and record.slice not in run.kept)
        )
    )
    # What was taken over and lost lies under the name of the run that had made it, where others reach it.
    tickets += tuple(
        Ticket(record.taken_before, record.slice, attempt)
        for record in chains
        if record.taken_before is not None
        for attempt in range(1, record.attempt)
    )
    sinks = tuple(node for node in dag.nodes if isinstance(node, Sink))
    return PublishJob(ticket, run.project, tuple(kept), tuple(gone), sinks, tickets)


def kept_dead_letter(sink: Sink, run_folder: str) -> str:
    """Return where the dead letter of a failed run is kept: under the run, by its scenario (which holds no dot) and the name that the pipeline gives it."""
    return f"{run_folder}/dead/{sink.scenario}.{PurePosixPath(sink.path).name}"


def _whole(run: RunRecord, chains: Iterable[SliceRecord]) -> Iterable[Prepared]:
    """Return what a run publishes. Where its record has no room for where that lies now, the reports of its slices say it."""
    if all(one.aside for one in run.prepared):
        return run.prepared
    told = {(one.sink, one.target): one for record in chains for one in _prepared(record)}
    return (told.get((one.sink, one.target), one) for one in run.prepared)


def _prepared(record: SliceRecord) -> Iterable[Prepared]:
    if isinstance(record.report, Done | Failed):
        yield from (one for one in record.report.prepared if one.kind != "stream")
