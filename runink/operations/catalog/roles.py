"""Operations on roles: those of a herd, and those of the cluster.

A herd's roles stand in its record, so their revision is that of the herd: whoever changes one compares all of what the herd says.
"""

from __future__ import annotations

from typing import Final

import msgspec

from runink.identity.roles import Effect
from runink.identity.vocabulary import Resource, Verb
from runink.operations.answers import Kind
from runink.operations.declarations import Asked, AskedPage, Method, Operation
from runink.operations.patterns import HerdText, RoleText


class RuleDocument(msgspec.Struct, frozen=True):
    """Verbs on resources; `*` is all of them. `names` are patterns, none for all names. `fields` are marks of fields that it shows."""

    verbs: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    effect: Effect = Effect.ALLOW
    fields: tuple[str, ...] = ()


class RoleDocument(msgspec.Struct, frozen=True):
    """A role. `herd` is empty for one of the cluster, and for the built-in ones, whose revision is 0."""

    role: str
    herd: str
    description: str
    rules: tuple[RuleDocument, ...]
    is_built_in: bool
    revision: int


class _RoleSaid(Asked, frozen=True, kw_only=True):
    description: str = ""
    rules: tuple[RuleDocument, ...]


class ListRoles(AskedPage, frozen=True):
    herd: HerdText


class ListClusterRoles(AskedPage, frozen=True):
    """Only those are listed that the caller may read."""


class GetRole(Asked, frozen=True):
    herd: HerdText
    role: RoleText


class CreateRole(_RoleSaid, frozen=True):
    herd: HerdText
    role: RoleText


class UpdateRole(_RoleSaid, frozen=True):
    herd: HerdText
    role: RoleText


class GetClusterRole(Asked, frozen=True):
    role: RoleText


class CreateClusterRole(_RoleSaid, frozen=True):
    role: RoleText


class UpdateClusterRole(_RoleSaid, frozen=True):
    role: RoleText


_EXAMPLE: Final = {
    "role": "analyst",
    "rules": [{"verbs": ["get", "list"], "resources": ["runs", "lineage"]}],
}
_GIVING: Final = ("not_held", "built_in_role", "conflict")
_IN_A_HERD: Final = ("herd_not_declared", "herd_deleted")

LIST: Final = Operation(
    name="roles.list",
    method=Method.GET,
    path="/herds/{herd}/roles",
    request=ListRoles,
    answer=RoleDocument,
    kind=Kind.PAGE,
    verb=Verb.LIST,
    resource=Resource.ROLES,
    summary="List the roles of a herd.",
)
GET: Final = Operation(
    name="roles.get",
    method=Method.GET,
    path="/herds/{herd}/roles/{role}",
    request=GetRole,
    answer=RoleDocument,
    verb=Verb.GET,
    resource=Resource.ROLES,
    summary="Read a role of a herd.",
)
CREATE: Final = Operation(
    name="roles.create",
    method=Method.POST,
    path="/herds/{herd}/roles",
    request=CreateRole,
    answer=RoleDocument,
    status=201,
    verb=Verb.CREATE,
    resource=Resource.ROLES,
    errors=("exists", *_GIVING, *_IN_A_HERD),
    is_idempotent=True,
    example=_EXAMPLE,
    summary="Make a role of a herd.",
)
UPDATE: Final = Operation(
    name="roles.update",
    method=Method.PUT,
    path="/herds/{herd}/roles/{role}",
    request=UpdateRole,
    answer=RoleDocument,
    verb=Verb.UPDATE,
    resource=Resource.ROLES,
    errors=(*_GIVING, *_IN_A_HERD),
    is_conditional=True,
    example={"rules": _EXAMPLE["rules"]},
    summary="Write a role of a herd anew.",
)
DELETE: Final = Operation(
    name="roles.delete",
    method=Method.DELETE,
    path="/herds/{herd}/roles/{role}",
    request=GetRole,
    kind=Kind.NOTHING,
    status=204,
    verb=Verb.DELETE,
    resource=Resource.ROLES,
    errors=(*_GIVING, *_IN_A_HERD, "role_in_use"),
    is_conditional=True,
    summary="Take a role of a herd away.",
)
CLUSTER_LIST: Final = Operation(
    name="cluster-roles.list",
    method=Method.GET,
    path="/roles",
    request=ListClusterRoles,
    answer=RoleDocument,
    kind=Kind.PAGE,
    verb=Verb.LIST,
    resource=Resource.ROLES,
    is_of_the_cluster=True,
    summary="List the roles of the cluster, with the built-in ones.",
)
CLUSTER_GET: Final = Operation(
    name="cluster-roles.get",
    method=Method.GET,
    path="/roles/{role}",
    request=GetClusterRole,
    answer=RoleDocument,
    verb=Verb.GET,
    resource=Resource.ROLES,
    is_of_the_cluster=True,
    summary="Read a role of the cluster.",
)
CLUSTER_CREATE: Final = Operation(
    name="cluster-roles.create",
    method=Method.POST,
    path="/roles",
    request=CreateClusterRole,
    answer=RoleDocument,
    status=201,
    verb=Verb.CREATE,
    resource=Resource.ROLES,
    is_of_the_cluster=True,
    errors=("exists", *_GIVING),
    is_idempotent=True,
    example=_EXAMPLE,
    summary="Make a role of the cluster.",
)
CLUSTER_UPDATE: Final = Operation(
    name="cluster-roles.update",
    method=Method.PUT,
    path="/roles/{role}",
    request=UpdateClusterRole,
    answer=RoleDocument,
    verb=Verb.UPDATE,
    resource=Resource.ROLES,
    is_of_the_cluster=True,
    errors=_GIVING,
    is_conditional=True,
    example={"rules": _EXAMPLE["rules"]},
    summary="Write a role of the cluster anew.",
)
CLUSTER_DELETE: Final = Operation(
    name="cluster-roles.delete",
    method=Method.DELETE,
    path="/roles/{role}",
    request=GetClusterRole,
    kind=Kind.NOTHING,
    status=204,
    verb=Verb.DELETE,
    resource=Resource.ROLES,
    is_of_the_cluster=True,
    errors=(*_GIVING, "role_in_use"),
    is_conditional=True,
    summary="Take a role of the cluster away.",
)
ROLES: Final = (
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
)
