"""Operations on the audit: who has done what in a herd, and to what belongs to the cluster."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import msgspec

from runink.governance.audit import Outcome
from runink.identity.vocabulary import Resource, Verb
from runink.operations.answers import Kind
from runink.operations.declarations import AskedEvents, AskedPage, Method, Operation
from runink.operations.patterns import HerdText

_MOMENT_MAX: Final = (1 << 48) - 1  # milliseconds: as far as ids of entries reach


class Order(StrEnum):
    NEWEST = "newest"
    OLDEST = "oldest"


def _filter(description: str) -> msgspec.Meta:
    return msgspec.Meta(max_length=512, description=description)


_Who = Annotated[str, _filter("Of this subject only: `user:ISSUER:SUBJECT`, …")]
_Operation = Annotated[str, _filter("Of this operation only: `roles.create`; or `roles.*`.")]
_Since = Annotated[
    int, msgspec.Meta(ge=0, le=_MOMENT_MAX, description="From then on; milliseconds.")
]
_Until = Annotated[
    int, msgspec.Meta(ge=0, le=_MOMENT_MAX, description="Before then; 0 for no end.")
]


class _Filters(AskedPage, frozen=True, kw_only=True):
    who: _Who = ""
    action: _Operation = ""
    outcome: Outcome | None = None
    since_ms: _Since = 0
    until_ms: _Until = 0
    order: Order = Order.NEWEST


class ListAudit(_Filters, frozen=True, kw_only=True):
    herd: HerdText


class ListClusterAudit(_Filters, frozen=True, kw_only=True):
    """What belongs to no herd, and what of herds is the cluster's: that they are made and taken away."""


class _Watched(AskedEvents, frozen=True, kw_only=True):
    who: _Who = ""
    action: _Operation = ""
    outcome: Outcome | None = None


class WatchAudit(_Watched, frozen=True, kw_only=True):
    """A list's `revision` is where a watch goes on from."""

    herd: HerdText


class WatchClusterAudit(_Watched, frozen=True, kw_only=True):
    """What belongs to no herd, and what of herds is the cluster's; a list's `revision` is where a watch goes on from."""


class AuditDocument(msgspec.Struct, frozen=True):
    """What somebody did, and what came of it. `who` is empty where nobody was known, `what` are names by what they are of.

    `outcome` is begun for what has not come to say how it ended. `left_out` counts calls of the same subject before it that were denied and not written down.
    """

    id: str
    at_ms: int
    ended_ms: int
    who: str
    token: str
    address: str
    operation: str
    what: dict[str, str]
    outcome: Outcome
    code: str
    request_id: str
    left_out: int


class AuditStep(msgspec.Struct, frozen=True):
    """An entry as it was written in this revision."""

    entry: AuditDocument
    revision: int


_TOLD: Final = (
    "Events are `entry`. What changes something is told twice: when it is begun, and when it has ended; both have the same `id`. "
    "Entries that go by their age are not told of."
)

LIST: Final = Operation(
    name="audit.list",
    method=Method.GET,
    path="/herds/{herd}/audit",
    request=ListAudit,
    answer=AuditDocument,
    kind=Kind.PAGE,
    verb=Verb.LIST,
    resource=Resource.AUDIT,
    summary="List who has done what in a herd.",
)
CLUSTER_LIST: Final = Operation(
    name="cluster-audit.list",
    method=Method.GET,
    path="/audit",
    request=ListClusterAudit,
    answer=AuditDocument,
    kind=Kind.PAGE,
    verb=Verb.LIST,
    resource=Resource.AUDIT,
    is_of_the_cluster=True,
    summary="List who has done what to what belongs to the cluster.",
)
WATCH: Final = Operation(
    name="audit.watch",
    method=Method.GET,
    path="/herds/{herd}/audit/events",
    request=WatchAudit,
    answer=AuditStep,
    kind=Kind.EVENTS,
    verb=Verb.WATCH,
    resource=Resource.AUDIT,
    summary="Be told of what is done in a herd, and by whom.",
    description=_TOLD,
)
CLUSTER_WATCH: Final = Operation(
    name="cluster-audit.watch",
    method=Method.GET,
    path="/audit/events",
    request=WatchClusterAudit,
    answer=AuditStep,
    kind=Kind.EVENTS,
    verb=Verb.WATCH,
    resource=Resource.AUDIT,
    is_of_the_cluster=True,
    summary="Be told of what is done to what belongs to the cluster, and by whom.",
    description=_TOLD,
)
AUDITS: Final = (LIST, CLUSTER_LIST, WATCH, CLUSTER_WATCH)
