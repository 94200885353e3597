"""What the slices of a node are seen to do, as metrics by herd, pipeline and step.

A slice serves no HTTP: it tells the agent how far it is, in numbers that only grow, and so do its cgroup and its log.  A meter stands beside each
attempt, counts what was told since the last time, and adds it to the tallies.  So a counter covers what this process has seen; what an adopted slice had
done before is told once by the process before it, and never again.

    a meter is made          when the attempt is attended; again, in a new life of the agent, it is the same one
    it hears                 progress, cgroup figures, the log
    it ends                  with the slice's last word; its counts stay in the tallies
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from runink.actors.launching import process_name
from runink.errors import Refused, RuninkError
from runink.jobs import Done, EdgeFacts, Failed, NodeFacts
from runink.observe.metrics import Histogram, Reading
from runink.observe.slice_logs import LogFacts, SliceLog
from runink.observe.tallies import Tally
from runink.runs.records import Exit, RunRecord, SliceRecord

UNKNOWN: Final = "_unknown"  # a pipeline whose run was cleaned away meanwhile
IN_SLICE: Final = "none"  # an edge between steps of one slice: nothing carries it
NODES_MAX: Final = (
    1000  # of one slice that are counted: it has some ten, and may tell of any number
)
GROWTH_MAX: Final = float(1 << 60)  # between two looks; more was not counted
_PAIR: Final = ("herd", "pipeline")
_STEP: Final = (
    "rows_in",
    "rows_out",
    "rejected_rows",
    "batches",
    "bytes",
    "busy_seconds",
    "drifted_rows",
)
_EDGE: Final = ("rows", "batches", "bytes")
_LOG: Final = ("log_lines", "log_bytes", "log_dropped_bytes", "log_slowed_seconds")
_CGROUP: Final = (
    "cpu_seconds",
    "throttled_seconds",
    "throttled_periods",
    "oom_kills",
    "pids_refused",
    "read_bytes",
    "written_bytes",
)


class CgroupFigures(NamedTuple):
    """What a slice's cgroup says: counters since it was made, and in the end what is in it now."""

    cpu_s: float = 0.0
    throttled_s: float = 0.0
    throttled_periods: int = 0
    oom_kills: int = 0
    pids_refused: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    memory_bytes: int = 0
    pids: int = 0


class _Tallies:
    """What is counted for all slices together."""

    def __init__(self) -> None:
        self.steps = _totals("step", _STEP, (*_PAIR, "step"))
        self.edges = _totals("edge", _EDGE, (*_PAIR, "source", "target", "transport"))
        self.logs = _totals("agent", _LOG, _PAIR)
        self.cgroups = _totals("cgroup", _CGROUP, _PAIR)
        self.launches = _totals("slice", ("launches",), (*_PAIR, "outcome"))
        self.exits = _totals("slice", ("exits",), (*_PAIR, "cause"))
        self.ended = _totals("slice", ("cpu_seconds", "wall_seconds"), _PAIR)
        self.switches = _totals("slice", ("context_switches",), (*_PAIR, "kind"))
        self.peaks = Tally(("runink_slice_memory_peak_bytes",), _PAIR, grow=max)

    def readings(self) -> Iterator[Reading]:
        for tally in vars(self).values():
            yield from tally.readings()


def _totals(part: str, names: tuple[str, ...], labels: tuple[str, ...]) -> Tally:
    return Tally(tuple(f"runink_{part}_{name}_total" for name in names), labels)


