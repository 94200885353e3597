"""From a chain job to strands: who shares a thread with whom, and where channels, side inputs, sinks and pipes go.

A node continues the strand of the node in front of it, unless it has to begin one of its own:

    source, step without input          nothing is in front
    several main inputs (union)         a channel takes whichever is ready
    main input is spooled               a channel on disk, so that side inputs can come first
    SQL, program                        they pull from threads of their own, so what is behind them must be a channel
    the node in front has a next one    a node with two steps behind it goes on with the first, the other gets a channel
    behind a source, with two cores     parsing beside the rest; sinks then have threads of their own, too, but for dead letters: what
                                        was rejected before the slice failed must be in them, and not in a channel

Pipes are read by the strand that works on them; where a channel must be in front (union, spool, SQL, side input) a strand pumps.
Every thread waits only for what is in front of it (a batch) or behind it (room); a strand that reads a union takes any, and a
main input that shares an ancestor with a side input is spooled (`Link.spool`): so nobody waits in a circle.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runink.contracts.leeway import enforced
from runink.dag import (
    MAIN,
    REJECTED,
    Check,
    Executable,
    Function,
    Link,
    Node,
    OnInvalid,
    Sink,
    Source,
    Sql,
    Step,
)
from runink.errors import Refused
from runink.jobs import ChainJob, Port, Transport
from runink.pipes.batch import Batch
from runink.steps.channels import Channel, Collector, SpooledChannel, Stop
from runink.steps.counters import Clock, Counter, EdgeCounter, Watch
from runink.steps.doors import Doors
from runink.steps.drifting import Gate
from runink.steps.operators import Checking, Interrupts, Stepping
from runink.steps.outlets import ChannelOutlet, Counted, Outlet, PipeOutlet, SinkOutlet
from runink.steps.registry import load_function
from runink.steps.strands import Inflow, Noted, Place, Stage, Strand, Waiting


@dataclass(slots=True)
class Layout:
    """A slice ready to run, in parts. `building` is the node whose turn it is, for errors while it is put together."""

    stop: Stop
    interrupts: Interrupts
    counters: dict[str, Counter] = field(default_factory=dict)
    edges: dict[Link, EdgeCounter] = field(default_factory=dict)
    strands: list[Strand] = field(default_factory=list)
    sinks: list[SinkOutlet] = field(default_factory=list)
    pipes: list[PipeOutlet] = field(default_factory=list)
    building: str = ""


class Wiring:
    """Puts a layout together; what it has opened is in the layout, also if it fails half way."""

    def __init__(
        self, job: ChainJob, descriptors: Sequence[int], *, doors: Doors, clock: Clock
    ) -> None:
        self.layout = Layout(Stop(), Interrupts([]))
        self._job = job
        self._descriptors = descriptors
        self._doors = doors
        self._clock = clock
        self._nodes: dict[str, Node] = {}
        self._inputs: dict[Link, Port] = {}
        self._transports: dict[Link, Transport] = {}
        self._parallel = job.cpus > 1
        self._strand_of: dict[str, Strand] = {}
        self._stage_of: dict[str, Stage] = {}
        self._rejects: dict[str, list[Outlet]] = {}
        self._channels: dict[str, Channel] = {}
        self._collectors: dict[tuple[str, str], Collector] = {}

    def build(self) -> Layout:
        """Open pipes and sinks, load functions, and return the strands. Raises what opening or loading raises."""
        layout, job = self.layout, self._job
        pipes: dict[Link, PipeOutlet] = {}
        for node in job.nodes:
            self._nodes[node.id] = node
            layout.counters[node.id] = Counter(node.id, job.watched.get(node.id, ()))
        for port in job.inputs:
            self._inputs[port.link] = port
            self._transports[port.link] = port.transport
        for port in job.outputs:
            self._transports[port.link] = port.transport
            pipes[port.link] = self._pipe(port)
        for node in job.nodes:
            layout.building = node.id
            match node:
                case Sink():
                    self._open_sink(node)
                case Source():
                    self._begin_source(node)
                case Check():
                    self._add_check(node)
                case Step():
                    self._add_step(node)
        if job.links:
            self._lead(pipes)
        layout.building = ""
        return layout

    def _lead(self, pipes: dict[Link, PipeOutlet]) -> None:
        """Lead each link to where it goes."""
        layout = self.layout
        sinks = {sink.node.id: sink for sink in layout.sinks}
        for link in self._job.links:
            layout.building = link.source
            if link in pipes:
                self._outlets_of(link).append(pipes[link])
            elif link.target in sinks:
                self._join_sink(link, sinks[link.target])
            else:
                self._join(link)

    # Ends of the slice.

    def _pipe(self, port: Port) -> PipeOutlet:
        self.layout.building = port.link.source
        descriptor = self._descriptors[port.descriptor]
        memory_bytes = self._job.memory_bytes // len(self._job.outputs)
        writer = self._doors.writer(descriptor, port=port, memory_bytes=memory_bytes)
        outlet = PipeOutlet(writer, self._edge(port.link))
        self.layout.pipes.append(outlet)
        return outlet

    def _open_sink(self, node: Sink) -> None:
        job = self._job
        stdout_fd = None if job.stdout is None else self._descriptors[job.stdout]
        writer = self._doors.sink(
            node, root=Path(job.project), ticket=job.ticket, stdout_fd=stdout_fd
        )
        outlet = SinkOutlet(node, writer, self.layout.counters[node.id], self._doors.hidden)
        self.layout.sinks.append(outlet)

    def _begin_source(self, node: Source) -> None:
        strand = self._begin(node.id, at_source=True)
        stage = Stage(
            node.id,
            self._source(node, strand),
            counter=self.layout.counters[node.id],
            place=strand.place,
        )
        stage.is_head = True
        self._add(node.id, strand, stage)

    def _source(self, node: Source, strand: Strand) -> Iterator[Batch]:
        job = self._job
        stdin_fd = None if job.stdin is None else self._descriptors[job.stdin]
        reader = self._doors.source(
            node,
            root=Path(job.project),
            staged=job.staged.get(node.id, ()),
            stdin_fd=stdin_fd,
        )
        strand.closing.append(reader.close)
        yield from reader.batches()

    def _read_pipe(self, port: Port, strand: Strand) -> Iterator[Batch]:
        """Opened when the strand runs: the fingerprint comes from the other end, which may not be there yet."""
        descriptor = self._descriptors[port.descriptor]
        reader = self._doors.reader(descriptor, port=port)
        strand.closing.append(reader.close)
        yield from reader

    # Nodes between.

    def _add_check(self, node: Check) -> None:
        if node.on_invalid is OnInvalid.TAG:
            raise Refused(
                f"check {node.id}: rows cannot be tagged yet",
                code="not_built",
                hint="set them aside with @deadletter, or let them fail the run",
            )
        strand, stream = self._stream(node)
        assert stream is not None, "a check has a main input"
        rejects = self._rejects[node.id] = []
        plan = self._doors.plan(enforced(node.contract, node.on_drift, node.hides))
        checking = Checking(node, plan, self._doors, self._job.ticket, rejects, Gate(node))
        counter = self.layout.counters[node.id]
        output = checking.run(stream, counter, strand.place)
        stage = Stage(node.id, output, counter=counter, place=strand.place)
        stage.must_end = True
        self._add(node.id, strand, stage)

    def _add_step(self, node: Step) -> None:
        action = node.action
        function = load_function(self._job.bundle, action) if isinstance(action, Function) else None
        strand, stream = self._stream(node)
        sides = self._sides(node) if self._job.links else {}
        stepping = Stepping(node, self._job, sides, self.layout.interrupts, function)
        output = stepping.run(stream, strand.place.watch)
        strand.closing.append(output.close)
        counter = self.layout.counters[node.id]
        self._add(node.id, strand, Stage(node.id, output, counter=counter, place=strand.place))

    def _stream(self, node: Check | Step) -> tuple[Strand, Iterator[Batch] | None]:
        """Return the strand that the node goes on or begins, and what it reads there."""
        counter = self.layout.counters[node.id]
        links = self._mains(node.id) if self._job.links else []
        if not links:
            return self._begin(node.id), None
        first = links[0]
        front = self._strand_of.get(first.source)
        if front is not None and self._goes_on(node, links, front):
            return front, Inflow(front.last, counter, self._edge(first))
        port = self._inputs.get(first)
        if port is not None and len(links) == 1 and not first.spool and not _is_engine(node):
            strand = self._begin(node.id)
            head = self._head(node.id, self._read_pipe(port, strand), strand)
            head.must_end = True
            return strand, Inflow(head, counter)
        return self._behind_channel(node, links, counter)

    def _goes_on(self, node: Check | Step, links: list[Link], front: Strand) -> bool:
        first = links[0]
        behind_source = isinstance(self._nodes[first.source], Source)
        return (
            len(links) == 1
            and first.role == MAIN
            and not first.spool
            and not _is_engine(node)
            and not (self._parallel and behind_source)
            and front.last is self._stage_of[first.source]
        )

    def _behind_channel(
        self, node: Check | Step, links: list[Link], counter: Counter
    ) -> tuple[Strand, Iterator[Batch]]:
        at_source = len(links) == 1 and isinstance(self._nodes.get(links[0].source), Source)
        strand = self._begin(node.id, at_source=at_source)
        channel = self._channels[node.id] = self._channel(node.id, links)
        strand.closing.append(channel.close)
        for link in links:
            if link in self._inputs:
                self._pump(link, ChannelOutlet(channel, self._edge(link)))
        if _is_engine(node):
            noted = Noted(iter(channel), strand.place)
            return strand, Inflow(Waiting(noted, counter, self._clock), counter)
        head = self._head(node.id, iter(channel), strand)
        return strand, Inflow(head, counter)

    def _channel(self, node: str, links: list[Link]) -> Channel:
        stop = self.layout.stop
        if not any(link.spool for link in links):
            return Channel(stop, writers=len(links))
        path = Path(self._job.scratch) / f"{node}.spool.arrow"
        return SpooledChannel(stop, writers=len(links), path=path, what=f"the main input of {node}")

    def _sides(self, node: Step) -> dict[str, Collector]:
        links = [link for link in self._job.links if link.target == node.id and _is_side(link)]
        sides: dict[str, Collector] = {}
        for role in dict.fromkeys(link.role for link in links):
            writers = [link for link in links if link.role == role]
            what = f"side input {role} of {node.id}"
            collector = Collector(self.layout.stop, writers=len(writers), what=what)
            sides[role] = self._collectors[node.id, role] = collector
            for link in writers:
                if link in self._inputs:
                    self._pump(link, ChannelOutlet(collector, self._edge(link)))
        return sides

    # Links.

    def _join(self, link: Link) -> None:
        """Lead a link inside the slice to its channel or side input; one that goes on in its strand needs nothing."""
        if link.source not in self._nodes:
            return
        if _is_side(link):
            collector = self._collectors[link.target, link.role]
            self._outlets_of(link).append(ChannelOutlet(collector, self._edge(link)))
        elif link.target in self._channels:
            channel = self._channels[link.target]
            self._outlets_of(link).append(ChannelOutlet(channel, self._edge(link)))

    def _join_sink(self, link: Link, sink: SinkOutlet) -> None:
        if link.source not in self._nodes:
            self._pump(link, sink)
        elif self._parallel and not sink.node.dead_letter:
            channel = Channel(self.layout.stop, writers=1)
            strand = self._begin(link.target)
            head = self._head(link.target, iter(channel), strand)
            head.outlets.append(sink)
            strand.closing.append(channel.close)
            self._outlets_of(link).append(ChannelOutlet(channel, self._edge(link)))
        else:
            self._outlets_of(link).append(Counted(sink, self._edge(link)))

    def _pump(self, link: Link, outlet: Outlet) -> None:
        strand = self._begin(f"{link.source} to {link.target}")
        head = self._head(link.target, self._read_pipe(self._inputs[link], strand), strand)
        head.must_end = True
        head.outlets.append(outlet)

    # Pieces.

    def _begin(self, name: str, *, at_source: bool = False) -> Strand:
        strand = Strand(name, Place(Watch(self._clock), self.layout.stop, at_source))
        self.layout.strands.append(strand)
        return strand

    def _head(self, node: str, stream: Iterator[Batch], strand: Strand) -> Stage:
        """Begin a strand with what comes from elsewhere; waiting for it is nobody's time."""
        stage = Stage(node, stream, counter=None, place=strand.place)
        stage.is_head = True
        strand.stages.append(stage)
        return stage

    def _add(self, node: str, strand: Strand, stage: Stage) -> None:
        strand.stages.append(stage)
        self._strand_of[node] = strand
        self._stage_of[node] = stage

    def _mains(self, node: str) -> list[Link]:
        return [link for link in self._job.links if link.target == node and not _is_side(link)]

    def _outlets_of(self, link: Link) -> list[Outlet]:
        if link.role == REJECTED:
            return self._rejects[link.source]
        return self._stage_of[link.source].outlets

    def _edge(self, link: Link) -> EdgeCounter:
        counter = EdgeCounter(link, self._transports.get(link))
        return self.layout.edges.setdefault(link, counter)


def _is_side(link: Link) -> bool:
    return link.role not in {MAIN, REJECTED}


def _is_engine(node: Node) -> bool:
    return isinstance(node, Step) and isinstance(node.action, Sql | Executable)
