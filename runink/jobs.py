"""What a slice is to do and what it answers: plain values, free of Arrow, shared by agent and slice.

A slice gets one job, in its document (`documents.py`), does it and ends.  Descriptors travel beside the job in the launch request; the job names them by their
place in that list, because their numbers differ on the two sides.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final, NamedTuple

import msgspec

from runink.contracts.differences import GoldenResult
from runink.contracts.expected import Golden
from runink.dag import Link, Node, Sink
from runink.errors import WireError
from runink.names import HerdName, NodeId, RunId, SliceId
from runink.quantities import Finite


class Transport(Enum):
    """What carries a link between two slices."""

    PIPE = "pipe"
    SLOTS = "slots"  # shared memory: nothing is copied on the way to the reader
    WIRE = "wire"  # a pipe on each side, and a stream between their nodes' relays


class Seat(NamedTuple):
    """Where one end of a link is: its herd, and its node as far as that is known."""

    herd: HerdName
    node: NodeId | None


def transport_between(writer: Seat, reader: Seat) -> Transport:
    """Return what carries a link between these seats: only slices of one herd share memory, and only on one node can they."""
    if writer.node != reader.node:
        return Transport.WIRE
    return Transport.SLOTS if writer == reader else Transport.PIPE


class Port(msgspec.Struct, frozen=True):
    """One end of an edge: the link it carries, its place in the list of descriptors, the fingerprint both ends expect, and what it is made of."""

    link: Link
    descriptor: int
    fingerprint: str = ""
    transport: Transport = Transport.PIPE


STATE_FOLDER: Final = (
    ".runink"  # in the project, where nobody says another: what belongs to the cluster
)
ASIDE_FOLDER: Final = (
    f"{STATE_FOLDER}/aside"  # in the project, for what cannot stand beside its target
)


class Ticket(msgspec.Struct, frozen=True):
    """Who writes: names what a sink writes aside, so that leftovers of a killed slice are found without its report."""

    run: RunId
    slice: SliceId
    attempt: int


class Prepared(msgspec.Struct, frozen=True):
    """Output written aside and synced, invisible until it is published.

    `kind` is `file` (published by a rename), `multipart` (by completing the upload, whose id and parts are in `extra`) or `stream` (standard output:
    shown already, nothing to publish). `aside` and `target` are absolute paths or URIs.
    """

    sink: str
    uri: str
    kind: str
    aside: str
    target: str
    mode: str
    rows: int
    bytes: int
    sha256: str
    extra: dict[str, Any] = {}


class Watched(msgspec.Struct, frozen=True):
    """A field of a node's rows that an assertion asks about: always how many have no value, and where that is asked how many differ, or which is the newest."""

    field: str
    distinct: bool = False
    newest: bool = False


class FieldFacts(msgspec.Struct, frozen=True):
    """What a node's rows hold in one field. `distinct` is nothing where there were more values than are counted; `newest_us` is since 1970, nothing where there is none."""

    field: str
    rows: int
    nulls: int
    distinct: int | None = 0
    newest_us: int | None = None


class ChainJob(msgspec.Struct, frozen=True, tag="chain", omit_defaults=True):
    """Run these nodes, in this order. `links` are all that touch them; `inputs` and `outputs` those from and to other slices.

    `project` is the folder that relative paths start from, `bundle` the folder of the run's code, `scratch` a private folder for spooling,
    `environment` that of the packages which the project brings along, if it does.
    `staged` maps a source that reads another slice's prepared output to the absolute paths or URIs of it.
    """

    ticket: Ticket
    project: str
    bundle: str
    scratch: str
    nodes: tuple[Node, ...]
    links: tuple[Link, ...]
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()
    staged: dict[str, tuple[str, ...]] = {}
    stdin: int | None = None  # places in the list of descriptors, where a source or sink is `-`
    stdout: int | None = None
    cpus: int = 1  # threads that libraries may use
    memory_bytes: int = (
        0  # what the slice asked for: engines that can spill to `scratch` before they take more
    )
    memory_is_limit: bool = False  # and it is ended if it takes more
    environment: str = ""
    watched: dict[str, tuple[Watched, ...]] = {}  # by node


