"""The engine of a slice: runs a chain of nodes from its sources and pipes to its sinks and pipes, and reports.

    wiring      open pipes, sinks and functions; put nodes into strands          a failure here is told like any other
    running     a thread for each strand; this one waits, reports progress, and is the one that a signal interrupts
    ending      all strands have ended: sinks are prepared (written aside, synced)     Done
    failing     the first failure stops all: pipes get error frames, sinks are aborted,
                the dead letter is prepared all the same                               Failed

Nothing is published here: `run_publish` does that in another job, when the run has decided to.  A strand that does not
end in time when the slice stops (a step that loops for ever) is left behind; the process ends with its report.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # private; the functions of signal itself look each number's name up
import _thread
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from types import FrameType
from typing import Final, NamedTuple, TypeVar

import msgspec
import pyarrow as pa

from runink.dag import Function, Node, Step
from runink.environments.activating import activate
from runink.errors import Refused, to_wire
from runink.jobs import (
    ChainJob,
    Done,
    Drifted,
    Failed,
    NodeFacts,
    Prepared,
    Progress,
    Rejections,
)
from runink.steps.channels import Failure, Stopped
from runink.steps.counters import Clock, Counter, EdgeCounter
from runink.steps.doors import Doors
from runink.steps.failures import failed_by
from runink.steps.outlets import SinkOutlet
from runink.steps.primed import SPARE
from runink.steps.strands import Strand
from runink.steps.wiring import Layout, Wiring

_CANCELLING: Final = (int(signal.SIGTERM), int(signal.SIGINT))
PROGRESS_S: Final = 0.1  # a terminal redraws no faster, and ten reports a second cost nothing
UNWIND_S: Final = 2.0  # for strands to end once the slice stops: a batch's worth of work

# Looked up beforehand: a slice that looks for them in their modules has pages copied for each.
_set_signal, _start_thread, _tracing = _signal.signal, _thread.start_new_thread, threading.gettrace
_environment: Final = os.environ
_ARENA_MAX: Final = -8  # M_ARENA_MAX of malloc.h
_ARENAS_PER_CORE: Final = 8  # as glibc has it, which reckons with all cores of the machine

Result = TypeVar("Result")
Report = Callable[[Progress], None]
Start = Callable[[Callable[[Strand], None], Strand], None]


class Host(NamedTuple):
    """What the process does for a chain: `start` has a strand run; `idle` is called when the main thread begins to wait for them, and every PROGRESS_S from then on."""

    start: Start
    idle: Callable[[], None]


class Cancelled(BaseException):
    """The run is cancelled. Raised in the main thread by a signal, see `cancel_on_signals`."""


def cancel_on_signals(*numbers: signal.Signals) -> None:
    """From now on raise Cancelled in the main thread when one of the signals comes (SIGTERM and SIGINT if none are named)."""
    for number in numbers or _CANCELLING:
        _set_signal(number, _cancel)


def _cancel(number: int, _: FrameType | None) -> None:
    raise Cancelled(signal.Signals(number).name)


def run_chain(
    job: ChainJob,
    descriptors: Sequence[int],
    report: Report,
    *,
    doors: Doors,
    clock: Clock = time.monotonic,
    host: Host | None = None,
) -> Done | Failed:
    """Run the job's nodes to their end. Never raises for what nodes do; what `report` raises goes through.

    `descriptors` are this process's numbers for the places that the job names. Strands run in a thread each, if the `host` says nothing else.
    """
    limit_threads(job.cpus)
    if "polars" in sys.modules and any(_is_function(node) for node in job.nodes):
        limit_loaded_polars(job.cpus)
    return _Chain(job, descriptors, report, doors, clock).run(host or Host(start_thread, nothing))


def start_thread(run: Callable[[Strand], None], strand: Strand) -> None:
    """Have the strand run in a thread of its own, which does not keep the process: a strand may hang in a step."""
    if _tracing() is None:
        # Bare: each slice would have 70 pages copied for what a Thread has beside.
        _start_thread(run, (strand,))
    else:  # a debugger, or who measures coverage, is told of these only
        threading.Thread(target=run, args=(strand,), name=strand.name, daemon=True).start()


def nothing() -> None:
    """Do nothing while the main thread waits."""


def at_once(run: Callable[[Strand], None], strand: Strand) -> None:
    """Run the strand here, to its end. For chains whose strands do not wait for each other."""
    run(strand)


def limit_threads(cpus: int) -> None:
    """Tell the libraries how many threads they may use. Polars reads this when it is first imported: `limit_loaded_polars`."""
    count = max(cpus, 1)
    if pa.cpu_count() != count:  # the fork server's slices have it of their rehearsal
        pa.set_cpu_count(count)
        _limit_arenas(count)
    # Not kept in the fork server: Polars, imported there later, would be held to it in every slice.
    _environment["POLARS_MAX_THREADS"] = str(count)


def _limit_arenas(cpus: int) -> None:
    """Have threads share malloc's heap where they share one core: each first one made an arena of its own, with four calls and two pieces of memory. Does nothing without glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1 if cpus == 1 else cpus * _ARENAS_PER_CORE)


