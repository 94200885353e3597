"""Rules of lint about names and what flows where.

A rule with edits promises that the pipeline is the same behind them.  A rule about what flows where needs the Dag, and is silent without one: then there
are mistakes to mend first.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from runink.dag import Check, Dag, Format, Sink, Source
from runink.dsl.lint_conditions import verdict
from runink.dsl.lint_subject import Hit, Rule, Subject, arguments, first
from runink.dsl.syntax import Annotation, Argument, Items, ScenarioBlock, Text, Word
from runink.dsl.uris import Location, located
from runink.errors import Span

_TEXTS: Final = frozenset({Format.CSV, Format.JSONL, Format.JSON})
_LOWER: Final = re.compile(r"[a-z_][a-z0-9_]*")
_HOLE: Final = re.compile(r"(?<!\$)\$\{(\w+)\}")
_LIKE: Final = (
    (re.compile(r"\bmust (?:not |never |always )?be\b|\b(?:shall|should)\b.*\d", re.IGNORECASE), '"records must be at least 100"'),
    (re.compile(r"\(\s*(?:sinks?|dead[- ]?letters?|sources?)\b", re.IGNORECASE), '"flights" (sink: out/x.csv)'),
    (re.compile(r"\bcontract\s*:|^\w+ (?:the|a|this) contract (?:is )?\w+$", re.IGNORECASE), "the contract: contracts/x.py:Name"),
    (re.compile(r"\bsource\b.*\bfrom\b", re.IGNORECASE), 'source stream "x" from "csv://data/x.csv"'),
    (re.compile(r"\bschema drift\b", re.IGNORECASE), "No schema drift must be detected"),
)  # fmt: skip


# Names.


def unused_stream(subject: Subject) -> Iterator[Hit]:
    for scenario in subject.document.scenarios:
        used = _named_in(scenario)
        for annotation, argument in arguments(scenario.annotations, ("as", "id")):
            name = getattr(argument.value, "value", "")
            if annotation.name == "step" and name and name not in used and subject.dag is not None:
                text = f"nobody in the scenario names {name}"
                edit = subject.without(annotation, argument)
                yield Hit("L001", text, argument.value.span, "take the name away", (edit,))


def _named_in(scenario: ScenarioBlock) -> set[str]:
    """Return all words that may name a stream: what is read by from= and on=, tables of queries, and arguments of functions, which have a side input's name."""
    found: set[str] = set()
    for _, argument in arguments(scenario.annotations, ()):
        if argument.name in {"from", "after", "on", "sql"}:
            values = (
                argument.value.values if isinstance(argument.value, Items) else (argument.value,)
            )
            for value in values:
                found.update(re.findall(r"\w+", str(getattr(value, "value", ""))))
    return found


def unused_parameter(subject: Subject) -> Iterator[Hit]:
    used = {match[1] for match in _HOLE.finditer(subject.text)}
    for annotation in subject.document.annotations:
        value = first(annotation, "name") if annotation.name == "param" else None
        if isinstance(value, Text | Word) and value.value not in used:
            hint = "only a step in Python that asks for it has it"
            yield Hit("L002", f"${{{value.value}}} stands nowhere in the file", value.span, hint)


def upper_case_name(subject: Subject) -> Iterator[Hit]:
    for annotation in subject.annotations():
        values = [one.value for one in annotation.arguments if one.name in {"as", "id"}]
        if annotation.name == "param":
            values.append(first(annotation, "name"))  # type: ignore[arg-type] # of the same kinds
        for value in values:
            if isinstance(value, Text | Word) and value.value and not _LOWER.fullmatch(value.value):
                plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", value.value).lower()
                yield Hit(
                    "L012", f"{value.value} is not in lower case", value.span, f"as in {plain}"
                )


def twin_titles(subject: Subject) -> Iterator[Hit]:
    first: dict[str, int] = {}
    for scenario in subject.document.scenarios:
        title, span = scenario.header.title, scenario.header.span
        if title and title in first:
            text = f"the scenario in line {first[title]} has this title, too"
            yield Hit("L010", text, span, "say what is different")
        first.setdefault(title, span.line)


# What flows where.