class PublishJob(msgspec.Struct, frozen=True, tag="publish", omit_defaults=True):
    """Make prepared outputs visible, then take others away: `discard`, and what slices with these tickets left aside for `sinks`. All of it is idempotent."""

    ticket: Ticket
    project: str
    publish: tuple[Prepared, ...] = ()
    discard: tuple[Prepared, ...] = ()
    sinks: tuple[Sink, ...] = ()
    tickets: tuple[Ticket, ...] = ()


class CompareJob(msgspec.Struct, frozen=True, tag="compare", omit_defaults=True):
    """Compare prepared outputs with the golden files of their sinks, and change neither; with `update`, write the files from the outputs."""

    ticket: Ticket
    project: str
    prepared: tuple[Prepared, ...]
    sinks: tuple[Sink, ...]
    goldens: tuple[Golden, ...]
    update: bool = False


SliceJob = ChainJob | PublishJob | CompareJob


class NodeFacts(msgspec.Struct, frozen=True):
    """What one node did. `busy_s` is the time spent in it, without its neighbours'; for a link between slices see `EdgeFacts`.

    `drifted` are rows that came in a shape which leaves the check's contract, whatever became of them.
    """

    node: str
    rows_in: int = 0
    rows_out: int = 0
    rejected: int = 0
    batches: int = 0
    bytes: int = 0
    busy_s: Finite = 0.0
    drifted: int = 0
    fields: tuple[FieldFacts, ...] = ()


class EdgeFacts(msgspec.Struct, frozen=True):
    """What went through one link. A link inside a slice has no transport."""

    source: str
    target: str
    role: str
    rows: int
    batches: int
    bytes: int
    transport: Transport | None = None


class Rejections(msgspec.Struct, frozen=True):
    """How many rows a check rejected for one reason, and the reason's text (`dep_time is missing`)."""

    node: str
    field: str
    rule: str
    text: str
    rows: int


class Drifted(msgspec.Struct, frozen=True):
    """How many rows came to a check in a shape that departs from its contract in one way (`contracts/drift.py`): where first, and what departs."""

    node: str
    column: str
    departure: str
    text: str
    rows: int
    origin: str
    is_allowed: bool = False


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The job is done; nothing of it is visible yet. `schemas` maps a node to its output's columns and types, as text."""

    nodes: tuple[NodeFacts, ...] = ()
    edges: tuple[EdgeFacts, ...] = ()
    rejections: tuple[Rejections, ...] = ()
    prepared: tuple[Prepared, ...] = ()
    schemas: dict[str, tuple[tuple[str, str], ...]] = {}
    drifts: tuple[Drifted, ...] = ()


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The job failed. `step` is the node, `traceback` the step's own lines (none of ours), `position` the batch's place in its source.

    `consequence` is true where this slice only saw a neighbour fail: the neighbour's failure is the one to tell.
    `goldens` are those that did not hold, where goldens were compared.
    """

    error: WireError
    step: str = ""
    traceback: tuple[str, ...] = ()
    position: str = ""
    consequence: bool = False
    nodes: tuple[NodeFacts, ...] = ()
    rejections: tuple[Rejections, ...] = ()
    prepared: tuple[Prepared, ...] = ()  # the dead letter is kept
    goldens: tuple[GoldenResult, ...] = ()
    drifts: tuple[Drifted, ...] = ()


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """How far the nodes are."""

    nodes: tuple[NodeFacts, ...]


class TokenWanted(msgspec.Struct, frozen=True, tag="token_wanted"):
    """The slice asks for its token, or for another one where the last was not taken. The answer has the same number."""

    number: int
    anew: bool = False


class TokenGiven(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the agent answers: a token and for how long it is good yet, or why there is none."""

    token: str = ""
    good_s: Finite = 0.0
    error: WireError | None = None
    number: int = 0

    def __repr__(self) -> str:
        return f"TokenGiven(number={self.number}, good_s={self.good_s}, error={self.error})"


Report = Done | Failed | Progress | TokenWanted
