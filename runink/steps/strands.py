"""A strand: nodes of a slice that share a thread, each pulling from the one before.

    head ──> stage ──> stage ──> …           one batch is on its way at a time; the last stage is pulled by the thread's loop
               └─> outlets (sinks, pipes, other strands): a stage gives them each batch before it hands it on

Whatever a node raises is marked with the node by the innermost stage that sees it, before anything behind can wrap it.
A stage that stops early (`head`, LIMIT, a generator that returns) does not cut off others: stages in front that have
outlets of their own, checks (which count what they reject) and pipes are read to their end.

A child that a step forks and that comes back out of the step ends at once: it has the same sinks and pipes open, and would write all rows twice.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from runink.pipes.batch import Batch
from runink.steps.channels import Failure, Stop, Stopped
from runink.steps.counters import Clock, Counter, EdgeCounter, Watch
from runink.steps.outlets import Outlet

EXIT_STRAY: Final = 70  # of a process that has no business here; nobody waits for it


@dataclass(slots=True)
class Place:
    """Where a strand is: its watch and the last batch that its head gave. `at_source` if the head gives batches as a source made them."""

    watch: Watch
    stop: Stop
    at_source: bool = False
    batch: Batch | None = None
    process: int = field(default_factory=os.getpid)

    def failed(self, node: str, error: BaseException) -> None:
        """Stop the slice for what the node raised."""
        if not isinstance(error, Stopped | GeneratorExit):
            self.stop.set(Failure(node, error, self.batch, self.at_source))

    def end_strays(self, node: str) -> None:
        """End this process if it is a child that the node forked."""
        if os.getpid() != self.process:
            told = f"a child that {node} forked came back out of it, and was ended: a child ends with os._exit()"
            print(told, file=sys.stderr, flush=True)  # noqa: T201 - into the slice's log
            os._exit(EXIT_STRAY)

    def hand_on(self, batch: Batch, outlets: Iterable[Outlet], *, node: str) -> None:
        """Give the batch to each outlet in turn; what a sink raises is the sink's failure."""
        for outlet in outlets:
            try:
                outlet.put(batch, self.watch)
            except BaseException as error:
                self.failed(outlet.node_id or node, error)
                raise


class Stage(Iterator[Batch]):
    """One node's output: pulled by the next stage, given to the node's outlets, counted and timed."""

    def __init__(
        self, node: str, output: Iterator[Batch], *, counter: Counter | None, place: Place
    ) -> None:
        self.node = node
        self.outlets: list[Outlet] = []
        self.must_end = False  # to be read to its end even if nobody pulls it any more
        self.is_head = False  # what it gives is where the strand is
        self._output = output
        self._counter = counter
        self._place = place
        self._ended = False

    def __next__(self) -> Batch:
        if self._ended:
            raise StopIteration
        self._place.stop.check()
        watch = self._place.watch
        previous = watch.enter(self._counter)
        try:
            batch = self._next()
            if self._counter is not None:
                self._counter.went(batch)
            if self.is_head:
                self._place.batch = batch
            if self.outlets:
                self._place.hand_on(batch, self.outlets, node=self.node)
        except StopIteration:
            self._ended = True
            if self._counter is not None:
                self._counter.ended()
            if self.outlets:
                self._end()
            raise
        except BaseException as error:
            self._ended = True
            self._place.failed(self.node, error)
            raise
        else:
            return batch
        finally:
            watch.enter(previous)

    def _next(self) -> Batch:
        try:
            return next(self._output)
        finally:
            self._place.end_strays(self.node)

    def _end(self) -> None:
        try:
            for outlet in self.outlets:
                outlet.end()
        except BaseException as error:
            self._place.failed(self.node, error)
            raise

    @property
    def wanted(self) -> bool:
        """Whether anybody still takes what the last stage of a strand gives."""
        return (
            self.must_end or not self.outlets or not all(outlet.closed for outlet in self.outlets)
        )


class Inflow(Iterator[Batch]):
    """What a node is given, counted; and the link, where it is no outlet that counts it."""

    def __init__(
        self, stream: Iterator[Batch], counter: Counter, edge: EdgeCounter | None = None
    ) -> None:
        self._stream = stream
        self._counter = counter
        self._edge = edge

    def __next__(self) -> Batch:
        batch = next(self._stream)
        self._counter.came(batch)
        if self._edge is not None:
            self._edge.passed(batch)
        return batch


class Noted(Iterator[Batch]):
    """A strand's head that is no stage: what it gives is where the strand is."""

    def __init__(self, stream: Iterator[Batch], place: Place) -> None:
        self._stream = stream
        self._place = place

    def __next__(self) -> Batch:
        batch = next(self._stream)
        self._place.batch = batch
        return batch


class Waiting(Iterator[Batch]):
    """What an engine pulls in threads of its own, where the strand's watch does not reach: the wait is taken off its node's time."""

    def __init__(self, stream: Iterator[Batch], counter: Counter, clock: Clock) -> None:
        self._stream = stream
        self._counter = counter
        self._clock = clock

    def __next__(self) -> Batch:
        began = self._clock()
        try:
            return next(self._stream)
        finally:
            self._counter.waited(self._clock() - began)


@dataclass(slots=True)
class Strand:
    """Stages in the order in which batches pass them, and what to close when the thread is done."""

    name: str
    place: Place
    stages: list[Stage] = field(default_factory=list)
    closing: list[Callable[[], None]] = field(default_factory=list)

    @property
    def last(self) -> Stage:
        return self.stages[-1]

    def run(self) -> None:
        """Pull until the last stage has ended. Raises what a node raised (`Stop.failure` tells which), or Stopped if the slice stops."""
        last = self.stages[-1]
        try:
            while last.wanted and next(last, None) is not None:
                pass
            for stage in reversed(self.stages[:-1]):
                if stage.must_end or stage.outlets:
                    _exhaust(stage)
        finally:
            for close in reversed(self.closing):
                close()


def _exhaust(stage: Iterable[Batch]) -> None:
    for _ in stage:
        pass
