"""What is answered to who asks why something waits, or why it is where it is: plain values, for people and programs."""

from __future__ import annotations

import msgspec

from runink.names import HerdName, NodeId, RunId


class Candidate(msgspec.Struct, frozen=True):
    """A node that fits, what it costs in thousandths and of what that is made; the cheapest is taken."""

    node: NodeId
    cost: int
    of: dict[str, int] = {}


class PartAnswer(msgspec.Struct, frozen=True):
    """One part of a gang on the nodes as they were before anything new was placed: by which rule they refuse it, how many do not. Together they are all nodes.

    `remedies` say in words what would make it fit.
    """

    counts: dict[str, int]
    fitting: int
    candidates: tuple[Candidate, ...] = ()
    remedies: tuple[str, ...] = ()


class AwaitedNodes(msgspec.Struct, frozen=True):
    """Nodes that are away and that a gang would fit with: the first of them was lost at `lost_ms` (0: just now), and they are waited for until `back_ms` (0: not known yet)."""

    nodes: tuple[NodeId, ...]
    lost_ms: int
    back_ms: int


class ShutNode(msgspec.Struct, frozen=True):
    """A node that takes nothing new, and how it stands: `suspect`, `cordoned` or `draining`."""

    node: NodeId
    state: str


class MovedFrom(msgspec.Struct, frozen=True):
    """That a gang was placed on these nodes first, one after the other, and moved `by` packing or a solver before that was committed.

    All that left the last of them with it cost `cost_before` there and costs `cost_after` where it is, in thousandths; `more` others that waited were let in with it.
    """

    nodes: tuple[NodeId, ...]
    by: str
    cost_before: int
    cost_after: int
    more: int = 0


class GangAnswer(msgspec.Struct, frozen=True):
    """What is decided of one gang, and why.

    `stands` is `placed`, `waiting`, or `held` for one that nobody places at the moment, of which `text` says why.  `nodes` are where it goes, one for each part.  `counts` say for each rule
    how many nodes it is that refuse, as the plan leaves the cluster; together they are all nodes.  `position` is its place among the `queue` units that wait, `ahead` are the first of those before it.
    `awaits` are nodes that are away, and that it waits for because it would fit there and nowhere else; `shut` are those that are there, and take nothing new. `remark` says why it does not stand beside a gang that it was to stand beside,
    or what of the answer is not known; `moved` that the finish of the plan has put it elsewhere than its turn had.
    `kept` are nodes that are kept for it, from `kept_ms` on if that is known, `stops` gangs that are stopped for it.
    `decision` is the revision of the Barn that was decided on and `decided_ms` when: of a placed gang those of the decision that placed it.
    """

    gang: str
    slices: tuple[str, ...]
    stands: str
    text: str = ""
    priority: int = 0
    nodes: tuple[NodeId, ...] = ()
    counts: dict[str, int] = {}
    is_final: bool = False
    position: int = 0
    queue: int = 0
    ahead: tuple[str, ...] = ()
    kept: tuple[NodeId, ...] = ()
    kept_ms: int = 0
    stops: tuple[str, ...] = ()
    parts: tuple[PartAnswer, ...] = ()
    decision: int = 0
    decided_ms: int = 0
    awaits: AwaitedNodes | None = None
    shut: tuple[ShutNode, ...] = ()
    remark: str = ""
    moved: MovedFrom | None = None


class Difference(msgspec.Struct, frozen=True):
    """What becomes of a unit as things are, and what would become of it."""

    unit: str
    before: str
    after: str


class WhyAnswer(msgspec.Struct, frozen=True):
    """Why the gangs of a run wait or are where they are. `nodes` is how many nodes there are now, `differences` what changes that were asked about would change."""

    run: RunId
    herd: HerdName
    state: str
    waits_for: str
    nodes: int
    revision: int
    gangs: tuple[GangAnswer, ...]
    if_: tuple[str, ...] = msgspec.field(default=(), name="if")
    differences: tuple[Difference, ...] = ()


class PlacedUnit(msgspec.Struct, frozen=True):
    unit: str
    nodes: tuple[NodeId, ...]


class WaitingUnit(msgspec.Struct, frozen=True):
    unit: str
    position: int
    counts: dict[str, int]
    text: str


class MovedUnit(msgspec.Struct, frozen=True):
    unit: str
    moved: MovedFrom


class StoppedUnit(msgspec.Struct, frozen=True):
    unit: str
    by: str


class Replayed(msgspec.Struct, frozen=True):
    """A decision of the past, made again. `digest` is what came out, `stored` what came out then. `finish` says how the plan was finished, and `moved` what of it that has moved."""

    revision: int
    decided_ms: int
    seed: int
    digest: str
    stored: str
    placed: tuple[PlacedUnit, ...]
    waiting: tuple[WaitingUnit, ...]
    stopped: tuple[StoppedUnit, ...]
    finish: str = ""
    moved: tuple[MovedUnit, ...] = ()
