"""A small service of notes, its operations and its world: what the tests of the HTTP server ask. Two herds, callers with tokens, everything in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import msgspec
from anyio.lowlevel import checkpoint
from runink.api.app import Parts
from runink.api.limits import Limits
from runink.errors import Conflict, NotFound, Refused
from runink.identity.principals import Principal, PrincipalKind
from runink.identity.vocabulary import Resource, Verb
from runink.operations.answers import Bookmark, Content, Event, Items, Kind
from runink.operations.calls import Caller, Context, Unauthenticated
from runink.operations.cursors import Cursors
from runink.operations.declarations import (
    Asked,
    AskedEvents,
    AskedPage,
    Method,
    Operation,
)
from runink.operations.idempotency import Record
from runink.operations.patterns import HerdText, exact

NoteText = Annotated[str, msgspec.Meta(pattern=exact("[a-z][a-z0-9-]{0,40}"), examples=["first"])]


class Mark(msgspec.Struct, frozen=True):
    colour: str = "red"
    weight: Annotated[int, msgspec.Meta(ge=0, le=9)] = 0


class Note(msgspec.Struct, frozen=True):
    """A note. `revision` is the change that made it what it is."""

    note: str
    text: str
    revision: int
    marks: tuple[Mark, ...] = ()


class Change(msgspec.Struct, frozen=True):
    """What has happened to a note."""

    note: str
    text: str


class CreateNote(Asked, frozen=True):
    herd: HerdText
    text: Annotated[str, msgspec.Meta(max_length=2000)]
    note: NoteText | None = None
    marks: Annotated[tuple[Mark, ...], msgspec.Meta(max_length=10)] = ()
    dry_run: bool = False


class GetNote(Asked, frozen=True):
    herd: HerdText
    note: NoteText


class ListNotes(AskedPage, frozen=True):
    herd: HerdText
    prefix: Annotated[str, msgspec.Meta(max_length=40)] = ""
    colour: Annotated[tuple[str, ...], msgspec.Meta(max_length=5)] = ()
    weight_min: Annotated[int, msgspec.Meta(ge=0, le=9)] = 0


class UpdateNote(Asked, frozen=True):
    herd: HerdText
    note: NoteText
    text: Annotated[str, msgspec.Meta(max_length=2000)]


class AttachToNote(Asked, frozen=True):
    herd: HerdText
    note: NoteText
    content: bytes


class WatchNotes(AskedEvents, frozen=True):
    herd: HerdText


_OF_NOTES: dict[str, Any] = {"resource": Resource.ANNOTATIONS}
CREATE = Operation(
    name="notes.create",
    method=Method.POST,
    path="/herds/{herd}/notes",
    request=CreateNote,
    answer=Note,
    verb=Verb.CREATE,
    status=201,
    is_idempotent=True,
    query=frozenset({"dry_run"}),
    errors=("exists",),
    summary="Make a note.",
    example={"text": "remember the milk", "marks": [{"colour": "blue", "weight": 1}]},
    **_OF_NOTES,
)
GET = Operation(
    name="notes.get",
    method=Method.GET,
    path="/herds/{herd}/notes/{note}",
    request=GetNote,
    answer=Note,
    verb=Verb.GET,
    summary="Read a note.",
    **_OF_NOTES,
)
LIST = Operation(
    name="notes.list",
    method=Method.GET,
    path="/herds/{herd}/notes",
    request=ListNotes,
    answer=Note,
    kind=Kind.PAGE,
    verb=Verb.LIST,
    summary="List notes.",
    **_OF_NOTES,
)
UPDATE = Operation(
    name="notes.update",
    method=Method.PUT,
    path="/herds/{herd}/notes/{note}",
    request=UpdateNote,
    answer=Note,
    verb=Verb.UPDATE,
    is_conditional=True,
    summary="Change a note.",
    **_OF_NOTES,
)
DELETE = Operation(
    name="notes.delete",
    method=Method.DELETE,
    path="/herds/{herd}/notes/{note}",
    request=GetNote,
    kind=Kind.NOTHING,
    status=204,
    verb=Verb.DELETE,
    is_conditional=True,
    summary="Take a note away.",
    **_OF_NOTES,
)
WATCH = Operation(
    name="notes.watch",
    method=Method.GET,
    path="/herds/{herd}/watch/notes",
    request=WatchNotes,
    answer=Change,
    kind=Kind.EVENTS,
    verb=Verb.WATCH,
    summary="Follow what happens to notes.",
    **_OF_NOTES,
)
EXPORT = Operation(
    name="notes.export",
    method=Method.GET,
    path="/herds/{herd}/notes/{note}/text",
    request=GetNote,
    kind=Kind.CONTENT,
    media_type="text/plain; charset=utf-8",
    verb=Verb.GET,
    summary="Read a note's text alone.",
    **_OF_NOTES,
)
ATTACH = Operation(
    name="notes.attach",
    method=Method.PUT,
    path="/herds/{herd}/notes/{note}/attachment",
    request=AttachToNote,
    kind=Kind.NOTHING,
    status=204,
    verb=Verb.UPDATE,
    takes="application/octet-stream",
    body_bytes_max=2 << 20,
    summary="Attach bytes to a note.",
    **_OF_NOTES,
)
OPERATIONS = (CREATE, GET, LIST, UPDATE, DELETE, WATCH, EXPORT, ATTACH)

Turn = Callable[[Operation], Any]


class Notebook:
    """Notes of all herds. `turn` runs before each call: a test may wait in it, or raise."""

    def __init__(self) -> None:
        self.revision = 10
        self.compacted = 5
        self.notes: dict[tuple[str, str], Note] = {}
        self.made: list[str] = []
        self.attached: dict[tuple[str, str], bytes] = {}
        self.calls: list[tuple[str, Caller, Context]] = []
        self.denials: list[tuple[str, dict[str, str], str]] = []
        self.changes: list[tuple[str, Event]] = []
        self.changed = asyncio.Event()
        self.turn: Turn | None = None
        self.exported: Callable[[Note], AsyncIterator[bytes] | bytes] = lambda note: note.text.encode()  # fmt: skip

    async def call(
        self, operation: Operation, request: Any, caller: Caller, context: Context
    ) -> Any:
        self.calls.append((operation.name, caller, context))
        if self.turn is not None:
            await self.turn(operation)
        act = getattr(self, "_" + operation.name.partition(".")[2])
        return act(request, context)

    async def denied(
        self, operation: Operation, path: Any, caller: Caller, *, request_id: str, code: str
    ) -> None:
        assert request_id
        assert caller.principal is not None
        self.denials.append((operation.name, dict(path), code))

    def put(self, herd: str, note: str, text: str, marks: tuple[Mark, ...] = ()) -> Note:
        self.revision += 1
        made = self.notes[herd, note] = Note(note, text, self.revision, marks)
        self._tell(herd, Event(self.revision, "put", Change(note, text)))
        return made

    def bookmark(self) -> None:
        self.revision += 1
        self.changes.append(("", Bookmark(self.revision)))  # type: ignore[arg-type] # told to all
        self._ring()

    def _tell(self, herd: str, event: Event) -> None:
        self.changes.append((herd, event))
        self._ring()

    def _ring(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    def _create(self, request: CreateNote, context: Context) -> Note:
        name = request.note or f"n-{context.once[-12:] or len(self.made)}"
        known = self.notes.get((request.herd, name))
        if known is not None and context.once and request.note is None:
            return known  # made by an earlier try of the same call
        if known is not None:
            raise Conflict(f"there is a note {name}", code="exists")
        if request.dry_run:
            return Note(name, request.text, self.revision, request.marks)
        self.made.append(name)
        return self.put(request.herd, name, request.text, request.marks)

    def _get(self, request: GetNote, context: Context) -> Note:
        del context
        found = self.notes.get((request.herd, request.note))
        if found is None:
            raise NotFound("there is nothing here that you could see")
        return found

    def _list(self, request: ListNotes, context: Context) -> Items[Note]:
        revision = context.position.revision if context.position is not None else self.revision
        after = context.position.after if context.position is not None else ""
        found = [
            note
            for (herd, name), note in sorted(self.notes.items())
            if herd == request.herd and name > after and name.startswith(request.prefix)
        ]
        shown = tuple(found[: request.limit])
        return Items(shown, revision, shown[-1].note if len(found) > len(shown) else "")

    def _update(self, request: UpdateNote, context: Context) -> Note:
        known = self._get(GetNote(request.herd, request.note), context)
        assert context.condition is not None
        context.condition.check(known.revision, what=f"note {known.note}")
        return self.put(request.herd, known.note, request.text)

    def _delete(self, request: GetNote, context: Context) -> None:
        known = self._get(request, context)
        assert context.condition is not None
        context.condition.check(known.revision, what=f"note {known.note}")
        del self.notes[request.herd, request.note]

    def _attach(self, request: AttachToNote, context: Context) -> None:
        self._get(GetNote(request.herd, request.note), context)
        self.attached[request.herd, request.note] = request.content

    def _export(self, request: GetNote, context: Context) -> Content:
        return Content(EXPORT.media_type, self.exported(self._get(request, context)))

    def _watch(self, request: WatchNotes, context: Context) -> AsyncIterator[Event | Bookmark]:
        del context
        since = request.since or self.revision
        if since < self.compacted:
            raise Refused(f"kept from {self.compacted} on", code="compacted", revision=self.compacted)  # fmt: skip
        return self._events(request.herd, since)

    async def _events(self, herd: str, since: int) -> AsyncIterator[Event | Bookmark]:
        place = 0
        while True:
            changed = self.changed
            fresh = self.changes[place:]
            place += len(fresh)  # and not what is added while these are being told
            for whose, event in fresh:
                if event.revision > since and whose in {herd, ""}:
                    yield event
            await changed.wait()


ANNA = Principal(PrincipalKind.USER, "https://login.example:anna")
BERT = Principal(PrincipalKind.USER, "https://login.example:bert")
ROOT = Principal(PrincipalKind.OPERATOR, "root")
HERDS = {"flights": "anna", "trains": "bert"}


class Guests:
    """Tokens `NAME-token`, and who may do what: everything in the herd of one's own, reading only with `NAME-reader`."""

    def __init__(self) -> None:
        self.by_token = {"anna-token": ANNA, "bert-token": BERT}
        self.asked = 0
        self.denied: set[tuple[str, Verb]] = set()
        self.herds: dict[str, set[str]] = {
            ANNA.subject: {"flights"},
            BERT.subject: {"trains"},
            ROOT.subject: {"flights", "trains"},
        }

    async def __call__(self, token: str) -> Principal:
        self.asked += 1
        if token not in self.by_token:
            raise Unauthenticated(f"the token {token} was made up")
        return self.by_token[token]

    def allows(
        self, principal: Principal, verb: Verb, resource: Resource, *, herd: str, name: str
    ) -> bool:
        del resource, name
        return self.sees(principal, herd) and (principal.subject, verb) not in self.denied

    def hides(
        self, principal: Principal, verb: Verb, resource: Resource, *, herd: str, name: str
    ) -> bool:
        del principal, verb, resource, herd, name
        return False

    def sees(self, principal: Principal, herd: str) -> bool:
        return herd in self.herds.get(principal.subject, ())


class MemoryKeys:
    """Keeps records of idempotent calls in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[Record, int]] = {}
        self.is_down = False
        self._versions = 0

    async def read(self, place: str) -> tuple[Record | None, int]:
        return self.kept.get(place, (None, 0))

    async def write(self, place: str, record: Record, *, version: int) -> int:
        await checkpoint()  # another call may come between, as in a store that is elsewhere
        if self.is_down and record.status:
            raise Refused("the store is away", code="unavailable")
        if self.kept.get(place, (None, 0))[1] != version:
            return 0
        self._versions += 1
        self.kept[place] = (record, self._versions)
        return self._versions


def parts_of(notebook: Notebook, guests: Guests | None = None, **changes: Any) -> Parts:
    guests = guests or Guests()
    settings: dict[str, Any] = {
        "service": notebook,
        "authenticate": guests,
        "authorize": guests,
        "keys": MemoryKeys(),
        "cursors": Cursors([b"k" * 32]),
        "limits": Limits(),
    }
    return Parts(**(settings | changes))
