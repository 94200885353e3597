"""Operations: what can be asked of a cluster from outside, declared once, for HTTP, the wire, the document, the clients and the access matrix.

An operation has a name, and a struct of what is asked.  Where a field of that comes from follows from its declaration:

    a field that the path names                    the path
    a field that `query` names                     the query
    another field, where the method has a body     the body
    another field, where it has none               the query

The herd is a part of the path and of nothing else.  `Table` holds operations together and refuses those that contradict each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Final

import msgspec

from runink.errors import InvariantBroken
from runink.identity.vocabulary import OF_THE_CLUSTER, Resource, Verb
from runink.operations.answers import ITEMS, ITEMS_MAX, Kind
from runink.operations.codes import CODES
from runink.operations.patterns import is_exact, matches

_NAME: Final = re.compile(r"[a-z][a-z-]*(\.[a-z][a-z-]*)+")
_SEGMENT: Final = re.compile(r"[a-z][a-z0-9._-]*|\{[a-z_]+\}")
HERD: Final = "herd"
JSON: Final = "application/json"


class Method(StrEnum):
    GET = "GET"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"

    @property
    def has_body(self) -> bool:
        return self in {Method.POST, Method.PUT, Method.PATCH}


class Source(StrEnum):
    PATH = "path"
    QUERY = "query"
    BODY = "body"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What every request is: a struct of its path's parts, of its query and of its body."""


class AskedPage(Asked, frozen=True, kw_only=True):
    """What every request for a list is. Which items stand in it is decided by the other fields; a cursor holds only for the same ones."""

    limit: Annotated[
        int, msgspec.Meta(ge=1, le=ITEMS_MAX, description="How many items at most.")
    ] = ITEMS
    cursor: Annotated[
        str, msgspec.Meta(max_length=1024, description="What `next` of the page before said.")
    ] = ""


class AskedEvents(Asked, frozen=True, kw_only=True):
    """What every request for a stream is. The header Last-Event-ID, which a browser sends when it comes back, goes before `since`."""

    since: Annotated[
        int,
        msgspec.Meta(
            ge=0,
            le=(1 << 63) - 1,
            description="Tell what came behind this revision; 0: all that comes from now.",
        ),
    ] = 0


@dataclass(
    frozen=True, slots=True, kw_only=True, eq=False
)  # each is itself: it is looked up for each request
class Operation:
    """One thing that can be asked.

    `name` is what logs, clients and the access matrix call it: `runs.cancel`.  `path` stands behind `/api/v1`.

    `verb` and `resource` are what a role must allow.  In place of them `is_public` lets everybody in, and `is_for_known` everybody who is known: what they may
    see of it is then looked at by the service.  `subject` is the part of the path that names the
    one thing that is asked about, for roles that are given for some names: the last one, if nothing is said. Several with slashes between name it together.  What a herd has and the cluster has as well
    (roles, bindings, the audit) is asked of the cluster by an operation that `is_of_the_cluster`: only a binding for all herds grants it.

    `answer` is the struct that comes back (of one item, for a page; of an event's data, for a stream).

    `takes` is the media type of the body.  If it is not JSON, the one field of the body is bytes, as they came.  `body_bytes_max` is what it may have,
    where the server's limit for all is not meant (0).

    `is_sign_in`: it lets somebody in and changes nothing, whatever its method is.  The audit has only those that were refused: programs come every few minutes.

    `cached_s` is for how long anybody may keep the answer, also on the way; 0: nobody may without asking again.  Only what is public and the same for all has it.

    `errors` are the codes that a service may raise, beside those that every operation has.

    `is_idempotent`: a repeat with the same Idempotency-Key has the effect of one call.  The service is told an id that is the same each time, and
    what it makes goes by that id.  The answer is kept for a day, so one that holds a secret is of no such operation.  `is_conditional`: the caller must say which revision it has read (If-Match).
    """

    name: str
    method: Method
    path: str
    request: type[Asked]
    summary: str
    answer: Any = None
    verb: Verb | None = None
    resource: Resource | None = None
    kind: Kind = Kind.DOCUMENT
    status: int = 200
    description: str = ""
    errors: tuple[str, ...] = ()
    query: frozenset[str] = frozenset()
    subject: str = ""
    media_type: str = "application/octet-stream"  # of content
    takes: str = JSON
    body_bytes_max: int = 0
    cached_s: int = 0
    is_public: bool = False
    is_for_known: bool = False
    is_of_the_cluster: bool = False
    is_sign_in: bool = False
    is_idempotent: bool = False
    is_conditional: bool = False
    example: Any = None  # of a request's body, in its plain form


