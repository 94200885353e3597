"""The compiled pipeline: the value that compiler, scheduler, agent and slices share.

    Dag
      nodes     what is done: Source, Check, Step, Sink; every id is unique in the pipeline
      links     who hands batches to whom: (source, target, role)
      slices    which nodes share a process, and what that process asks for
      gangs     which slices are joined by pipes, so that they start and end together

A link inside a slice is a hand-over in memory, a link between two slices of a gang is a pipe.  A `Source` with `staged_from` reads what a
`Sink` of the same run has prepared: that ends the gang, and the reader's gang starts when the writer's has prepared.
Ids: a node is `scenario.name`, a slice is named by its scenario and, where that has several, by the node it begins with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from enum import Enum
from functools import cached_property

import msgspec
from msgspec.structs import replace as changed

from runink.calendars import Schedule
from runink.capabilities import EGRESS
from runink.contracts.expected import Golden
from runink.contracts.fields import ContractSpec, OnDrift
from runink.contracts.hidden import Clearance
from runink.expressions import Expression
from runink.graph_index import GraphIndex
from runink.names import HerdName, PipelineName
from runink.needs import Need
from runink.networks import Network
from runink.tries import Retry
from runink.wants import NOTHING_MORE, Wants

MAIN = "main"  # the stream that a node works on; every other role is a side input's name
REJECTED = "rejected"  # a check's other output, towards its dead letter
STANDARD = "-"  # the path of standard input and output
DEFAULT_CPU_M = 100
DEFAULT_MEMORY_BYTES = 64 << 20
GANG_SLICES_MAX = 500  # a gang is placed in one transaction of the Barn, two keys for each slice


class Format(Enum):
    CSV = "csv"
    JSONL = "jsonl"
    JSON = "json"
    PARQUET = "parquet"
    ARROW = "arrow"


class Mode(Enum):
    """What a sink does about what is there: replace it, put a new part beside it, or refuse."""

    OVERWRITE = "overwrite"
    APPEND = "append"
    ERROR = "error"


class Each(Enum):
    """What a function is given at a time."""

    RECORD = "record"
    BATCH = "batch"
    STREAM = "stream"
    INPUT = "input"


class OnInvalid(Enum):
    """What becomes of a row that breaks its contract."""

    DEAD_LETTER = "deadletter"
    FAIL = "fail"
    TAG = "tag"


class Resources(msgspec.Struct, frozen=True):
    """What a slice asks for: processor time in milli-cores, memory in bytes."""

    cpu_m: int = DEFAULT_CPU_M
    memory_bytes: int = DEFAULT_MEMORY_BYTES


class Limit(msgspec.Struct, frozen=True):
    """An amount that a process may have at most, and the line of the `@requires` or `@timeout` that says so."""

    amount: int
    line: int


class Limits(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a process is held to because its pipeline says so: milli-cores, bytes of memory and of its own /tmp, processes and threads, bytes a second of each disk.

    `wall_time` is in milliseconds.  What nobody asks for is no limit: the defaults of `Resources` only say how much room a slice takes on a node.
    """

    cpu: Limit | None = None
    memory: Limit | None = None
    processes: Limit | None = None
    disk: Limit | None = None
    io: Limit | None = None
    wall_time: Limit | None = None

    def over(self, wider: Limits) -> Limits:
        """Return these, and where they say nothing those of the whole scenario."""
        return Limits(
            self.cpu or wider.cpu,
            self.memory or wider.memory,
            self.processes or wider.processes,
            self.disk or wider.disk,
            self.io or wider.io,
            self.wall_time or wider.wall_time,
        )

    def unplaced(self) -> Limits:
        """Return them without the lines that say so."""
        found = (self.cpu, self.memory, self.processes, self.disk, self.io, self.wall_time)
        return Limits(*(None if one is None else changed(one, line=0) for one in found))

    @property
    def amounts(self) -> tuple[int, ...]:
        """What is asked for by `@requires`, wherever that stands: cpu, memory, processes, disk, io, 0 where nothing is."""
        found = (self.cpu, self.memory, self.processes, self.disk, self.io)
        return tuple(one.amount if one is not None else 0 for one in found)


UNLIMITED = Limits()


class Source(msgspec.Struct, frozen=True, tag="source", omit_defaults=True):
    """Where rows come from. `path` is the URI's, relative to the project (`-` is standard input); `alias` names a side input.

    `nulls` are the tokens that mean nothing in a text format. `contract` is the one checked right behind: a text
    format is parsed straight to its physical types where that loses no error. `staged_from` is the id of the sink of this run that it reads,
    a `checkpoint` where nobody wrote either of them (`checkpoints.py`).
    """

    id: str
    scenario: str
    uri: str
    format: Format
    path: str
    alias: str = ""
    nulls: tuple[str, ...] = ("",)
    delimiter: str = ","
    contract: ContractSpec | None = None
    staged_from: str = ""
    checkpoint: bool = False


