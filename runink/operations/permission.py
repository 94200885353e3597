"""Whether a caller may have an operation carried out: one answer for HTTP, for the wire, and for whoever calls services within the cluster.

the caller                                      is told
is not allowed, in a herd that it sees          Forbidden
is not allowed, in one that it does not see     NotFound, as if nothing were there
"""

from __future__ import annotations

from collections.abc import Mapping

from runink.errors import Forbidden, NotFound
from runink.identity.principals import Principal
from runink.operations.calls import Authorize
from runink.operations.declarations import HERD, Operation, named_in


def may(
    authorize: Authorize, operation: Operation, principal: Principal | None, path: Mapping[str, str]
) -> bool:
    """Say whether the caller may. `path` are the parts of the path; `principal` is nothing only where everybody may."""
    if operation.is_public or operation.is_for_known:
        return True
    assert principal is not None, "somebody was let in unknown"
    assert operation.verb is not None
    assert operation.resource is not None
    return authorize.allows(
        principal,
        operation.verb,
        operation.resource,
        herd=path.get(HERD, ""),
        name=named_in(operation, path),
    )


def check_may(
    authorize: Authorize, operation: Operation, principal: Principal | None, path: Mapping[str, str]
) -> None:
    """Raise Forbidden or NotFound unless the caller may."""
    if may(authorize, operation, principal, path):
        return
    assert principal is not None
    herd = path.get(HERD, "")
    if herd and not authorize.sees(principal, herd):
        raise absent()
    raise Forbidden(
        f"you may not {operation.verb} {operation.resource}{' in this herd' if herd else ''}",
        hint="a role that allows it must be bound to you",
    )


def absent() -> NotFound:
    """Return what is told of a thing that is not there, or that the caller must not know of."""
    return NotFound("there is nothing here that you could see")
