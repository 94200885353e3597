"""What each node does with its stream: generators that read one batch, work on it and give the result.

Nothing here knows of threads or links; `wiring.py` joins these to strands.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from runink.dag import Check, Executable, Function, OnInvalid, Sql, Step
from runink.errors import Refused
from runink.jobs import ChainJob, Ticket
from runink.pipes.batch import Batch
from runink.quantities import counted
from runink.steps.channels import Collector
from runink.steps.counters import Counter, Watch
from runink.steps.doors import Doors, Plan
from runink.steps.drifting import Gate
from runink.steps.executable import ProgramRun
from runink.steps.function import bind, numbered, run_function, with_rows
from runink.steps.outlets import Outlet
from runink.steps.sql import Limits, SqlRun
from runink.steps.strands import Place

REASONS_SHOWN_MAX: Final = 5  # of a check that fails its run: the rest is more of the same


@dataclass(slots=True)
class Interrupts:
    """How to end what no flag reaches: a query or a program that is at work."""

    calls: list[Callable[[], None]]

    def all(self) -> None:
        for call in list(self.calls):
            call()


@dataclass(frozen=True, slots=True)
class Checking:
    """A check's plan, where its rejected rows go, and whose they are. Its `gate` looks at the shape of what comes."""

    node: Check
    plan: Plan
    doors: Doors
    ticket: Ticket
    rejects: list[Outlet]
    gate: Gate

    def run(self, stream: Iterator[Batch], counter: Counter, place: Place) -> Iterator[Batch]:
        """Yield the rows that keep the contract; count the others and give them to `rejects`. Raises Refused where the policy says so."""
        return with_rows(self._run(stream, counter, place))

    def _run(self, stream: Iterator[Batch], counter: Counter, place: Place) -> Iterator[Batch]:
        seen = self.plan.seen()
        for batch in stream:
            aside = self.gate.look(batch, counter)
            if aside is not None:
                self._set_aside(aside, batch, counter, place)
                nothing = pa.RecordBatch.from_pylist([], schema=self.plan.schema)
                yield Batch(nothing, batch.origin, batch.row)
                continue
            checked = self.plan.check(batch.data, seen)
            if checked.rejected is not None:
                self._reject(checked.rejected, batch, counter, place)
            good = self.gate.extended(checked.good, batch, checked.rejected)
            yield Batch(good, batch.origin, batch.row)
        for outlet in self.rejects:
            outlet.end()

    def _reject(self, rejected: Any, batch: Batch, counter: Counter, place: Place) -> None:
        self._count(rejected, counter)
        if self.node.on_invalid is OnInvalid.FAIL:
            raise self._broken(rejected, batch)
        self._hand_on(rejected, batch, place)

    def _set_aside(self, rejected: Any, batch: Batch, counter: Counter, place: Place) -> None:
        """Reject rows for their shape, which the policy for rows does not decide about."""
        self._count(rejected, counter)
        self._hand_on(rejected, batch, place)

    def _count(self, rejected: Any, counter: Counter) -> None:
        counter.rejected += len(rejected.rows)
        for (field, rule), rows in rejected.counts.items():
            counter.reject(field, rule, text=rejected.examples[field, rule].message, rows=rows)

    def _hand_on(self, rejected: Any, batch: Batch, place: Place) -> None:
        if self.rejects:
            dead = self.doors.dead(rejected, batch=batch, check=self.node, ticket=self.ticket)
            place.hand_on(dead, self.rejects, node=self.node.id)

    def _broken(self, rejected: Any, batch: Batch) -> Refused:
        contract = self.node.contract
        reasons = [
            f"  {rejected.examples[key].message}: {counted(rows, 'row')}"
            for key, rows in list(rejected.counts.items())[:REASONS_SHOWN_MAX]
        ]
        first = batch.row + rejected.rows[0].as_py()
        head = f"{contract.name} {contract.version} is broken, first by row {first:,} of {batch.origin}; in its batch:"
        return Refused(
            "\n".join([head, *reasons]),
            code="contract_broken",
            hint="mend the input, or set such rows aside with @deadletter",
        )


@dataclass(frozen=True, slots=True)
class Stepping:
    """A step with what it needs of its slice. `function` is there for a step that is one."""

    node: Step
    job: ChainJob
    sides: Mapping[str, Collector]
    interrupts: Interrupts
    function: Callable[..., Any] | None = None

    @property
    def what(self) -> str:
        action = self.node.action
        return f"step {action.name if isinstance(action, Function) else self.node.id}"

    def run(self, stream: Iterator[Batch] | None, watch: Watch) -> Generator[Batch, None, None]:
        """Wait for the side inputs, then yield what the step makes of the stream."""
        sides: Mapping[str, pa.Table] = {}
        if self.sides:
            with watch.turn(None):
                sides = {name: collector.whole() for name, collector in self.sides.items()}
        action = self.node.action
        match action:
            case Function():
                assert self.function is not None
                call = bind(self.function, action, sides=sides, what=self.what)
                yield from run_function(call, stream, origin=self.node.id)
            case Sql(query):
                yield from self._sql(query, stream, sides)
            case Executable():
                yield from self._program(action, stream, sides)

    def _sql(
        self, query: str, stream: Iterator[Batch] | None, sides: Mapping[str, pa.Table]
    ) -> Iterator[Batch]:
        limits = Limits(
            self.job.cpus,
            self.job.memory_bytes,
            Path(self.job.scratch),
            is_hard=self.job.memory_is_limit,
        )
        run = SqlRun(query, what=self.what, limits=limits)
        self.interrupts.calls.append(run.interrupt)
        yield from numbered(run.batches(stream, sides), self.node.id)

    def _program(
        self, action: Executable, stream: Iterator[Batch] | None, sides: Mapping[str, pa.Table]
    ) -> Iterator[Batch]:
        if sides:
            raise Refused(
                f"{self.what}: a program has one input, there is no way to give it {', '.join(sides)}",
                code="step_sides",
                hint="join the side inputs in a step before it",
            )
        run = ProgramRun(action, bundle=Path(self.job.bundle), what=self.what)
        self.interrupts.calls.append(run.interrupt)
        yield from numbered(run.batches(stream), self.node.id)
