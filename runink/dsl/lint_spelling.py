"""Rules of lint about spelling: what could be said in a plainer or more usual way. Their edits leave the pipeline what it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from runink.dag import Format, Mode
from runink.dsl.edits import Edit
from runink.dsl.lint_subject import Hit, Rule, Subject, first
from runink.dsl.syntax import Document, Header, Text, Word
from runink.dsl.uris import Location, located
from runink.errors import Span

LINE_MAX: Final = 160  # what an error shows of a line (diagnostics.py)
_PLAIN: Final = re.compile(r"true|false|\d+(?:\.\d+)?(?:[A-Za-z]+|%)?")
_BARE: Final = frozenset({"cpu", "memory", "processes", "disk", "io", "isolate", "tolerance"})
_DEFAULTS: Final = {
    ("", "isolate"): "false",
    ("sink", "mode"): Mode.OVERWRITE.value,
    ("deadletter", "mode"): Mode.OVERWRITE.value,
    ("source", "delimiter"): ",",
    ("step", "format"): Format.JSONL.value,
}
_WORDS: Final = {"id": "as", "after": "from"}
_HEADERS: Final = {
    "Example": "Scenario",
    "Scenario Template": "Scenario Outline",
    "Scenarios": "Examples",
}


# Spelling.


def roundabout_uri(subject: Subject) -> Iterator[Hit]:
    for annotation in subject.annotations():
        if annotation.name not in {"source", "sink", "deadletter"}:
            continue
        value = first(annotation, "uri")
        if not isinstance(value, Text) or "${" in value.value or "<" in value.value:
            continue
        location = located(value, is_sink=annotation.name != "source")
        plain = _plain_uri(value.value, location) if isinstance(location, Location) else value.value
        start, end = subject.offsets.range(value.span)
        if plain != value.value and subject.text[start:end] == f'"{value.value}"':
            edit = Edit(start + 1, end - 1, plain)
            yield Hit("L006", f"this is {plain}", value.span, "one place, one spelling", (edit,))


def _plain_uri(uri: str, location: Location) -> str:
    scheme, _, rest = uri.partition(":")
    if location.uri.partition("://")[0] == scheme.lower():
        return location.uri
    return f"{scheme.lower()}://{rest.removeprefix('//')}"  # a name of its own for the place: sf


def quoted_amount(subject: Subject) -> Iterator[Hit]:
    for annotation in subject.annotations():
        for argument in annotation.arguments:
            value = argument.value
            if (
                argument.name not in _BARE
                or not isinstance(value, Text)
                or not _PLAIN.fullmatch(value.value)
            ):
                continue
            start, end = subject.offsets.range(value.span)
            if subject.text[start:end] == f'"{value.value}"':
                edit = Edit(start, end, value.value)
                text = f"{argument.name} needs no quotes"
                yield Hit("L007", text, value.span, f"{argument.name}={value.value}", (edit,))


def said_default(subject: Subject) -> Iterator[Hit]:
    for annotation in subject.annotations():
        for argument in annotation.arguments:
            default = _DEFAULTS.get((annotation.name, argument.name)) or _DEFAULTS.get(
                ("", argument.name)
            )
            value = argument.value
            if default is None or not isinstance(value, Text | Word) or value.value != default:
                continue
            edit = subject.without(annotation, argument)
            text = f"{argument.name} is {default!r} if nothing is said"
            yield Hit("L013", text, argument.span, "take it away", (edit,))


def other_word(subject: Subject) -> Iterator[Hit]:
    for annotation in subject.annotations():
        for argument in annotation.arguments:
            usual = _WORDS.get(argument.name)
            is_ours = annotation.name in {"step", "sink"} and not argument.is_clause
            if usual is not None and is_ours:
                start, end = subject.offsets.range(argument.span)
                edit = Edit(start, end, usual)
                text = f"{argument.name}= is {usual}="
                yield Hit("L014", text, argument.span, f"write {usual}=", (edit,))
    for header in _headers(subject.document):
        usual = _HEADERS.get(header.keyword)
        if usual is not None:
            start = subject.offsets.of(header.span)
            edit = Edit(start, start + len(header.keyword), usual)
            text = f"{header.keyword}: is {usual}:"
            yield Hit("L014", text, header.span, f"write {usual}:", (edit,))


def _headers(document: Document) -> Iterator[Header]:
    for scenario in document.scenarios:
        yield scenario.header
        yield from (one.header for one in scenario.examples)


def long_line(subject: Subject) -> Iterator[Hit]:
    for number, line in enumerate(subject.text.split("\n"), 1):
        size = len(line.rstrip())
        if size > LINE_MAX:
            span = Span(subject.file, number, LINE_MAX + 1, size - LINE_MAX)
            text = f"the line has {size} characters"
            yield Hit("L009", text, span, f"{LINE_MAX} are shown; break it within brackets")


SPELLING: Final[tuple[Rule, ...]] = (
    roundabout_uri,
    quoted_amount,
    said_default,
    other_word,
    long_line,
)
