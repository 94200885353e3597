"""Operations on annotations: notes on the things of a herd."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from runink.governance.annotations import (
    LABEL_MAX,
    LABELS_MAX,
    NAME_MAX,
    TEXT_MAX,
    Kind,
)
from runink.identity.vocabulary import Resource, Verb
from runink.operations import answers
from runink.operations.declarations import Asked, AskedPage, Method, Operation
from runink.operations.patterns import HerdText, exact

AnnotationText = Annotated[
    str, msgspec.Meta(pattern=exact("[0-9A-HJKMNP-TV-Z]{26}"), description="An annotation's id.")
]
ThingText = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=NAME_MAX,
        pattern=exact(r"[^\x00-\x1f\x7f]+"),
        description="What the thing is called: a URI, a name, NAME@VERSION, CONTRACT.FIELD, a run's id.",
    ),
]
NoteText = Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_MAX)]
LabelName = Annotated[str, msgspec.Meta(min_length=1, max_length=LABEL_MAX)]
LabelValue = Annotated[str, msgspec.Meta(max_length=LABEL_MAX)]
Labels = Annotated[dict[LabelName, LabelValue], msgspec.Meta(max_length=LABELS_MAX)]


class ListAnnotations(AskedPage, frozen=True, kw_only=True):
    """Those that are about the named thing, of the named kind, made by the `author`; all where nothing is named."""

    herd: HerdText
    kind: Kind | None = None
    name: Annotated[str, msgspec.Meta(max_length=NAME_MAX)] = ""
    author: Annotated[str, msgspec.Meta(max_length=NAME_MAX)] = ""


class CreateAnnotation(Asked, frozen=True, kw_only=True):
    herd: HerdText
    kind: Kind
    name: ThingText
    text: NoteText
    labels: Labels = msgspec.field(default_factory=dict)


class OfAnnotation(Asked, frozen=True, kw_only=True):
    herd: HerdText
    annotation: AnnotationText


class UpdateAnnotation(OfAnnotation, frozen=True, kw_only=True):
    """What is not said stays as it is."""

    text: NoteText | None = None
    labels: Labels | None = None


class AnnotationDocument(msgspec.Struct, frozen=True):
    """A note on a thing. `changed_ms` is 0 where nobody has changed it."""

    annotation: str
    herd: str
    kind: Kind
    name: str
    text: str
    labels: dict[str, str]
    by: str
    made_ms: int
    changed_by: str
    changed_ms: int
    revision: int


LIST: Final = Operation(
    name="annotations.list",
    method=Method.GET,
    path="/herds/{herd}/annotations",
    request=ListAnnotations,
    answer=AnnotationDocument,
    kind=answers.Kind.PAGE,
    verb=Verb.LIST,
    resource=Resource.ANNOTATIONS,
    summary="List notes on things of the herd, the oldest first.",
)
CREATE: Final = Operation(
    name="annotations.create",
    method=Method.POST,
    path="/herds/{herd}/annotations",
    request=CreateAnnotation,
    answer=AnnotationDocument,
    status=201,
    verb=Verb.CREATE,
    resource=Resource.ANNOTATIONS,
    summary="Put a note on a thing.",
    errors=("annotations_full", "herd_deleted"),
    is_idempotent=True,
    example={"kind": "dataset", "name": "file:///data/flights.csv", "text": "late on Mondays"},
)
GET: Final = Operation(
    name="annotations.get",
    method=Method.GET,
    path="/herds/{herd}/annotations/{annotation}",
    request=OfAnnotation,
    answer=AnnotationDocument,
    verb=Verb.GET,
    resource=Resource.ANNOTATIONS,
    summary="Read a note.",
)
UPDATE: Final = Operation(
    name="annotations.update",
    method=Method.PATCH,
    path="/herds/{herd}/annotations/{annotation}",
    request=UpdateAnnotation,
    answer=AnnotationDocument,
    verb=Verb.UPDATE,
    resource=Resource.ANNOTATIONS,
    summary="Change a note.",
    is_conditional=True,
)
DELETE: Final = Operation(
    name="annotations.delete",
    method=Method.DELETE,
    path="/herds/{herd}/annotations/{annotation}",
    request=OfAnnotation,
    kind=answers.Kind.NOTHING,
    status=204,
    verb=Verb.DELETE,
    resource=Resource.ANNOTATIONS,
    summary="Take a note away.",
    is_conditional=True,
)
ANNOTATIONS: Final = (LIST, CREATE, GET, UPDATE, DELETE)
