"""One file as the rules of lint see it, and what a rule finds in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from runink.dag import Dag
from runink.dsl.edits import Edit, Offsets
from runink.dsl.extents import Extent, Part, extents
from runink.dsl.syntax import Annotation, Argument, Document
from runink.dsl.vocabulary import ANNOTATIONS
from runink.errors import Span


@dataclass(frozen=True, slots=True)
class Hit:
    """What a rule has found; its code says how bad that is."""

    code: str
    text: str
    span: Span
    hint: str = ""
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True, slots=True)
class Subject:
    text: str
    file: str
    document: Document
    dag: Dag | None
    offsets: Offsets

    def annotations(self) -> Iterator[Annotation]:
        """Yield all annotations that can be read, by scenario."""
        yield from self.document.annotations
        for scenario in self.document.scenarios:
            yield from scenario.annotations

    def extent(self, annotation: Annotation) -> Extent:
        return extents(self.text, self.offsets.of(annotation.span))[0]

    def part(self, annotation: Annotation, argument: Argument) -> Part:
        """Return where an argument stands."""
        at = self.offsets.of(argument.span)
        extent = self.extent(annotation)
        return next(part for part in extent.arguments if part.start <= at <= part.end)

    def without(self, annotation: Annotation, argument: Argument) -> Edit:
        """Return the edit that takes an argument away, and its comma."""
        extent, part = self.extent(annotation), self.part(annotation, argument)
        at = next(place for place, one in enumerate(extent.arguments) if one.start == part.start)
        if at + 1 < len(extent.arguments):
            return Edit(part.start, extent.arguments[at + 1].start, "")
        start = extent.arguments[at - 1].end if at else part.start
        return Edit(start, part.end, "")

    def without_line(self, annotation: Annotation) -> Edit | None:
        """Return the edit that takes away an annotation that has its lines for itself; nothing if it has not."""
        extent = self.extent(annotation)
        start = self.text.rfind("\n", 0, extent.start) + 1
        end = self.text.find("\n", extent.end)
        end = len(self.text) if end < 0 else end + 1
        is_alone = not (self.text[start : extent.start] + self.text[extent.end : end]).strip()
        return Edit(start, end, "") if is_alone else None


Rule = Callable[[Subject], Iterator[Hit]]


def arguments(
    annotations: list[Annotation], names: tuple[str, ...]
) -> Iterator[tuple[Annotation, Argument]]:
    for annotation in annotations:
        for argument in annotation.arguments:
            if not names or argument.name in names:
                yield annotation, argument


def first(annotation: Annotation, name: str) -> object:
    """Return an annotation's parameter, also where it goes without its name."""
    kind = ANNOTATIONS.get(annotation.name)
    first = kind.first if kind is not None else ""
    return next(
        (
            one.value
            for one in annotation.arguments
            if one.name == name or (not one.name and first == name)
        ),
        None,
    )