def unchecked_source(subject: Subject) -> Iterator[Hit]:
    if subject.dag is None:
        return
    checked = {node.scenario for node in subject.dag.nodes if isinstance(node, Check)}
    for annotation, source in _nodes(subject, subject.dag, Source):
        if not isinstance(source, Source) or source.alias or source.staged_from:
            continue
        if source.format in _TEXTS and source.scenario not in checked:
            hint = 'write @contract("contracts/x.py:Name") below it'
            text = "no contract checks what comes in here"
            yield Hit("L003", text, annotation.span, hint)


def unpromised_sink(subject: Subject) -> Iterator[Hit]:
    if subject.dag is None:
        return
    read = {node.staged_from for node in subject.dag.nodes if isinstance(node, Source)}
    known = {golden.sink for golden in subject.dag.goldens} | read
    for annotation, sink in _nodes(subject, subject.dag, Sink):
        if sink.id not in known:
            text = "no golden says what this must give"
            hint = 'write @golden("golden/x.csv") below it'
            yield Hit("L004", text, annotation.span, hint)


def _nodes(
    subject: Subject, dag: Dag, kind: type[Source | Sink]
) -> Iterator[tuple[Annotation, Source | Sink]]:
    """Yield annotations with the nodes that they made, found by their URIs; those are left out of which it is not sure."""
    by_uri: dict[str, list[Source | Sink]] = {}
    for node in dag.nodes:
        if isinstance(node, kind):
            by_uri.setdefault(node.uri, []).append(node)
    for annotation in subject.annotations():
        value = first(annotation, "uri") if annotation.name == kind.__name__.lower() else None
        location = located(value, is_sink=kind is Sink) if isinstance(value, Text) else None
        found = by_uri.get(location.uri, []) if isinstance(location, Location) else []
        if len(found) == 1:
            yield annotation, found[0]


def idle_request(subject: Subject) -> Iterator[Hit]:
    for scenario in subject.document.scenarios:
        defaults: dict[str, dict[str, str]] = {}
        own: Counter[str] = Counter()
        has_step = False
        for annotation in scenario.annotations:
            if annotation.name == "step":
                has_step, own = True, Counter()
            elif annotation.name in {"requires", "affinity"}:
                own[annotation.name] += 1
                said = _said(annotation)
                if not has_step:
                    defaults.setdefault(annotation.name, {}).update(said)
                elif (
                    own[annotation.name] == 1
                    and said.items() <= defaults.get(annotation.name, {}).items()
                ):
                    edit = subject.without_line(annotation)
                    text = f"the scenario says this @{annotation.name} for all its steps"
                    edits = (edit,) if edit is not None and subject.dag is not None else ()
                    yield Hit("L008", text, annotation.span, "take it away", edits)


def _said(annotation: Annotation) -> dict[str, str]:
    return {
        one.name: repr([getattr(value, "value", "") for value in _values(one)])
        for one in annotation.arguments
    }


def _values(argument: Argument) -> tuple[object, ...]:
    value = argument.value
    return value.values if isinstance(value, Items) else (value,)


def constant_condition(subject: Subject) -> Iterator[Hit]:
    for annotation in subject.annotations():
        for argument in annotation.arguments:
            is_condition = annotation.name == "assert" or (
                argument.is_clause and argument.name == "when"
            )
            value = argument.value
            if is_condition and isinstance(value, Text) and (said := verdict(value.value)):
                yield Hit("L011", said, value.span, "a condition compares a field with something")


def almost_reserved(subject: Subject) -> Iterator[Hit]:
    for line in subject.dag.prose if subject.dag is not None else ():
        if line.became:
            continue
        for pattern, example in _LIKE:
            if pattern.search(line.text):
                start, end = subject.offsets.line_range(line.line)
                bare = subject.text[start:end]
                indent = len(bare) - len(bare.lstrip())
                span = Span(subject.file, line.line, indent + 1, max(len(bare.strip()), 1))
                text = "nothing enforces this sentence, though it looks like one that is"
                yield Hit("L005", text, span, f"what is enforced reads: {example}")
                break


RULES: Final[tuple[Rule, ...]] = (
    unused_stream,
    unused_parameter,
    upper_case_name,
    twin_titles,
    unchecked_source,
    unpromised_sink,
    idle_request,
    constant_condition,
    almost_reserved,
)
