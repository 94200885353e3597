"""Operations on bindings: those of a herd, and those of the cluster.

A herd's bindings stand in its record, so their revision is that of the herd: whoever changes one compares all of what the herd says.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from runink.identity.roles import NEVER
from runink.identity.vocabulary import Resource, Verb
from runink.operations.answers import Kind
from runink.operations.declarations import Asked, AskedPage, Method, Operation
from runink.operations.patterns import BindingText, HerdText

EXPIRES_MS_MAX: Final = 253_402_300_799_999  # the end of the year 9999, and of what dates can say
_EXPIRES: Final = "When it ends, milliseconds of the Unix epoch; 0 for never."
_ROLE: Final = "A built-in role, one of the herd, or `cluster/NAME`."
_SUBJECTS: Final = (
    "`user:ISSUER:SUBJECT`, `group:ISSUER:GROUP` or `service-account:HERD/NAME`, each by itself."
)


class BindingDocument(msgspec.Struct, frozen=True):
    """Who has a role. `herd` is `*` for all herds and the cluster. `has_ended`: it gives and denies nothing any more."""

    binding: str
    herd: str
    description: str
    role: str
    subjects: tuple[str, ...]
    expires_ms: int
    has_ended: bool
    made_by: str
    made_ms: int
    revision: int


class _BindingSaid(Asked, frozen=True, kw_only=True):
    description: str = ""
    role: Annotated[str, msgspec.Meta(description=_ROLE)]
    subjects: Annotated[tuple[str, ...], msgspec.Meta(description=_SUBJECTS)]
    expires_ms: Annotated[int, msgspec.Meta(ge=0, le=EXPIRES_MS_MAX, description=_EXPIRES)] = NEVER


class ListBindings(AskedPage, frozen=True):
    herd: HerdText


class ListClusterBindings(AskedPage, frozen=True):
    """Only those are listed that the caller may read."""


class GetBinding(Asked, frozen=True):
    herd: HerdText
    binding: BindingText


class CreateBinding(_BindingSaid, frozen=True):
    herd: HerdText
    binding: BindingText


class UpdateBinding(_BindingSaid, frozen=True):
    herd: HerdText
    binding: BindingText


class GetClusterBinding(Asked, frozen=True):
    binding: BindingText


class TakeBack(Asked, frozen=True):
    in_herd: HerdText
    binding: BindingText


class CreateClusterBinding(_BindingSaid, frozen=True):
    binding: BindingText


class UpdateClusterBinding(_BindingSaid, frozen=True):
    binding: BindingText


_EXAMPLE: Final = {
    "binding": "analysts",
    "role": "viewer",
    "subjects": ["group:corp:analysts"],
}
_ANEW: Final = {"role": "viewer", "subjects": ["group:corp:analysts"]}
_GIVING: Final = ("not_held", "conflict")
_IN_A_HERD: Final = ("herd_not_declared", "herd_deleted")

LIST: Final = Operation(
    name="bindings.list",
    method=Method.GET,
    path="/herds/{herd}/bindings",
    request=ListBindings,
    answer=BindingDocument,
    kind=Kind.PAGE,
    verb=Verb.LIST,
    resource=Resource.BINDINGS,
    summary="List the bindings of a herd.",
)
GET: Final = Operation(
    name="bindings.get",
    method=Method.GET,
    path="/herds/{herd}/bindings/{binding}",
    request=GetBinding,
    answer=BindingDocument,
    verb=Verb.GET,
    resource=Resource.BINDINGS,
    summary="Read a binding of a herd.",
)
CREATE: Final = Operation(
    name="bindings.create",
    method=Method.POST,
    path="/herds/{herd}/bindings",
    request=CreateBinding,
    answer=BindingDocument,
    status=201,
    verb=Verb.CREATE,
    resource=Resource.BINDINGS,
    errors=("exists", *_GIVING, *_IN_A_HERD),
    is_idempotent=True,
    example=_EXAMPLE,
    summary="Make a binding of a herd.",
)
UPDATE: Final = Operation(
    name="bindings.update",
    method=Method.PUT,
    path="/herds/{herd}/bindings/{binding}",
    request=UpdateBinding,
    answer=BindingDocument,
    verb=Verb.UPDATE,
    resource=Resource.BINDINGS,
    errors=(*_GIVING, *_IN_A_HERD, "last_cluster_admin"),
    is_conditional=True,
    example=_ANEW,
    summary="Write a binding of a herd anew.",
)
DELETE: Final = Operation(
    name="bindings.delete",
    method=Method.DELETE,
    path="/herds/{herd}/bindings/{binding}",
    request=GetBinding,
    kind=Kind.NOTHING,
    status=204,
    verb=Verb.DELETE,
    resource=Resource.BINDINGS,
    errors=(*_GIVING, *_IN_A_HERD, "last_cluster_admin"),
    is_conditional=True,
    summary="Take a binding of a herd away.",
)
CLUSTER_LIST: Final = Operation(
    name="cluster-bindings.list",
    method=Method.GET,
    path="/bindings",
    request=ListClusterBindings,
    answer=BindingDocument,
    kind=Kind.PAGE,
    verb=Verb.LIST,
    resource=Resource.BINDINGS,
    is_of_the_cluster=True,
    summary="List the bindings of the cluster.",
)
CLUSTER_GET: Final = Operation(
    name="cluster-bindings.get",
    method=Method.GET,
    path="/bindings/{binding}",
    request=GetClusterBinding,
    answer=BindingDocument,
    verb=Verb.GET,
    resource=Resource.BINDINGS,
    is_of_the_cluster=True,
    summary="Read a binding of the cluster.",
)
CLUSTER_CREATE: Final = Operation(
    name="cluster-bindings.create",
    method=Method.POST,
    path="/bindings",
    request=CreateClusterBinding,
    answer=BindingDocument,
    status=201,
    verb=Verb.CREATE,
    resource=Resource.BINDINGS,
    is_of_the_cluster=True,
    errors=("exists", *_GIVING),
    is_idempotent=True,
    example=_EXAMPLE,
    summary="Make a binding of the cluster.",
)
CLUSTER_UPDATE: Final = Operation(
    name="cluster-bindings.update",
    method=Method.PUT,
    path="/bindings/{binding}",
    request=UpdateClusterBinding,
    answer=BindingDocument,
    verb=Verb.UPDATE,
    resource=Resource.BINDINGS,
    is_of_the_cluster=True,
    errors=(*_GIVING, "last_cluster_admin"),
    is_conditional=True,
    example=_ANEW,
    summary="Write a binding of the cluster anew.",
)
CLUSTER_DELETE: Final = Operation(
    name="cluster-bindings.delete",
    method=Method.DELETE,
    path="/bindings/{binding}",
    request=GetClusterBinding,
    kind=Kind.NOTHING,
    status=204,
    verb=Verb.DELETE,
    resource=Resource.BINDINGS,
    is_of_the_cluster=True,
    errors=(*_GIVING, "last_cluster_admin"),
    is_conditional=True,
    summary="Take a binding of the cluster away.",
)
TAKE_BACK: Final = Operation(
    name="cluster-bindings.take-back",
    method=Method.DELETE,
    path="/bindings/{in_herd}/{binding}",
    request=TakeBack,
    kind=Kind.NOTHING,
    status=204,
    verb=Verb.DELETE,
    resource=Resource.BINDINGS,
    is_of_the_cluster=True,
    errors=(*_GIVING, *_IN_A_HERD),
    is_conditional=True,
    summary="Take a binding of any herd away, also one that denies you something there.",
    description="It needs the right to delete bindings of the cluster, and not that of the herd: so no herd shuts out who answers for all of them.",
)
BINDINGS: Final = (
    LIST,
    GET,
    CREATE,
    UPDATE,
    DELETE,
    CLUSTER_LIST,
    CLUSTER_GET,
    CLUSTER_CREATE,
    CLUSTER_UPDATE,
    CLUSTER_DELETE,
    TAKE_BACK,
)
