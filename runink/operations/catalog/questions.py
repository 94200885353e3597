"""Questions about who may what: who one is, whether one may, why, and who else may."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from runink.identity.decisions import Explanation, WhoCan
from runink.identity.vocabulary import Resource, Verb
from runink.operations.answers import Kind
from runink.operations.declarations import Asked, Method, Operation
from runink.operations.patterns import HerdText, exact

_SUBJECT_MAX: Final = 512
_GROUPS_MAX: Final = 64

_Name = Annotated[
    str, msgspec.Meta(max_length=512, description="Of one thing; empty where none is meant.")
]
_InHerd = Annotated[
    str,
    msgspec.Meta(
        pattern=exact("([a-z][a-z0-9_-]{0,62})?"),
        description="In which herd; empty for what belongs to the cluster.",
    ),
]
_As = Annotated[
    str,
    msgspec.Meta(
        max_length=_SUBJECT_MAX,
        description="Somebody else: `user:ISSUER:SUBJECT`, `group:ISSUER:GROUP`, `service-account:HERD/NAME`. It needs `impersonate` of bindings there.",
    ),
]
_Groups = Annotated[
    tuple[str, ...],
    msgspec.Meta(
        max_length=_GROUPS_MAX, description="`group:ISSUER:GROUP`: in which groups that user is."
    ),
]


class WhoAmI(Asked, frozen=True):
    """It has no fields: who asks is known by the token."""


class MayI(Asked, frozen=True, kw_only=True):
    verb: Verb
    resource: Resource
    in_herd: _InHerd = ""
    name: _Name = ""
    as_: _As = msgspec.field(default="", name="as")
    as_group: _Groups = ()


class WhoMay(Asked, frozen=True, kw_only=True):
    herd: HerdText
    verb: Verb
    resource: Resource
    name: _Name = ""


class WhoMayInCluster(Asked, frozen=True, kw_only=True):
    verb: Verb
    resource: Resource
    name: _Name = ""


class Identity(msgspec.Struct, frozen=True):
    """Who somebody is. `herds` are those in which it may do anything, `until_ms` is when its token ends, 0 for never."""

    subject: str
    kind: str
    name: str
    display: str
    groups: tuple[str, ...]
    herd: str
    token: str
    until_ms: int
    herds: tuple[str, ...]


class MayAnswer(msgspec.Struct, frozen=True):
    """Whether it may. `is_for_some`: of some names only, where no name was said; `reason` says by which binding."""

    allowed: bool
    is_for_some: bool
    subject: str
    reason: str


WHOAMI: Final = Operation(
    name="auth.whoami",
    method=Method.GET,
    path="/auth/whoami",
    request=WhoAmI,
    answer=Identity,
    is_for_known=True,
    summary="Read who you are to the cluster, and in which herds you may do anything.",
)
CAN_I: Final = Operation(
    name="auth.can-i",
    method=Method.GET,
    path="/auth/can-i",
    request=MayI,
    answer=MayAnswer,
    is_for_known=True,
    summary="Ask whether you may do something, or somebody else may.",
    description="Of a herd that you do not see the answer is no, whether it is there or not.",
)
EXPLAIN: Final = Operation(
    name="auth.explain",
    method=Method.GET,
    path="/auth/explain",
    request=MayI,
    answer=Explanation,
    is_for_known=True,
    summary="Ask why you may do something, or why not: by every binding that speaks of it.",
    description="Bindings of another herd are told only to who may read them there.",
)
WHO_CAN: Final = Operation(
    name="auth.who-can",
    method=Method.GET,
    path="/herds/{herd}/auth/who-can",
    request=WhoMay,
    answer=WhoCan,
    verb=Verb.LIST,
    resource=Resource.BINDINGS,
    summary="Ask which subjects of bindings may do something in a herd.",
    description="Bindings for all herds count in each of them, so they are told as well.",
)
WHO_CAN_IN_CLUSTER: Final = Operation(
    name="auth.who-can-in-cluster",
    method=Method.GET,
    path="/auth/who-can",
    request=WhoMayInCluster,
    answer=WhoCan,
    kind=Kind.DOCUMENT,
    verb=Verb.LIST,
    resource=Resource.BINDINGS,
    is_of_the_cluster=True,
    summary="Ask which subjects of bindings may do something to what belongs to the cluster.",
)
QUESTIONS: Final = (WHOAMI, CAN_I, EXPLAIN, WHO_CAN, WHO_CAN_IN_CLUSTER)
