"""Operations on the cluster's nodes and members, and on what its scheduler decided."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from runink.dag import Resources
from runink.identity.vocabulary import Resource, Verb
from runink.machines import Machine, Reserved
from runink.operations.answers import Kind
from runink.operations.declarations import Asked, AskedEvents, AskedPage, Method, Operation
from runink.operations.patterns import NodeText, exact
from runink.runs.records import Standing
from runink.scheduling.answers import Replayed

RevisionText = Annotated[
    str, msgspec.Meta(pattern=exact("[1-9][0-9]{0,15}"), description="A revision of the Barn.")
]


class ListNodes(AskedPage, frozen=True, kw_only=True):
    pass


class OfNode(Asked, frozen=True, kw_only=True):
    node: NodeText


class CordonNode(Asked, frozen=True, kw_only=True):
    """`only_if` is what must be said of the node now, else nothing changes: who has drained it and leaves takes nothing back of what others have said meanwhile."""

    node: NodeText
    only_if: Standing | None = None


class ListNodePlacements(AskedPage, frozen=True, kw_only=True):
    """Of herds in which the caller may see placements."""

    node: NodeText


class ListMembers(AskedPage, frozen=True, kw_only=True):
    pass


class AskStatus(Asked, frozen=True, kw_only=True):
    pass


class OfDecision(Asked, frozen=True, kw_only=True):
    decision: RevisionText


class NodeSummary(msgspec.Struct, frozen=True):
    """A node in a line.

    `state` is ready, suspect (since `since_ms`) or lost; one that is lost is waited for until `back_ms`. `standing` is cordoned or draining, nothing for a common one.
    `herds` are those whose slices alone it takes, if there are any; `near` are stores that it is near to. `slices` is how many it is to run now, `troubles` how many there were lately and `trouble` the last of them. Times are milliseconds of the Unix epoch, 0 for none.
    """

    node: str
    state: str
    since_ms: int
    back_ms: int
    standing: str | None
    slices: int
    capacity: Resources | None
    labels: tuple[str, ...]
    herds: tuple[str, ...]
    near: tuple[str, ...]
    troubles: int
    trouble: str
    revision: int


class WatchNodes(AskedEvents, frozen=True):
    """A list's `revision` is where a watch goes on from."""


class NodeChange(msgspec.Struct, frozen=True):
    """A node of which something was changed in this revision, as it is `now`: nothing if it is forgotten."""

    node: str
    revision: int
    now: NodeSummary | None


class NodeDocument(NodeSummary, frozen=True):
    """All that is known of a node. What stands in its own record is empty for one that is lost.

    `used` is what its slices ask for together, of what it offers (`capacity`). `left` is how many slices keep one that is draining from being empty, nothing for another:
    what runs there, what ends there, files that living runs have there.
    """

    used: Resources
    left: int | None
    slices_max: int
    gpus: int
    disk_bytes: int
    visible: tuple[str, ...] | None
    reserved: Reserved | None
    machine: Machine | None
    capabilities: dict[str, str]
    missing: dict[str, str]
    users: dict[str, str]
    streams: str
    clock_skew_ms: int
    told_ms: int


class StandingDocument(msgspec.Struct, frozen=True):
    """What is said of a node: cordoned, draining, or nothing."""

    node: str
    standing: str | None


class PlacementDocument(msgspec.Struct, frozen=True):
    """That a node is to run a slice. One that `is_leaving` is being ended."""

    node: str
    herd: str
    run: str
    slice: str
    gang: str
    attempt: int
    is_leaving: bool


class MemberDocument(msgspec.Struct, frozen=True):
    """A member of the Barn. `role` is leader, voter or learner; `address` is where it listens."""

    member: int
    role: str
    address: str


class StatusDocument(msgspec.Struct, frozen=True):
    """How the group of members is, as the member `member` knows it. `lead` is 0 where nobody leads."""

    cluster: str
    term: int
    lead: int
    member: int
    applied_index: int
    committed_index: int
    members: tuple[MemberDocument, ...]


