"""Doors in memory: sources and sinks that are lists, pipes that are queues, and a job around them.

They keep to the interfaces that the real ones have (`runink/steps/doors.py`), so that the engine is tested without files; what it does
with real files and pipes stands in `test_chain_files.py`.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.contracts.hiding import hidden
from runink.contracts.reasons import Example
from runink.dag import (
    MAIN,
    Check,
    Each,
    Executable,
    Format,
    Function,
    Link,
    Node,
    OnInvalid,
    Sink,
    Source,
    Sql,
    Step,
)
from runink.jobs import ChainJob, Done, Failed, NodeFacts, Port, Prepared, Ticket
from runink.names import RunId, SliceId
from runink.pipes.batch import Batch
from runink.steps.chain import run_chain

TICKET = Ticket(RunId("0" * 26), SliceId("silver"), 1)
ENDED = object()
KEY = bytes(range(32))


class ProducerFailed(Exception):
    pass


@dataclass
class MemorySource:
    rows: list[dict[str, Any]]
    size: int
    on_batch: Callable[[int], None] = lambda number: None
    schema: pa.Schema | None = None
    closed: bool = False

    def batches(self) -> Iterator[Batch]:
        table = pa.Table.from_pylist(self.rows, schema=self.schema)
        cut = table.to_batches(max_chunksize=self.size) or [
            pa.RecordBatch.from_arrays(
                [pa.array([], f.type) for f in table.schema], schema=table.schema
            )
        ]
        for number, data in enumerate(cut):
            self.on_batch(number)
            yield Batch(data, "data/in.csv", number * self.size)

    def close(self) -> None:
        self.closed = True


@dataclass
class MemorySink:
    node: str
    batches: list[pa.RecordBatch] = field(default_factory=list)
    on_write: Callable[[Batch], None] = lambda batch: None
    state: str = "open"
    prepare_error: Exception | None = None

    def write(self, batch: Batch) -> None:
        self.on_write(batch)
        self.batches.append(batch.data)

    def prepare(self) -> Prepared:
        if self.prepare_error:
            raise self.prepare_error
        assert self.state == "open", "a writer is prepared once"
        self.state = "prepared"
        rows = sum(batch.num_rows for batch in self.batches)
        return Prepared(self.node, "", "file", "", "", "overwrite", rows, 10, "")

    def abort(self) -> None:
        self.state = "aborted"

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [row for batch in self.batches for row in batch.to_pylist()]


class MemoryPipe:
    """Both ends; `room` batches fit in."""

    def __init__(self, room: int = 1) -> None:
        self.queue: queue.Queue[Any] = queue.Queue(room)
        self.failed_with: str | None = None
        self.ended = False
        self.closed = False

    def write(self, batch: Batch) -> None:
        self.queue.put(batch)

    def end(self) -> None:
        self.ended = True
        self.queue.put(ENDED)

    def fail(self, text: str) -> None:
        self.failed_with = text
        self.queue.put(ProducerFailed(text))

    def close(self) -> None:
        self.closed = True

    def __iter__(self) -> Iterator[Batch]:
        while (item := self.queue.get()) is not ENDED:
            if isinstance(item, Exception):
                raise item
            yield item


@dataclass
class NotNegative:
    """A contract of one rule: no column `n` below nothing."""

    @dataclass
    class Rejected:
        rows: pa.Array
        original: pa.RecordBatch
        reasons: pa.Array
        counts: dict[tuple[str, str], int]
        examples: dict[tuple[str, str], Example]

    @dataclass
    class Checked:
        good: pa.RecordBatch
        rejected: Any

    def seen(self) -> None:
        return None

    def check(self, batch: pa.RecordBatch, seen: None) -> Any:
        bad = pc.less(batch.column("n"), 0)
        rows = pc.indices_nonzero(bad).cast(pa.int64())
        rejected = None
        if len(rows):
            reason = {"field": "n", "rule": "ge", "message": "n is negative"}
            kind = pa.list_(
                pa.struct([("field", pa.string()), ("rule", pa.string()), ("message", pa.string())])
            )
            reasons = pa.array([[reason]] * len(rows), kind)
            key = ("n", "ge")
            counts, examples = {key: len(rows)}, {key: Example(rows[0].as_py(), "n is negative")}
            rejected = self.Rejected(rows, batch.take(rows), reasons, counts, examples)
        return self.Checked(batch.filter(pc.invert(bad)), rejected)


@dataclass
class World:
    """Keeps what a chain opened, by the node's id."""

    sources: dict[str, MemorySource] = field(default_factory=dict)
    sinks: dict[str, MemorySink] = field(default_factory=dict)
    pipes: dict[int, MemoryPipe] = field(default_factory=dict)
    published: list[str] = field(default_factory=list)
    discarded: list[str] = field(default_factory=list)
    left: list[tuple[str, int]] = field(default_factory=list)
    neighbour_failures: tuple[type[BaseException], ...] = (ProducerFailed,)

    def source(self, node: Source, *, root: Path, staged: tuple[str, ...], stdin_fd: int | None):
        return self.sources[node.id]

    def sink(self, node: Sink, *, root: Path, ticket: Ticket, stdout_fd: int | None):
        return self.sinks.setdefault(node.id, MemorySink(node.id))

    def plan(self, spec: ContractSpec) -> NotNegative:
        return NotNegative()

    def dead(self, rejected: Any, *, batch: Batch, check: Any, ticket: Ticket) -> Batch:
        return Batch(rejected.original, batch.origin, batch.row)

    def reader(self, descriptor: int, *, port: Port) -> MemoryPipe:
        return self.pipes[descriptor]

    def writer(self, descriptor: int, *, port: Port, memory_bytes: int) -> MemoryPipe:
        return self.pipes[descriptor]

    def hidden(self, data: pa.RecordBatch, fields: tuple[FieldSpec, ...]) -> pa.RecordBatch:
        return hidden(data, fields, KEY)

    def publish(self, prepared: Prepared) -> None:
        self.published.append(prepared.sink)

    def discard(self, prepared: Prepared) -> None:
        self.discarded.append(prepared.sink)

    def leftovers(self, node: Sink, *, root: Path, ticket: Ticket) -> None:
        self.left.append((node.id, ticket.attempt))