class Check(msgspec.Struct, frozen=True, tag="check", omit_defaults=True):
    """A contract enforced on what flows through. `is_typed` says that its input comes from a format that has types of its own: text is not anything there.

    `hides` are those of its fields of which no message shows a value though the contract does not say so: what comes in them is not for everybody.
    """

    id: str
    scenario: str
    contract: ContractSpec
    on_invalid: OnInvalid = OnInvalid.DEAD_LETTER
    on_drift: OnDrift = OnDrift.NOTE
    is_typed: bool = False
    hides: tuple[str, ...] = ()


class Function(msgspec.Struct, frozen=True, tag="function", omit_defaults=True):
    """A Python function of the bundle: file relative to the project, its name there, and what it is given at a time.

    `parameters` are the names of its arguments behind the first: side inputs by their alias. `takes_input` is false for a step without a first argument.
    `maps` says of which columns each column that it gives is made (`*`: all others are passed on as they come), where the function says so.
    """

    file: str
    name: str
    each: Each
    parameters: tuple[str, ...] = ()
    takes_input: bool = True
    maps: dict[str, tuple[str, ...]] | None = None


class Sql(msgspec.Struct, frozen=True, tag="sql"):
    """One query over the whole stream `input`; side inputs are tables under their names."""

    query: str


class Executable(msgspec.Struct, frozen=True, tag="executable", omit_defaults=True):
    """A program that reads a stream on stdin and writes one on stdout, in one format: ARROW, JSONL or CSV."""

    command: tuple[str, ...]
    format: Format = Format.JSONL


class Step(msgspec.Struct, frozen=True, tag="step", omit_defaults=True):
    id: str
    scenario: str
    action: Function | Sql | Executable
    modules: tuple[
        str, ...
    ] = ()  # heavy libraries that it will import (polars, duckdb): preloaded where that helps


class Sink(msgspec.Struct, frozen=True, tag="sink", omit_defaults=True):
    """Where rows go. `when` keeps only rows for which it is true; `dead_letter` marks the one that takes rejected rows.

    `clearance` is nothing where all that comes may be written as it is. `role` is whom it is written for, nothing where that is nobody in particular.
    A `checkpoint` is never published.
    """

    id: str
    scenario: str
    uri: str
    format: Format
    path: str
    mode: Mode = Mode.OVERWRITE
    when: Expression | None = None
    dead_letter: bool = False
    contract: ContractSpec | None = None
    clearance: Clearance | None = None
    checkpoint: bool = False
    role: str = ""


Node = Source | Check | Step | Sink


def reads_standard(nodes: Iterable[Node]) -> bool:
    """Say whether any of them reads standard input."""
    return any(isinstance(node, Source) and node.path == STANDARD for node in nodes)


def writes_standard(nodes: Iterable[Node]) -> bool:
    """Say whether any of them writes to standard output."""
    return any(isinstance(node, Sink) and node.path == STANDARD for node in nodes)


class Link(msgspec.Struct, frozen=True, omit_defaults=True):
    """`source` hands its batches to `target`. `role` is MAIN, REJECTED, or the name of a side input.

    `spool` marks a main input that shares an ancestor with a side input of the same node: it is read at once and kept
    on disk until the side inputs are whole, or both would wait for each other for ever.
    """

    source: str
    target: str
    role: str = MAIN
    spool: bool = False


class SliceSpec(msgspec.Struct, frozen=True):
    """Nodes that share one process, in the order in which batches pass them; `why` says how they came to be together.

    `limits` are what its steps are held to because they ask for it by themselves.
    `network` is what they ask for, and `reaches` are the places elsewhere that its sources and sinks read and write: together
    they decide on the node which network it has (`networks.granted`).
    """

    id: str
    scenario: str
    gang: str
    nodes: tuple[str, ...]
    resources: Resources
    labels: tuple[str, ...] = ()
    why: str = ""
    network: Network = Network.NONE
    reaches: tuple[str, ...] = ()
    limits: Limits = UNLIMITED
    asks: Wants | msgspec.UnsetType = msgspec.UNSET

    @property
    def wants(self) -> Wants:
        """What it asks of its place beside room and labels: unset where that is nothing, as in `Dag`."""
        return self.asks or NOTHING_MORE

    @property
    def requires(self) -> tuple[str, ...]:
        """What its node must have because its steps ask for it (`capabilities.py`)."""
        return (EGRESS,) if self.network is Network.EGRESS else ()


