"""What may be written at a place: words of the language, and names that the project has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from lsprotocol.types import CompletionItemKind

from runink.dag import Format
from runink.dsl import vocabulary
from runink.dsl.vocabulary import AnnotationKind, Where
from runink.errors import RuninkError
from runink.expressions import measures
from runink.expressions.functions import SIGNATURES
from runink.expressions.tree import Measure
from runink.identity.roles import Clearances, shown_by_roles
from runink.keywords import BLOCKS, HEADERS, STEPS
from runink.lsp.cursor import Cursor, Kind, at_cursor
from runink.lsp.fields import contract_at, field_text, kind_of
from runink.lsp.page import Page
from runink.lsp.project import Offers
from runink.lsp.vocabulary import AMOUNTS, ANNOTATIONS, UNITS, about, choices
from runink.names import herd_name

TRIGGERS: Final = ["@", "(", '"', "=", ",", "/", "{", " "]
FIGURES: Final = {
    "records": "rows that came out of the sources",
    "rows_in": "the same as records",
    "rows_out": "rows at the end of the chain",
    "rejected": "rows that the scenario's contracts have rejected",
    "rejected_ratio": "rejected, by records",
    Measure.NULL_RATIO.value: "null_ratio(field): which part of the stream's rows has no value",
    Measure.DISTINCT.value: "distinct(field): how many values differ",
    Measure.FRESHNESS.value: "how old the newest row is, by the contract's event time or its only timestamp; of another field freshness(field)",
}
_PATHS: Final = {("golden", "path"): "golden/", ("step", "file"): "steps/", ("step", "run"): "bin/"}
_URI: Final = re.compile(r"(?P<scheme>[a-z]\w*://)(?P<folder>(?:[^/\s\"]+/)*)[^/\s\"]*\Z")
_NUMBER: Final = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Offer:
    """One thing that may be written: `text` takes the place of the characters from `start` to `end`."""

    label: str
    kind: CompletionItemKind
    text: str
    start: int
    end: int
    detail: str = ""
    about: str = ""
    is_snippet: bool = False


def completions(page: Page, offset: int, offers: Offers) -> list[Offer]:
    """Return what may be written at a place, the likeliest first."""
    cursor = at_cursor(page, offset)
    match cursor.kind:
        case Kind.LINE:
            return list(_lines(page, cursor))
        case Kind.ANNOTATION:
            return list(_annotations(page, cursor))
        case Kind.ARGUMENT:
            return [*_parameters(page, cursor), *_firsts(page, cursor, offers)]
        case Kind.VALUE:
            return list(_values(page, cursor, offers))
        case Kind.CONDITION:
            return list(_conditions(page, cursor, offers))
        case Kind.HOLE:
            return list(_holes(page, cursor))
        case Kind.NOTHING:
            return []


def _offer(  # noqa: PLR0913 - a word and all that is said about it
    cursor: Cursor,
    label: str,
    kind: CompletionItemKind,
    *,
    text: str = "",
    detail: str = "",
    about: str = "",
    is_snippet: bool = False,
) -> Offer:
    return Offer(
        label, kind, text or label, cursor.start, cursor.end, detail, about, is_snippet=is_snippet
    )


# Lines and annotations.


def _lines(page: Page, cursor: Cursor) -> Iterator[Offer]:
    yield from _annotations(page, cursor)
    for word in STEPS:
        yield _offer(cursor, word, CompletionItemKind.Keyword, text=f"{word} ")
    for word in (*HEADERS, *BLOCKS):
        yield _offer(cursor, f"{word}:", CompletionItemKind.Keyword, text=f"{word}: ".rstrip())


def _annotations(page: Page, cursor: Cursor) -> Iterator[Offer]:
    section = page.sections[page.section_at(cursor.offset)]
    for name, kind in vocabulary.ANNOTATIONS.items():
        is_here = section.is_scenario or kind.where is not Where.BODY
        if kind.later or not is_here:
            continue
        yield _offer(
            cursor,
            f"@{name}",
            CompletionItemKind.Keyword,
            text=_snippet(kind),
            detail=kind.example,
            about=ANNOTATIONS.get(name, ""),
            is_snippet=True,
        )


def _snippet(kind: AnnotationKind) -> str:
    if not kind.first:
        return f"@{kind.name}($1)$0"
    return f'@{kind.name}("$1")$0'


# Arguments.


def _parameters(page: Page, cursor: Cursor) -> Iterator[Offer]:
    kind = vocabulary.ANNOTATIONS.get(cursor.annotation)
    if kind is None or cursor.extent is None:
        return
    given = {part.name for part in cursor.extent.arguments if part is not cursor.part}
    if any(not part.name for part in cursor.extent.arguments if part is not cursor.part):
        given.add(kind.first)
    for name in (*kind.parameters, *kind.clauses):
        if name in given:
            continue
        is_clause = name in kind.clauses
        has_sign = page.text[cursor.end : cursor.end + 1] in {"=", ":"}
        yield _offer(
            cursor,
            f'{name} "…"' if is_clause else f"{name}=",
            CompletionItemKind.Property,
            text=f'{name} "$1"$0' if is_clause else name if has_sign else f"{name}=",
            detail=about(kind.name, name),
            is_snippet=is_clause,
        )


def _firsts(page: Page, cursor: Cursor, offers: Offers) -> Iterator[Offer]:
    """Yield values of the parameter that needs no name, in quotes, where it may begin."""
    kind = vocabulary.ANNOTATIONS.get(cursor.annotation)
    extent = cursor.extent
    if kind is None or extent is None or not kind.first:
        return
    others = [part for part in extent.arguments if part is not cursor.part]
    if not others or all(part.start > cursor.offset for part in others):
        for name, detail in _names(page, cursor, kind.first, offers):
            text = f'"{name}"'
            yield _offer(cursor, text, CompletionItemKind.Value, text=text, detail=detail)


# Values.


def _values(page: Page, cursor: Cursor, offers: Offers) -> Iterator[Offer]:
    annotation, parameter = cursor.annotation, cursor.parameter
    for word, detail in choices(annotation, parameter).items():
        yield _offer(cursor, word, CompletionItemKind.EnumMember, detail=detail)
    yield from _amounts(cursor)
    is_bare = parameter in {"as", "id", "from", "after", "on"}
    for name, detail in _names(page, cursor, parameter, offers):
        text = name if cursor.is_quoted or is_bare else f'"{name}"'
        yield _offer(cursor, name, CompletionItemKind.Value, text=text, detail=detail)


def _amounts(cursor: Cursor) -> Iterator[Offer]:
    name = f"{cursor.annotation}.{cursor.parameter}"
    if (number := _NUMBER.fullmatch(cursor.prefix)) and name in UNITS:
        for unit in UNITS[name]:
            yield _offer(cursor, f"{number[0]}{unit}", CompletionItemKind.Unit)
    elif not cursor.prefix:
        for amount in AMOUNTS.get(name, ()):
            yield _offer(cursor, amount, CompletionItemKind.Unit)


def _names(page: Page, cursor: Cursor, parameter: str, offers: Offers) -> Iterator[tuple[str, str]]:
    """Yield what a parameter may name, each with a word about it."""
    match cursor.annotation, parameter:
        case "step", "name":
            for step in offers.steps:
                yield step.name, f"{step.file}:{step.line}, each {step.each}"
        case "contract", "path":
            for one in offers.classes:
                yield f"{one.file}:{one.name}", one.doc.partition("\n")[0]
        case "herd", "name":
            for herd in offers.herds():
                yield herd, f"herds/{herd}.toml"
        case ("step" | "sink", "from" | "after") | ("contract", "on"):
            for name in page.streams(page.section_at(cursor.offset)):
                yield name.text, _line_of(page, name.start)
        case "golden", "key":
            found = contract_at(page, cursor.extent, offers) if cursor.extent else None
            for field in found[1].fields if found else ():
                yield field.name, kind_of(field)
        case "sink", "with":
            for role, shown in _roles(_herd(page), offers).items():
                yield f"role={role}", _shown(shown)
        case "source" | "sink" | "deadletter", "uri":
            yield from _uris(page, cursor, offers)
        case ("golden", "path") | ("step", "file") | ("step", "run"):
            yield from _paths(cursor, _PATHS[cursor.annotation, parameter], offers)


def _herd(page: Page) -> str:
    """Return whose pipeline it is, nothing where the page does not say."""
    said = (one for section in page.sections for one in section.extents if one.name == "herd")
    return next((page.value(one, "name") for one in said), "")


def _roles(herd: str, offers: Offers) -> Mapping[str, Clearances]:
    try:
        return offers.shown_by_roles(herd_name(herd))
    except RuninkError:  # the compiler says what is wrong with the herd's name or file
        return shown_by_roles(())


def _shown(marks: Clearances) -> str:
    """Say in a word what a role sees of what is marked."""
    hidden = f", not {', '.join(sorted(marks.hidden))}" if marks.hidden else ""
    return f"sees {', '.join(sorted(marks.shown)) or 'nothing that is marked'}{hidden}"


def _line_of(page: Page, offset: int) -> str:
    number, _ = page.offsets.line(offset)
    start, end = page.offsets.line_range(number)
    return page.text[start:end].strip()


def _uris(page: Page, cursor: Cursor, offers: Offers) -> Iterator[tuple[str, str]]:
    """Yield what the pipeline's sinks write, formats, and files where a folder is begun."""
    if cursor.annotation == "source":
        for section in page.sections:
            for extent in section.extents:
                uri = page.value(extent, "uri") if extent.name == "sink" else ""
                if uri:
                    yield uri, f"written by {section.title}"
    found = _URI.match(cursor.prefix)
    if found is None:
        for one in Format:
            yield f"{one.value}://", ""
        return
    folder = found["folder"]
    for entry in offers.entries(folder):
        yield f"{found['scheme']}{folder}{entry}", ""