class SliceMeter:
    """One attempt of a slice. `is_adopted` says that an earlier process has counted what it did so far."""

    def __init__(
        self,
        record: SliceRecord,
        pipeline: str,
        tallies: _Tallies,
        now_s: Callable[[], float],
        *,
        is_adopted: bool = False,
    ) -> None:
        self.record = record
        self.labels = (record.herd, pipeline or UNKNOWN)
        self.cgroup = CgroupFigures()
        self._tallies = tallies
        self._now_s = now_s
        self._log: SliceLog | None = None
        self._logged = LogFacts()
        self._seen: dict[str, NodeFacts] = {}
        self._is_first = is_adopted
        self._is_first_of_cgroup = is_adopted

    def progress(self, nodes: tuple[NodeFacts, ...]) -> None:
        """Count what the nodes have done since they last told."""
        for facts in nodes:
            before = self._seen.get(facts.node)
            if before is None:
                if len(self._seen) >= NODES_MAX:
                    continue
                before = NodeFacts(facts.node)
            self._seen[facts.node] = facts
            if not self._is_first:
                self._tallies.steps.add(
                    (*self.labels, facts.node), *_grown(before, facts), now_s=self._now_s()
                )
        self._is_first = False
        self.look()

    def used(self, figures: CgroupFigures) -> None:
        """Count what the slice's cgroup counted since it was last asked."""
        before, self.cgroup = self.cgroup, figures
        if not self._is_first_of_cgroup:
            pairs = zip(before, figures, strict=True)
            grown = [_growth(then, now) for then, now in pairs][: len(_CGROUP)]
            self._tallies.cgroups.add(self.labels, *grown, now_s=self._now_s())
        self._is_first_of_cgroup = False

    def logs_to(self, log: SliceLog) -> None:
        """Have a log's lines counted, from its beginning in this life of the agent."""
        self.look()
        self._log, self._logged = log, LogFacts()

    def look(self) -> None:
        """Count what was printed since the last time."""
        if self._log is None:
            return
        before, self._logged = self._logged, self._log.facts
        grown = [now - then for then, now in zip(before, self._logged, strict=True)]
        if any(grown):
            self._tallies.logs.add(self.labels, *grown, now_s=self._now_s())

    def ended(self, report: Done | Failed | None, found: Exit) -> None:
        """Count the slice's last word, and how it ended."""
        now_s = self._now_s()
        if report is not None:
            self.progress(report.nodes)
        if isinstance(report, Done):
            nodes = {facts.node for facts in report.nodes}
            for edge in report.edges:
                if edge.source in nodes:  # who reads from another slice tells of the edge, too
                    self._count_edge(edge, now_s)
        self.look()
        self._tallies.exits.add((*self.labels, found.cause), 1, now_s=now_s)
        self._tallies.ended.add(self.labels, found.cpu_s, found.wall_s, now_s=now_s)
        self._tallies.peaks.add(self.labels, found.memory_bytes_max, now_s=now_s)
        self._count_switches(found, now_s)
        self._is_first_of_cgroup = False  # an end is told once, also of what was adopted
        self.used(
            CgroupFigures(
                cpu_s=found.cpu_s,
                throttled_s=found.throttled_s,
                throttled_periods=self.cgroup.throttled_periods,
                oom_kills=found.oom_kills,
                pids_refused=found.processes_refused,
                read_bytes=found.read_bytes,
                written_bytes=found.written_bytes,
            )
        )

    def _count_switches(self, found: Exit, now_s: float) -> None:
        kinds = (
            ("voluntary", found.voluntary_switches),
            ("involuntary", found.involuntary_switches),
        )
        for kind, count in kinds:
            if count is not None:
                self._tallies.switches.add((*self.labels, kind), count, now_s=now_s)

    def _count_edge(self, edge: EdgeFacts, now_s: float) -> None:
        grown = (_growth(0, told) for told in (edge.rows, edge.batches, edge.bytes))
        transport = IN_SLICE if edge.transport is None else edge.transport.value
        labels = (*self.labels, edge.source, edge.target, transport)
        self._tallies.edges.add(labels, *grown, now_s=now_s)


