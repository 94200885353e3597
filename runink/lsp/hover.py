"""What is told about the thing under the mouse, as Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from runink.contracts.fields import ContractSpec
from runink.contracts.scopes import fields_of
from runink.dsl import vocabulary
from runink.dsl.extents import Extent, Part
from runink.expressions.measures import event_time
from runink.expressions.tree import Measure
from runink.lsp.completion import FIGURES
from runink.lsp.cursor import CONDITIONS
from runink.lsp.fields import contract_at, contract_text, field_text
from runink.lsp.page import Page, Sort, inner, word_at
from runink.lsp.project import Offers
from runink.lsp.vocabulary import ANNOTATIONS, about, choices

_FRESHNESS: Final = Measure.FRESHNESS.value


@dataclass(frozen=True, slots=True)
class Told:
    """A text about the characters from `start` to `end`."""

    text: str
    start: int
    end: int


def told_at(page: Page, offset: int, offers: Offers) -> Told | None:
    """Return what is known about what stands at a place, or nothing."""
    name = page.name_at(offset)
    if name is not None and not name.is_definition:
        line = _definition_line(page, name.text, name.sort, name.section)
        if line:
            return Told(f"```runink\n{line}\n```", name.start, name.end)
    extent = page.extent_at(offset)
    if extent is None:
        return None
    if offset <= extent.start + 1 + len(extent.name):
        text = _annotation(extent.name)
        return Told(text, extent.start, extent.start + 1 + len(extent.name)) if text else None
    part = extent.at(offset)
    if part is None or part.nested is not None:
        return None
    if part.name and offset < part.start + len(part.name) + 1:
        text = _parameter(extent.name, part.name)
        return Told(text, part.start, part.start + len(part.name)) if text else None
    return _value(page, extent, part, offset, offers)


def _definition_line(page: Page, text: str, sort: Sort, section: int) -> str:
    found = next(
        (
            one
            for one in page.names
            if one.is_definition and (one.text, one.sort, one.section) == (text, sort, section)
        ),
        None,
    )
    if found is None:
        return ""
    number, _ = page.offsets.line(found.start)
    start, end = page.offsets.line_range(number)
    return page.text[start:end].strip()


def _annotation(name: str) -> str:
    kind = vocabulary.ANNOTATIONS.get(name)
    if kind is None:
        return ""
    if kind.later:
        return f"**@{name}** is not there yet: {kind.later}"
    lines = [f"**@{name}** {ANNOTATIONS.get(name, '')}".rstrip()]
    lines.append(f"```runink\n{kind.example}\n```")
    parameters = [
        f"- `{one}`{' (first)' if one == kind.first else ''}: {about(name, one)}"
        for one in (*kind.parameters, *kind.clauses)
    ]
    lines.append("\n".join(parameters))
    return "\n\n".join(lines)


def _parameter(annotation: str, name: str) -> str:
    said = about(annotation, name)
    if not said:
        return ""
    lines = [f"**{name}** {said}"]
    lines.extend(
        f"- `{word}`{f': {detail}' if detail else ''}"
        for word, detail in choices(annotation, name).items()
    )
    return "\n".join(lines) if len(lines) == 1 else f"{lines[0]}\n\n" + "\n".join(lines[1:])


def _value(page: Page, extent: Extent, part: Part, offset: int, offers: Offers) -> Told | None:
    kind = vocabulary.ANNOTATIONS.get(extent.name)
    parameter = part.name or (kind.first if kind is not None else "")
    start, end = inner(page.text, part)
    value = page.text[start:end]
    match extent.name, parameter:
        case "step", "name":
            text = _step(value, page.value(extent, "file"), offers)
        case "contract", "path":
            spec = offers.spec(value)
            text = contract_text(spec) if spec is not None else ""
        case (("source" | "sink" | "deadletter"), "uri"):
            text = _uri(page, value)
        case pair if pair in CONDITIONS or pair == ("golden", "key"):
            return _field(page, extent, offset, offers)
        case _:
            text = choices(extent.name, parameter).get(value, "")
    return Told(text, start, end) if text else None


def _step(name: str, file: str, offers: Offers) -> str:
    known = offers.steps_of(file) if file else offers.steps
    found = next((one for one in known if one.name == name), None)
    if found is None:
        return ""
    head = f"```python\n{found.signature}\n```"
    where = f"each {found.each} · {found.file}:{found.line}"
    return "\n\n".join(part for part in (head, found.doc, where) if part)


def _uri(page: Page, uri: str) -> str:
    lines = [
        f"- {'written' if extent.name == 'sink' else 'read'} by *{section.title}*"
        for section in page.sections
        for extent in section.extents
        if extent.name in {"source", "sink"} and page.value(extent, "uri") == uri
    ]
    return "\n".join([f"`{uri}`", "", *lines]) if lines else ""


def _field(page: Page, extent: Extent, offset: int, offers: Offers) -> Told | None:
    span = word_at(page.text, offset)
    if span is None:
        return None
    word = page.text[span[0] : span[1]]
    found = contract_at(page, extent, offers)
    if extent.name == "assert" and word in FIGURES:
        goes_by = _event_time(found[1]) if found is not None and word == _FRESHNESS else ""
        return Told(f"`{word}`: {FIGURES[word]}{goes_by}", *span)
    if found is None:
        return None
    field = next((one for one in found[1].fields if one.name == word), None)
    return Told(field_text(found[1], field), *span) if field is not None else None


def _event_time(spec: ContractSpec) -> str:
    """Say which field of a contract freshness goes by where none is named, or why there is none."""
    field = event_time(fields_of(spec))
    said = f"by `{field}`" if isinstance(field, str) else f"{field.text}; {field.hint}"
    return f"\n\n{spec.name}: {said}"