def _paths(cursor: Cursor, home: str, offers: Offers) -> Iterator[tuple[str, str]]:
    folder = cursor.prefix.rpartition("/")[0] + "/" if "/" in cursor.prefix else home
    for entry in offers.entries(folder):
        yield f"{folder}{entry}", ""


# Conditions and parameters.


def _conditions(page: Page, cursor: Cursor, offers: Offers) -> Iterator[Offer]:
    if cursor.annotation == "assert":
        for figure, detail in FIGURES.items():
            if figure in measures.FIGURES:
                yield _offer(cursor, figure, CompletionItemKind.Variable, detail=detail)
            if figure in measures.MEASURES:
                label = f"{figure}(field)" if figure in measures.FIGURES else figure
                yield _offer(
                    cursor, label, CompletionItemKind.Function, text=f"{figure}(", detail=detail
                )
    found = contract_at(page, cursor.extent, offers) if cursor.extent is not None else None
    for field in found[1].fields if found is not None else ():
        yield _offer(
            cursor,
            field.name,
            CompletionItemKind.Field,
            detail=kind_of(field),
            about=field_text(found[1], field) if found is not None else "",
        )
    for function, signature in SIGNATURES.items():
        name = function.value
        of = "x." if signature.is_method else ""
        detail = f"{of}{name}(…) is {signature.gives.value}"
        yield _offer(cursor, name, CompletionItemKind.Function, text=f"{name}(", detail=detail)


def _holes(page: Page, cursor: Cursor) -> Iterator[Offer]:
    closing = "" if page.text[cursor.end : cursor.end + 1] == "}" else "}"
    for name in page.parameters():
        yield _offer(
            cursor,
            name.text,
            CompletionItemKind.Variable,
            text=f"{name.text}{closing}",
            detail=_line_of(page, name.start),
        )
