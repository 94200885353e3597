"""Whether a caller may have an operation carried out: one answer for HTTP, for the wire, and for whoever calls services within the cluster.

the caller                                      is told
is not allowed, in a herd that it sees          Forbidden
is not allowed, in one that it does not see     NotFound, as if nothing were there
asks for more of a thing that is hidden         the same as of the thing itself

A rule may speak of some names only.  What it hides by its name is hidden with all that stands under it: the logs of a run whose reading is denied by its name are read by nobody who
is denied it, whatever is said of logs; and what somebody may not `get`, he neither lists nor watches.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final

from runink.errors import Forbidden, NotFound
from runink.identity.principals import Principal
from runink.identity.vocabulary import Resource, Verb
from runink.operations.calls import Authorize
from runink.operations.declarations import HERD, Operation, named_in

# A herd is where things are, and no thing that they are parts of.
_NAMES_ONE: Final = re.compile(r"(?:/herds/\{herd\})?/(?P<kind>[a-z-]+)/\{(?P<part>[a-z_]+)\}")
_KINDS: Final = frozenset(Resource) - {Resource.HERDS}


def may(
    authorize: Authorize, operation: Operation, principal: Principal | None, path: Mapping[str, str]
) -> bool:
    """Say whether the caller may. `path` are the parts of the path; `principal` is nothing only where everybody may."""
    if operation.is_public:
        return True
    assert principal is not None, "somebody was let in unknown"
    herd = path.get(HERD, "")
    if operation.verb is not None and operation.resource is not None:
        name = named_in(operation, path)
        if not authorize.allows(
            principal, operation.verb, operation.resource, herd=herd, name=name
        ):
            return False
    return not any(
        authorize.hides(principal, Verb.GET, kind, herd=herd, name=name)
        for kind, name in read_with(operation, path)
    )


def read_with(operation: Operation, path: Mapping[str, str]) -> Iterator[tuple[Resource, str]]:
    """Yield what must not be hidden from who asks, beside what the operation itself needs: what the path stands under, and what is listed or watched."""
    kind, part = _collection_of(operation.path)
    if kind is not None and kind is not operation.resource:
        yield kind, str(path.get(part, ""))
    name = named_in(operation, path)
    is_reading = operation.verb in {Verb.LIST, Verb.WATCH}
    # A run's slices are named with it: each is looked at where they are listed.
    if is_reading and name and operation.resource not in {None, Resource.SLICES}:
        yield operation.resource, name


@cache
def _collection_of(path: str) -> tuple[Resource | None, str]:
    """Return of which kind the first thing is that a path names, within its herd if it has one, and the part of the path that names it."""
    found = _NAMES_ONE.match(path)
    if found is None or found["kind"] not in _KINDS:
        return None, ""
    return Resource(found["kind"]), found["part"]


def check_may(
    authorize: Authorize, operation: Operation, principal: Principal | None, path: Mapping[str, str]
) -> None:
    """Raise Forbidden or NotFound unless the caller may."""
    if may(authorize, operation, principal, path):
        return
    assert principal is not None
    herd = path.get(HERD, "")
    if operation.verb is None or (herd and not authorize.sees(principal, herd)):
        raise absent()
    raise Forbidden(
        f"you may not {operation.verb} {operation.resource}{' in this herd' if herd else ''}",
        hint="a role that allows it must be bound to you",
    )


def absent() -> NotFound:
    """Return what is told of a thing that is not there, or that the caller must not know of."""
    return NotFound("there is nothing here that you could see")