Fields = Mapping[str, msgspec.structs.FieldInfo]


@cache
def fields_of(request: type[Asked]) -> Fields:
    """Return the fields of a request by the names that they have outside."""
    return {field.encode_name: field for field in msgspec.structs.fields(request)}


@cache
def path_names(path: str) -> tuple[str, ...]:
    """Return the names of a path's parameters, in order."""
    return tuple(re.findall(r"\{([a-z_]+)\}", path))


@cache
def sources_of(operation: Operation) -> Mapping[str, Source]:
    """Return where each field comes from."""
    in_path = frozenset(path_names(operation.path))
    other = Source.BODY if operation.method.has_body else Source.QUERY
    return {
        name: Source.PATH if name in in_path else Source.QUERY if name in operation.query else other
        for name in fields_of(operation.request)
    }


def subject_of(operation: Operation) -> str:
    """Return the part of the path that names what is asked about, or nothing where that is a list."""
    if operation.subject:
        return operation.subject
    names = path_names(operation.path)
    if operation.resource is Resource.HERDS:
        return HERD if HERD in names else ""
    return next((name for name in reversed(names) if name != HERD), "")


def named_in(operation: Operation, path: Mapping[str, Any]) -> str:
    """Return what is asked about, as roles name it, by the parts of the path; empty where that is a list."""
    subject = subject_of(operation)
    return "/".join(str(path.get(part, "")) for part in subject.split("/")) if subject else ""


@cache
def pattern_of(operation: Operation, name: str) -> str:
    """Return the pattern of a path's parameter; empty if it has none, which a Table refuses."""
    known = fields_of(operation.request).get(name)
    metas = getattr(known.type, "__metadata__", ()) if known is not None else ()
    return next((one.pattern for one in metas if getattr(one, "pattern", None)), "")