def _grown(before: NodeFacts, now: NodeFacts) -> tuple[float, ...]:
    return tuple(
        _growth(earlier, later)
        for earlier, later in (
            (before.rows_in, now.rows_in),
            (before.rows_out, now.rows_out),
            (before.rejected, now.rejected),
            (before.batches, now.batches),
            (before.bytes, now.bytes),
            (before.busy_s, now.busy_s),
            (before.drifted, now.drifted),
        )
    )


def _growth(earlier: float, later: float) -> float:
    """Return by how much a counter has grown; nothing for one that shrank or is no number: a slice may tell what it likes."""
    grown = later - earlier
    return grown if 0 <= grown < GROWTH_MAX else 0.0


class SliceMeters:
    """All of a node. It outlives the agent, whose lives each `begin`."""

    def __init__(self, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self.unborn = 0  # slices that the node could not launch
        self._tallies = _Tallies()
        self._launch_seconds = Histogram("runink_slice_launch_seconds")
        self._meters: dict[str, SliceMeter] = {}  # by the slice's name at the spawner
        self._former: dict[str, SliceMeter] = {}  # of the agent's life before

    def begin(self) -> None:
        """Begin a life of the agent: it attends anew what still runs, and the rest is gone."""
        self._former, self._meters = self._meters, {}

    def launched(self, record: SliceRecord, run: RunRecord, seconds: float) -> SliceMeter:
        """Count a launch, and return the meter of what was launched."""
        self._count_launch(run, "launched")
        self._launch_seconds.observe(seconds)
        meter = SliceMeter(record, run.pipeline, self._tallies, self._now_s)
        self._meters[process_name(record)] = meter
        return meter

    def adopted(self, record: SliceRecord, pipeline: str) -> SliceMeter:
        """Return the meter of a slice that was launched in an earlier life: the same one, if it was a life of this process."""
        name = process_name(record)
        meter = self._former.pop(name, None)
        if meter is None:
            meter = SliceMeter(record, pipeline, self._tallies, self._now_s, is_adopted=True)
        self._meters[name] = meter
        return meter

    def ended(self, meter: SliceMeter, report: Done | Failed | None, found: Exit) -> None:
        meter.ended(report, found)
        if self._meters.get(process_name(meter.record)) is meter:
            del self._meters[process_name(meter.record)]

    def refused(self, run: RunRecord, error: RuninkError) -> None:
        """Count a slice that could not be launched, among those that are the node's fault if that is no refusal."""
        self.unborn += not isinstance(error, Refused)
        self._count_launch(run, "refused")

    def _count_launch(self, run: RunRecord, outcome: str) -> None:
        labels = (run.herd, run.pipeline, outcome)
        self._tallies.launches.add(labels, 1, now_s=self._now_s())

    def readings(self) -> Iterator[Reading]:
        for meter in self._meters.values():
            meter.look()
        yield from self._tallies.readings()
        yield self._launch_seconds.reading()
        yield from self._running()

    def _running(self) -> Iterator[Reading]:
        """Yield what runs now: at most as many sets of labels as the node may have slices."""
        count: Counter[tuple[str, str]] = Counter()
        memory_bytes: Counter[tuple[str, str]] = Counter()
        pids: Counter[tuple[str, str]] = Counter()
        for meter in self._meters.values():
            count[meter.labels] += 1
            memory_bytes[meter.labels] += meter.cgroup.memory_bytes
            pids[meter.labels] += meter.cgroup.pids
        for name, numbers in (
            ("runink_slices_running", count),
            ("runink_cgroup_memory_bytes", memory_bytes),
            ("runink_cgroup_pids", pids),
        ):
            for labels, value in numbers.items():
                yield Reading(name, value, dict(zip(_PAIR, labels, strict=True)))
        asked = [meter.record.resources for meter in self._meters.values()]
        yield Reading("runink_node_requested_cores", sum(one.cpu_m for one in asked) / 1000)
        bytes_asked = sum(one.memory_bytes for one in asked)
        yield Reading("runink_node_requested_memory_bytes", bytes_asked)