def limit_loaded_polars(cpus: int) -> None:
    """Tell Polars how many threads it may use, where it was imported before and has not begun any.

    What it read of the environment then holds all slices of a fork server to the same number.  To load a configuration makes it read that again; this costs 1.4 ms, so only slices that
    may call it do so.
    """
    variable = {"POLARS_MAX_THREADS": str(max(cpus, 1))}
    sys.modules["polars"].Config.load(msgspec.json.encode({"environment": variable}).decode())


def _is_function(node: Node) -> bool:
    return isinstance(node, Step) and isinstance(node.action, Function)


class _Chain:
    def __init__(
        self, job: ChainJob, descriptors: Sequence[int], report: Report, doors: Doors, clock: Clock
    ) -> None:
        self._job = job
        self._report = report
        self._doors = doors
        self._clock = clock
        self._wiring = Wiring(job, descriptors, doors=doors, clock=clock)
        self._layout: Layout = self._wiring.layout
        self._running = 0
        self._counting = _thread.allocate_lock()
        self._told: tuple[NodeFacts, ...] = ()

    def run(self, host: Host) -> Done | Failed:
        stop = self._layout.stop
        try:
            self._build()
            self._start(host.start)
            self._wait(host.idle)
            prepared = () if stop.wanted else self._prepare_all()
        except (Cancelled, KeyboardInterrupt) as interrupt:
            stop.set()
            return self._failed(_cancelled(interrupt))
        if stop.wanted:
            assert stop.failure is not None, "a slice stops for a failure or a signal"
            return self._failed(self._bare(stop.failure))
        return self._done(prepared)

    def _bare(self, failure: Failure) -> Failed:
        return failed_by(
            failure,
            self._job.nodes,
            bundle=self._job.bundle,
            neighbours=self._doors.neighbour_failures,
        )

    def _build(self) -> None:
        try:
            if self._job.environment:
                activate(self._job.environment, spare=SPARE)
            self._wiring.build()
        except Exception as error:  # noqa: BLE001 - opening may raise what any library raises; it is told
            self._layout.stop.set(Failure(self._layout.building, error, None, exact=False))

    def _start(self, start: Start) -> None:
        if self._layout.stop.wanted:
            return
        self._running = len(self._layout.strands)
        for strand in self._layout.strands:
            start(self._run_strand, strand)

    def _run_strand(self, strand: Strand) -> None:
        stop = self._layout.stop
        try:
            strand.run()
        except Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 - the strand's supervisor: whatever it is, the slice stops and tells
            strand.place.failed(strand.last.node, error)
        finally:
            with self._counting:
                self._running -= 1
            stop.bell.ring()

    def _wait(self, idle: Callable[[], None]) -> None:
        """Wait until all strands have ended or the slice stops, and tell how far they are."""
        stop = self._layout.stop
        told_at = self._clock()
        while True:
            idle()
            if stop.wanted or not self._running:
                return
            stop.bell.wait(PROGRESS_S)
            if stop.wanted or not self._running:
                return
            if self._clock() - told_at >= PROGRESS_S:
                told_at = self._clock()
                self._tell_progress()

    def _tell_progress(self) -> None:
        facts = self._facts()
        if facts != self._told:
            self._told = facts
            self._report(Progress(facts))

    # The two ends.

    def _prepare_all(self) -> tuple[Prepared, ...]:
        prepared: list[Prepared] = []
        for sink in self._layout.sinks:
            try:
                prepared.append(sink.prepare())
            except Exception as error:  # noqa: BLE001 - a disk, a network, a library: the run fails and tells
                # What is prepared already goes with the rest, in `_failed`, or is a dead letter and stays.
                self._layout.stop.set(Failure(sink.node_id, error, None, exact=False))
                return ()
        return tuple(prepared)

    def _done(self, prepared: tuple[Prepared, ...]) -> Done:
        layout = self._layout
        schemas: dict[str, tuple[tuple[str, str], ...]] = {}
        for node, counter in layout.counters.items():
            if counter.columns:
                schemas[node] = counter.columns
        return Done(
            nodes=self._facts(),
            edges=tuple(map(EdgeCounter.facts, layout.edges.values())),
            rejections=self._rejections(),
            drifts=self._drifts(),
            prepared=prepared,
            schemas=schemas,
        )

    def _failed(self, bare: Failed) -> Failed:
        """End what runs, tell the neighbours, keep the dead letter, and return the report with the facts."""
        layout = self._layout
        layout.interrupts.all()
        until = time.monotonic() + UNWIND_S
        while self._running and (left_s := until - time.monotonic()) > 0:
            layout.stop.bell.wait(left_s)
        for pipe in layout.pipes:
            _quietly(partial(pipe.fail, bare.error.text))
        kept = tuple(
            prepared
            for sink in layout.sinks
            if (prepared := self._kept(sink, failed=bare.step)) is not None
        )
        return Failed(
            error=bare.error,
            step=bare.step,
            traceback=bare.traceback,
            position=bare.position,
            consequence=bare.consequence,
            nodes=self._facts(),
            rejections=self._rejections(),
            drifts=self._drifts(),
            prepared=kept,
        )

    def _kept(self, sink: SinkOutlet, *, failed: str) -> Prepared | None:
        """Abort the sink, unless it is a dead letter that holds something."""
        if not sink.is_free():
            return None  # A strand hangs in it; what it wrote aside goes with the job's leftovers.
        if sink.node.dead_letter and sink.counter.rows_out and sink.node_id != failed:
            return _quietly(sink.prepare)
        _quietly(sink.abort)
        return None

    def _facts(self) -> tuple[NodeFacts, ...]:
        return tuple(map(Counter.facts, self._layout.counters.values()))

    def _rejections(self) -> tuple[Rejections, ...]:
        return tuple(chain.from_iterable(map(Counter.rejections, self._layout.counters.values())))

    def _drifts(self) -> tuple[Drifted, ...]:
        return tuple(chain.from_iterable(map(Counter.drifts, self._layout.counters.values())))


def _quietly(call: Callable[[], Result]) -> Result | None:
    """Try to clean up; the failure that made it necessary is the one to tell."""
    try:
        return call()
    except Exception:  # noqa: BLE001 - whatever it is, it is not what the run failed of
        return None


def _cancelled(interrupt: BaseException) -> Failed:
    by = str(interrupt) or "an interrupt"
    return Failed(to_wire(Refused(f"cancelled by {by}", code="cancelled")))
