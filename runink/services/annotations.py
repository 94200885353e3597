"""Operations on annotations, carried out."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace as changed

from runink.barn.keys import ANNOTATIONS
from runink.clients.annotations import (
    annotate,
    change_annotation,
    get_annotation,
    no_such_annotation,
)
from runink.clients.barn import Found
from runink.governance.annotations import Annotation, Kind
from runink.identity.vocabulary import Resource
from runink.names import HerdName
from runink.operations.answers import Items
from runink.operations.calls import Caller, Context
from runink.operations.catalog import annotations as catalog
from runink.operations.catalog.annotations import (
    AnnotationDocument,
    CreateAnnotation,
    ListAnnotations,
    OfAnnotation,
    UpdateAnnotation,
)
from runink.services.behind import Behind, not_hidden, principal_of, shown_in
from runink.services.ids import made_id
from runink.services.pages import page_of_keys
from runink.services.service import Handlers

# The kinds of what notes are about that roles name, and what ends the name there.
_ABOUT: Final = {
    Kind.PIPELINE: (Resource.PIPELINES, "@"),
    Kind.CONTRACT: (Resource.CONTRACTS, "@"),
    Kind.FIELD: (Resource.CONTRACTS, "."),
    Kind.RUN: (Resource.RUNS, ""),
}


class AnnotationService:
    """Keeps notes on the things of herds."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def handlers(self) -> Handlers:
        return {
            catalog.LIST: self._list,
            catalog.CREATE: self._create,
            catalog.GET: self._get,
            catalog.UPDATE: self._update,
            catalog.DELETE: self._delete,
        }

    async def _list(
        self, request: ListAnnotations, caller: Caller, context: Context
    ) -> Items[AnnotationDocument]:
        shows = shown_in(self._behind, caller, Resource.ANNOTATIONS, request.herd)

        def show(found: Found[Annotation]) -> AnnotationDocument | None:
            note = found.value
            is_shown = shows(note.id) and self._shows_what_it_is_about(note, caller)
            return _document(found) if is_shown and _is_meant(note, request) else None

        return await page_of_keys(
            self._behind.barn,
            ANNOTATIONS.prefix(request.herd),
            Annotation,
            limit=request.limit,
            position=context.position,
            show=show,
        )

    async def _create(
        self, request: CreateAnnotation, caller: Caller, context: Context
    ) -> AnnotationDocument:
        note = Annotation(
            id=made_id(context, self._behind),
            herd=HerdName(request.herd),
            kind=request.kind,
            name=request.name,
            text=request.text,
            by=principal_of(caller).subject,
            made_ms=self._behind.now_ms(),
            labels=request.labels,
        )
        return _document(await annotate(self._behind.barn, note))

    async def _get(
        self, request: OfAnnotation, caller: Caller, _context: Context
    ) -> AnnotationDocument:
        herd = HerdName(request.herd)
        found = await get_annotation(self._behind.barn, herd, request.annotation)
        self._check_shown(found.value, caller)
        return _document(found)

    def _check_shown(self, note: Annotation, caller: Caller) -> None:
        """Raise NotFound (`no_such_annotation`) for a note on something that a rule hides from the caller."""
        if not self._shows_what_it_is_about(note, caller):
            raise no_such_annotation(note.herd, note.id)

    def _shows_what_it_is_about(self, note: Annotation, caller: Caller) -> bool:
        """Say whether no rule hides from the caller what a note is about."""
        kind, end = _ABOUT.get(note.kind, (None, ""))
        if kind is None:
            return True
        name = note.name.partition(end)[0] if end else note.name
        return not_hidden(self._behind, caller, kind, note.herd)(name)

    async def _update(
        self, request: UpdateAnnotation, caller: Caller, context: Context
    ) -> AnnotationDocument:
        by, now_ms = principal_of(caller).subject, self._behind.now_ms()

        def change(found: Found[Annotation]) -> Annotation:
            self._check_shown(found.value, caller)
            _check(found, context)
            before = found.value
            return changed(
                before,
                text=before.text if request.text is None else request.text,
                labels=before.labels if request.labels is None else request.labels,
                changed_by=by,
                changed_ms=now_ms,
            )

        herd = HerdName(request.herd)
        found = await change_annotation(self._behind.barn, herd, request.annotation, change)
        return _document(found)

    async def _delete(self, request: OfAnnotation, caller: Caller, context: Context) -> None:
        def change(found: Found[Annotation]) -> None:
            self._check_shown(found.value, caller)
            _check(found, context)

        herd = HerdName(request.herd)
        await change_annotation(self._behind.barn, herd, request.annotation, change)


def _check(found: Found[Annotation], context: Context) -> None:
    assert context.condition is not None, "the operation wants one"
    context.condition.check(found.revision, what=f"annotation {found.value.id}")


def _is_meant(note: Annotation, request: ListAnnotations) -> bool:
    return (
        request.kind in {None, note.kind}
        and request.name in {"", note.name}
        and request.author in {"", note.by}
    )


def _document(found: Found[Annotation]) -> AnnotationDocument:
    note = found.value
    return AnnotationDocument(
        annotation=note.id,
        herd=note.herd,
        kind=note.kind,
        name=note.name,
        text=note.text,
        labels=note.labels,
        by=note.by,
        made_ms=note.made_ms,
        changed_by=note.changed_by,
        changed_ms=note.changed_ms,
        revision=found.revision,
    )