class Table:
    """Operations that hold together. Raises InvariantBroken, with everything that is wrong, if they do not."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self.operations = tuple(operations)
        if mistakes := mistakes_in(self.operations):
            raise InvariantBroken("the table of operations is wrong: " + "; ".join(mistakes))
        self.by_name: Mapping[str, Operation] = {one.name: one for one in self.operations}


def mistakes_in(operations: tuple[Operation, ...]) -> list[str]:
    """Return everything that is wrong with a table of operations, in words for whoever writes it."""
    found = [
        f"{one.name}: {mistake}"
        for one in operations
        for mistake in (*_mistakes_of_access(one), *_mistakes_of_path(one), *_mistakes_of_form(one))
    ]
    for place, one in enumerate(operations):
        for other in operations[:place]:
            if one.name == other.name:
                found.append(f"{one.name} is there twice")
            if one.method is other.method and _collide(one, other):
                found.append(f"{one.name} and {other.name} have paths that are alike")
    return found


def _mistakes_of_access(one: Operation) -> Iterable[str]:
    is_open = one.is_public or one.is_for_known
    if one.is_public and one.is_for_known:
        yield "it is public, or for those who are known"
    if is_open == (one.verb is not None or one.resource is not None):
        yield "it is public, or for those who are known, or has a verb and a resource"
    elif not is_open and (one.verb is None or one.resource is None):
        yield "a verb has a resource, and a resource a verb"
    if one.is_sign_in and not one.is_public:
        yield "who signs in is not known yet: it is public"
    names = path_names(one.path)
    is_own = one.resource in OF_THE_CLUSTER or one.is_of_the_cluster
    of_cluster = is_open or is_own or one.resource is Resource.HERDS
    if not of_cluster and HERD not in names:
        yield f"{one.resource} belong to a herd, and its path has no {{herd}}"
    if is_own and HERD in names:
        yield f"{one.resource} belong to no herd, and its path has one"
    if HERD in fields_of(one.request) and HERD not in names:
        yield "the herd comes from the path, and from nothing else"
    if one.subject and not set(one.subject.split("/")) <= set(names):
        yield f"its subject {one.subject} is no part of its path"


def _mistakes_of_path(one: Operation) -> Iterable[str]:
    if not _NAME.fullmatch(one.name):
        yield "a name is two or more words with points between them"
    if not one.path.startswith("/"):
        yield "a path begins with a slash"
    if not all(map(_SEGMENT.fullmatch, one.path.split("/")[1:])):
        yield "a part of a path is a word or one {name}"
    names = path_names(one.path)
    if len(set(names)) < len(names):
        yield "a parameter stands twice in the path"
    for name in names:
        known = fields_of(one.request).get(name)
        if known is None:
            yield f"its request has no field {name}"
        elif not known.required:
            yield f"{name} stands in the path and has a default"
        elif not is_exact(pattern_of(one, name)):
            yield f"{name} stands in the path and has no exact pattern"
    if unknown := one.query - set(fields_of(one.request)):
        yield f"its query has no field {', '.join(sorted(unknown))}"


def _mistakes_of_form(one: Operation) -> Iterable[str]:
    if (one.kind is Kind.PAGE) != issubclass(one.request, AskedPage):
        yield "a page is asked for by an AskedPage"
    if (one.kind is Kind.EVENTS) != issubclass(one.request, AskedEvents):
        yield "events are asked for by AskedEvents"
    if one.kind in {Kind.PAGE, Kind.EVENTS, Kind.CONTENT} and one.method is not Method.GET:
        yield f"{one.kind} is read by GET"
    if (one.answer is None) != (one.kind in {Kind.NOTHING, Kind.CONTENT}):
        yield "it says what it is answered with"
    if one.kind is Kind.NOTHING and one.status != 204:
        yield "nothing is answered with 204"
    if one.is_idempotent and (one.method is not Method.POST or one.is_public):
        yield "an Idempotency-Key goes with POST, of somebody who is known"
    if one.is_idempotent and one.kind not in {Kind.DOCUMENT, Kind.NOTHING}:
        yield "what is answered again is one document"
    if one.is_conditional and one.method in {Method.GET, Method.POST}:
        yield "If-Match goes with a change of one thing"
    if one.takes != JSON and not (one.method.has_body and _body_kinds(one) == [bytes]):
        yield f"a body of {one.takes} is one field of bytes"
    if unknown := sorted(set(one.errors) - CODES.keys()):
        yield f"no code {', '.join(unknown)} in runink/operations/codes.py"
    if not one.summary.endswith("."):
        yield "its summary is a sentence"


def _body_kinds(one: Operation) -> list[Any]:
    sources = sources_of(one)
    fields = fields_of(one.request).items()
    return [known.type for name, known in fields if sources[name] is Source.BODY]


def _collide(one: Operation, other: Operation) -> bool:
    """Say whether a path could be of both operations."""
    ours, theirs = one.path.split("/"), other.path.split("/")
    if len(ours) != len(theirs):
        return False
    return all(_meet(one, mine, other, yours) for mine, yours in zip(ours, theirs, strict=True))


def _meet(one: Operation, mine: str, other: Operation, yours: str) -> bool:
    if mine.startswith("{") and yours.startswith("{"):
        return True
    if mine.startswith("{"):
        return matches(pattern_of(one, mine[1:-1]), yours)
    if yours.startswith("{"):
        return matches(pattern_of(other, yours[1:-1]), mine)
    return mine == yours