class Assertion(msgspec.Struct, frozen=True, omit_defaults=True):
    """What must be true of a scenario's figures (`records`, `rejected`, `rejected_ratio`) before its run publishes.

    `of` are the nodes whose rows together are the stream that figures of fields (`null_ratio(x)`) are about, if there are such figures.
    """

    scenario: str
    text: str
    expression: Expression
    of: tuple[str, ...] = ()


class Prose(msgspec.Struct, frozen=True, omit_defaults=True):
    """A sentence or another line for people. `became` says what it is compiled to; without it nothing enforces the line, and `runi explain` says so."""

    scenario: str
    text: str
    line: int
    became: str = ""


class Scenario(msgspec.Struct, frozen=True, omit_defaults=True):
    """A scenario's id (its module's layer, or its title made a name) and title. `metadata` is kept and shown, and enforced by nothing."""

    id: str
    title: str
    module: dict[str, str]
    line: int
    metadata: dict[str, str] = {}


class Facts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is to be known of a node before it runs: for admission, placement and governance.

    `resources`, `labels` and `network` are its process's. `secrets` are the names of those it refers to. `clearances` are the kinds of personal data that may
    reach it. `inputs` and `outputs` are datasets by their URIs at the pipeline's ends,
    nodes by their ids within it. `code` is the file and function of a step (`steps/x.py:clean`), the program, or `sql`; `meta` what `@meta` says.
    """

    node: str
    resources: Resources = Resources()
    labels: tuple[str, ...] = ()
    network: Network = Network.NONE
    secrets: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()
    clearances: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    contract: str = ""
    code: str = ""
    meta: dict[str, str] = {}


class Dag(msgspec.Struct, frozen=True, dict=True):
    """A pipeline, compiled. Equal files and parameters give equal bytes, so `hash` names it. `facts` has one for each node, in their order.

    `schedule` is unset where the file has none, so that the bytes of such a pipeline say nothing of it; so is `retries`, which
    says by node what is tried again when it fails, `deadline`, milliseconds from its submission until a run must have ended, and `priority`: more is sooner.
    """

    pipeline: PipelineName
    herd: HerdName
    title: str
    file: str
    scenarios: tuple[Scenario, ...]
    nodes: tuple[Node, ...]
    links: tuple[Link, ...]
    slices: tuple[SliceSpec, ...]
    assertions: tuple[Assertion, ...] = ()
    goldens: tuple[Golden, ...] = ()
    prose: tuple[Prose, ...] = ()
    parameters: dict[str, str] = {}
    facts: tuple[Facts, ...] = ()
    metadata: dict[str, str] = {}
    schedule: Schedule | msgspec.UnsetType = msgspec.UNSET
    retries: dict[str, Retry] | msgspec.UnsetType = msgspec.UNSET
    deadline: Limit | msgspec.UnsetType = msgspec.UNSET
    priority: int | msgspec.UnsetType = msgspec.UNSET

    @property
    def hash(self) -> str:
        """SHA-256 over the canonical JSON without the numbers of lines, 64 hex digits: where a line stands changes nothing of what it means."""
        return hashlib.sha256(msgspec.json.encode(_unplaced(self), order="sorted")).hexdigest()

    @cached_property
    def index(self) -> GraphIndex[Node, SliceSpec, Link]:
        sources = (node for node in self.nodes if isinstance(node, Source))
        staged = {one.id: one.staged_from for one in sources if one.staged_from}
        return GraphIndex(self.nodes, self.slices, self.links, staged)

    def node(self, node_id: str) -> Node:
        return self.index.nodes[node_id]

    def slice_of(self, node_id: str) -> SliceSpec:
        return self.index.homes[node_id]

    def pipes(self) -> tuple[Link, ...]:
        """Return the links that cross from one slice to another, in the order of `links`."""
        return self.index.pipes

    def gangs(self) -> Mapping[str, tuple[SliceSpec, ...]]:
        """Return the slices of each gang, gangs in the order of their first slice."""
        return self.index.gangs

    def gang_needs(self) -> Mapping[str, frozenset[str]]:
        """Return for each gang the gangs that must have prepared their output before it may start."""
        return self.index.needs


def _unplaced(dag: Dag) -> Dag:
    """Return the pipeline as if all of it stood in one line."""
    return changed(
        dag,
        scenarios=tuple(changed(one, line=0) for one in dag.scenarios),
        prose=tuple(changed(one, line=0) for one in dag.prose),
        slices=tuple(changed(one, limits=one.limits.unplaced()) for one in dag.slices),
        deadline=changed(dag.deadline, line=0) if dag.deadline else dag.deadline,
    )
