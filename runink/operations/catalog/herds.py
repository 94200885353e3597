"""Operations on herds: what they are, what they may have, and what holds in them.

What people say of a herd is `says`: the tables of its file (`herds/file.py`) as JSON, with a time as text. It is read as that file is, with the same findings.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from runink.herds.lifecycle import KEPT_MS, KEPT_MS_MAX
from runink.herds.record import Declared, Deletion, SliceBounds
from runink.identity.vocabulary import Resource, Verb
from runink.operations.answers import Kind
from runink.operations.declarations import Asked, AskedPage, Method, Operation
from runink.operations.patterns import HerdText

Says = Annotated[
    dict[str, Any],
    msgspec.Meta(description="The tables of a herd's file as JSON: `herd`, `quotas`, `roles`, …"),
]


class GetHerd(Asked, frozen=True):
    herd: HerdText


class ListHerds(AskedPage, frozen=True):
    """Only herds are listed in which the caller may do anything. `living`: with how many of their runs have not ended, of those that the caller may read."""

    living: bool = False


class CreateHerd(Asked, frozen=True):
    says: Says


class UpdateHerd(Asked, frozen=True):
    """With `dry_run` nothing is changed: the document is what the herd would be, at the revision that it has."""

    herd: HerdText
    says: Says
    dry_run: bool = False


class DeleteHerd(Asked, frozen=True):
    herd: HerdText
    keep_ms: Annotated[
        int,
        msgspec.Meta(ge=0, le=KEPT_MS_MAX, description="For how long it can be taken back."),
    ] = KEPT_MS


class PurgeHerd(Asked, frozen=True):
    herd: HerdText
    at_once: Annotated[
        bool, msgspec.Meta(description="Also before the time until which it is kept.")
    ] = False


class HerdSummary(msgspec.Struct, frozen=True):
    """A herd in a line. `state` is project, declared, deleted or purging. `changed_ms` is when it was declared last, 0 if nobody has; `living` how many runs have not ended of those that the caller may read, if that was asked for."""

    herd: str
    state: str
    domain: str
    description: str
    labels: dict[str, str]
    revision: int
    changed_ms: int = 0
    living: int | None = None


class HerdDocument(msgspec.Struct, frozen=True):
    """All that is known of a herd. `says` is what its file would; `unenforced` are parts of it that nothing acts on yet."""

    herd: str
    state: str
    revision: int
    declared: Declared | None
    deletion: Deletion | None
    unenforced: tuple[str, ...]
    says: dict[str, Any]


class Quota(msgspec.Struct, frozen=True):
    """What is used now, and the most that may be: nothing for no limit."""

    used: int
    limit: int | None


class HerdQuota(msgspec.Struct, frozen=True):
    """What a herd may have and has now: `cpu_m`, `memory_bytes`, `disk_bytes`, `gpus`, `slices`, `runs`. `slice` are the bounds of one slice."""

    herd: str
    quotas: dict[str, Quota]
    slice: SliceBounds


class HerdPurged(msgspec.Struct, frozen=True):
    """A herd that is gone, and how many keys went with it."""

    herd: str
    keys: int


_EXAMPLE: Final = {
    "says": {
        "herd": {"id": "flights", "description": "Reports on punctuality"},
        "quotas": {"cpu": "4", "runs": 10},
    }
}

LIST: Final = Operation(
    name="herds.list",
    method=Method.GET,
    path="/herds",
    request=ListHerds,
    answer=HerdSummary,
    kind=Kind.PAGE,
    is_for_known=True,
    summary="List the herds that you may see.",
)
GET: Final = Operation(
    name="herds.get",
    method=Method.GET,
    path="/herds/{herd}",
    request=GetHerd,
    answer=HerdDocument,
    verb=Verb.GET,
    resource=Resource.HERDS,
    summary="Read a herd.",
)
CREATE: Final = Operation(
    name="herds.create",
    method=Method.POST,
    path="/herds",
    request=CreateHerd,
    answer=HerdDocument,
    status=201,
    verb=Verb.CREATE,
    resource=Resource.HERDS,
    errors=("herd_exists", "herd_deleted", "herd_invalid", "not_held"),
    is_idempotent=True,
    summary="Declare a herd.",
    description="From then on it is as it was declared, whatever projects say of it. Roles and bindings in it need the right to give them.",
    example=_EXAMPLE,
)
UPDATE: Final = Operation(
    name="herds.update",
    method=Method.PUT,
    path="/herds/{herd}",
    request=UpdateHerd,
    answer=HerdDocument,
    verb=Verb.UPDATE,
    resource=Resource.HERDS,
    errors=("herd_deleted", "herd_invalid", "not_held", "role_in_use", "last_cluster_admin"),
    is_conditional=True,
    summary="Declare a herd anew.",
    description="Each role and binding that this adds, changes or leaves out needs the right to that; what stays needs none.",
    example=_EXAMPLE,
)
DELETE: Final = Operation(
    name="herds.delete",
    method=Method.DELETE,
    path="/herds/{herd}",
    request=DeleteHerd,
    answer=HerdDocument,
    verb=Verb.DELETE,
    resource=Resource.HERDS,
    errors=("herd_in_use", "herd_deleted"),
    is_conditional=True,
    summary="Let nothing new come into a herd, and forget it after a time.",
)
UNDELETE: Final = Operation(
    name="herds.undelete",
    method=Method.POST,
    path="/herds/{herd}/undelete",
    request=GetHerd,
    answer=HerdDocument,
    verb=Verb.DELETE,
    resource=Resource.HERDS,
    errors=("herd_not_deleted", "herd_purging"),
    summary="Take a deletion back.",
)
PURGE: Final = Operation(
    name="herds.purge",
    method=Method.POST,
    path="/herds/{herd}/purge",
    request=PurgeHerd,
    answer=HerdPurged,
    verb=Verb.DELETE,
    resource=Resource.HERDS,
    errors=("herd_not_deleted", "herd_kept", "not_let_go"),
    summary="Take away all that a deleted herd has in the cluster.",
    description="There is no way back. What its runs have published stays.",
)
QUOTA: Final = Operation(
    name="herds.quota",
    method=Method.GET,
    path="/herds/{herd}/quota",
    request=GetHerd,
    answer=HerdQuota,
    verb=Verb.GET,
    resource=Resource.HERDS,
    summary="Read what a herd may have, and has now.",
)
HERDS: Final = (LIST, GET, CREATE, UPDATE, DELETE, UNDELETE, PURGE, QUOTA)