class ReplayDocument(msgspec.Struct, frozen=True):
    """A decision made again. `is_same` says that what came out is what came out then."""

    is_same: bool
    decision: Replayed


LIST: Final = Operation(
    name="nodes.list",
    method=Method.GET,
    path="/nodes",
    request=ListNodes,
    answer=NodeSummary,
    kind=Kind.PAGE,
    verb=Verb.LIST,
    resource=Resource.NODES,
    summary="List the nodes, also those that were lost lately.",
)
GET: Final = Operation(
    name="nodes.get",
    method=Method.GET,
    path="/nodes/{node}",
    request=OfNode,
    answer=NodeDocument,
    verb=Verb.GET,
    resource=Resource.NODES,
    summary="Tell all that is known of a node.",
)
CORDON: Final = Operation(
    name="nodes.cordon",
    method=Method.POST,
    path="/nodes/{node}/cordon",
    request=CordonNode,
    answer=StandingDocument,
    verb=Verb.UPDATE,
    resource=Resource.NODES,
    summary="Give a node nothing new. What runs there goes on.",
)
DRAIN: Final = Operation(
    name="nodes.drain",
    method=Method.POST,
    path="/nodes/{node}/drain",
    request=OfNode,
    answer=StandingDocument,
    verb=Verb.UPDATE,
    resource=Resource.NODES,
    summary="Empty a node: its slices end with their grace and begin anew elsewhere.",
    description="It is empty when `left` of the node is 0, and gets nothing new until it is uncordoned.",
)
UNCORDON: Final = Operation(
    name="nodes.uncordon",
    method=Method.POST,
    path="/nodes/{node}/uncordon",
    request=OfNode,
    answer=StandingDocument,
    verb=Verb.UPDATE,
    resource=Resource.NODES,
    summary="Let a node get work again.",
)
PLACEMENTS: Final = Operation(
    name="nodes.placements.list",
    method=Method.GET,
    path="/nodes/{node}/placements",
    request=ListNodePlacements,
    answer=PlacementDocument,
    kind=Kind.PAGE,
    is_for_known=True,
    summary="List what a node is to run, of the herds whose placements you may see.",
)
MEMBERS: Final = Operation(
    name="members.list",
    method=Method.GET,
    path="/members",
    request=ListMembers,
    answer=MemberDocument,
    kind=Kind.PAGE,
    verb=Verb.LIST,
    resource=Resource.MEMBERS,
    summary="List the members of the Barn.",
)
STATUS: Final = Operation(
    name="members.status",
    method=Method.GET,
    path="/members/status",
    request=AskStatus,
    answer=StatusDocument,
    verb=Verb.GET,
    resource=Resource.MEMBERS,
    summary="Say who leads the members, and how far the one is that answers.",
)
REPLAY: Final = Operation(
    name="decisions.replay",
    method=Method.GET,
    path="/decisions/{decision}/replay",
    request=OfDecision,
    answer=ReplayDocument,
    verb=Verb.GET,
    resource=Resource.DECISIONS,
    summary="Make a decision of the scheduler again, and say whether the same comes out.",
    errors=("compacted",),
)
WATCH: Final = Operation(
    name="nodes.watch",
    method=Method.GET,
    path="/node-events",
    request=WatchNodes,
    answer=NodeChange,
    kind=Kind.EVENTS,
    verb=Verb.WATCH,
    resource=Resource.NODES,
    summary="Be told what becomes of nodes.",
    description="Events are `node` and `gone`: that a node came or left, is suspect, lost or there again, gets nothing new or is emptied. How many slices it runs is as of then, and tells of none by itself.",
)
NODES: Final = (LIST, WATCH, GET, CORDON, DRAIN, UNCORDON, PLACEMENTS, MEMBERS, STATUS, REPLAY)