def source(name: str) -> Source:
    return Source(name, "s", f"csv://{name}", Format.CSV, name)


def sink(name: str, **changes: Any) -> Sink:
    return Sink(name, "s", f"parquet://{name}", Format.PARQUET, name, **changes)


def function(name: str, each: Each = Each.BATCH, *sides: str, takes_input: bool = True) -> Step:
    return Step(name, "s", Function("steps/f.py", name, each, sides, takes_input))


def sql(name: str, query: str) -> Step:
    return Step(name, "s", Sql(query))


def program(name: str, *command: str) -> Step:
    return Step(name, "s", Executable(command))


def chained(*names: str) -> tuple[Link, ...]:
    return tuple(Link(a, b, MAIN) for a, b in pairwise(names))


def job_of(
    tmp_path: Path,
    nodes: tuple[Node, ...],
    links: tuple[Link, ...],
    *,
    inputs: tuple[Port, ...] = (),
    outputs: tuple[Port, ...] = (),
    cpus: int = 1,
) -> ChainJob:
    folder = str(tmp_path)
    return ChainJob(TICKET, folder, folder, folder, nodes, links, inputs, outputs, cpus=cpus)


def run(
    job: ChainJob, world: World, report: Callable[[Any], None] = lambda progress: None
) -> Done | Failed:
    return run_chain(job, range(100), report, doors=world)


# What several tests of chains run.

CONTRACT = ContractSpec("Number", "1.0.0", (FieldSpec("n", Kind.INT, ge=0),))
NUMBERS = [{"n": n} for n in range(10)]
ADD = """
@step(each="batch")
def add(batch):
    return batch.set_column(0, "n", pc.add(batch.column("n"), 100))
"""
BOTH_WAYS = pytest.mark.parametrize("cpus", [1, 2])


def world_of(rows: list[dict], size: int = 2, **more: MemorySource) -> World:
    return World(sources={"in": MemorySource(rows, size), **more})


def check(name: str = "check", policy: OnInvalid = OnInvalid.DEAD_LETTER) -> Check:
    return Check(name, "s", CONTRACT, policy)


def facts(result: Done | Failed) -> dict[str, NodeFacts]:
    return {node.node: node for node in result.nodes}


SIDE = """
@step(each="batch")
def named(batch, names: dict):
    return batch.append_column("name", pa.array([names["name"][names["n"].index(n)] for n in batch.column("n").to_pylist()]))
@step(each="input")
def names(table):
    return table.append_column("name", pa.array([f"#{n}" for n in table.column("n").to_pylist()]))
"""
