"""Where a thing comes from: a step's function, a contract's class and field, a stream's or parameter's name, the sink that writes a URI, a file."""

from __future__ import annotations

from dataclasses import dataclass

from runink.dsl import vocabulary
from runink.dsl.extents import Extent
from runink.dsl.syntax import Text
from runink.dsl.uris import Location, located
from runink.errors import Span
from runink.lsp.cursor import CONDITIONS
from runink.lsp.fields import contract_at
from runink.lsp.page import Page, inner, word_at
from runink.lsp.project import Offers


@dataclass(frozen=True, slots=True)
class Here:
    """Characters of the page itself."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class There:
    """A place in a file of the project: its line, 1-based, and column, 0-based in characters."""

    file: str
    line: int = 1
    column: int = 0
    length: int = 0


Origin = Here | There


def origins(page: Page, offset: int, offers: Offers) -> list[Origin]:
    """Return where what stands at a place comes from; nothing if that is not known."""
    name = page.name_at(offset)
    if name is not None:
        return [
            Here(one.start, one.end)
            for one in page.names
            if one.is_definition and one.is_same(name)
        ]
    extent = page.extent_at(offset)
    part = extent.at(offset) if extent is not None else None
    if extent is None or part is None or part.nested is not None or offset < part.value_start:
        return []
    kind = vocabulary.ANNOTATIONS.get(extent.name)
    parameter = part.name or (kind.first if kind is not None else "")
    start, end = inner(page.text, part)
    return _of_value(page, extent, parameter, (page.text[start:end], offset), offers)


def _of_value(
    page: Page, extent: Extent, parameter: str, value_at: tuple[str, int], offers: Offers
) -> list[Origin]:
    value, offset = value_at
    match extent.name, parameter:
        case "step", "name":
            file = page.value(extent, "file")
            known = offers.steps_of(file) if file else offers.steps
            return [
                There(one.file, one.line, one.column, one.length)
                for one in known
                if one.name == value
            ]
        case "contract", "path":
            found = offers.class_of(value)
            return (
                [] if found is None else [_class(found.file, found.line, found.column, found.name)]
            )
        case "source", "uri":
            return _writers(page, value) or _file_of(value, offers)
        case (("sink" | "deadletter"), "uri"):
            return _file_of(value, offers)
        case pair if pair in CONDITIONS or pair == ("golden", "key"):
            return _field(page, extent, offset, offers)
        case ("golden", "path") | ("step", "file") | ("step", "run"):
            path = value.partition(" ")[0].removeprefix("./")
            return [There(path)] if path and offers.exists(path) else []
        case "herd", "name":
            path = f"herds/{value}.toml"
            return [There(path)] if offers.exists(path) else []
    return []


def _class(file: str, line: int, column: int, name: str) -> There:
    return There(file, line, column, len(name))


def place_of(uri: str) -> Location | None:
    """Return what a URI means, if it means something."""
    found = located(Text(uri, Span("", 1, 1)), is_sink=False)
    return found if isinstance(found, Location) else None


def _writers(page: Page, uri: str) -> list[Origin]:
    """Return the sinks that write what a URI reads: URIs are compared as the compiler does."""
    wanted = place_of(uri)
    found: list[Origin] = []
    for section in page.sections:
        for extent in section.extents:
            part = page.part(extent, "uri") if extent.name == "sink" else None
            if part is None or wanted is None:
                continue
            start, end = inner(page.text, part)
            location = place_of(page.text[start:end])
            if location is not None and location.uri == wanted.uri:
                found.append(Here(start, end))
    return found


def _file_of(uri: str, offers: Offers) -> list[Origin]:
    location = place_of(uri)
    path = location.path if location is not None and "://" not in location.path else ""
    is_inside = path and not path.startswith("/")
    return [There(path)] if is_inside and offers.exists(path) else []


def _field(page: Page, extent: Extent, offset: int, offers: Offers) -> list[Origin]:
    span, found = word_at(page.text, offset), contract_at(page, extent, offers)
    if span is None or found is None:
        return []
    word = page.text[span[0] : span[1]]
    code = offers.class_of(found[0])
    if code is None or word not in code.fields:
        return []
    return [There(code.file, code.fields[word], 4, len(word))]
