"""What a file says as a whole: its parts are there, once, in their place, and have names.

    Outline
      title, herd, parameters
      scenarios   each with its id, its clauses in the order they stand, and its prose

Within a scenario that could not be read in part nothing is called missing: what is missing may stand in that part.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from runink.dag import Prose
from runink.dsl.arguments import Arguments, Parameters
from runink.dsl.clauses import Clause, clause_of
from runink.dsl.diagnostics import Findings, near
from runink.dsl.later import tell_inner, tell_later
from runink.dsl.syntax import Annotation, Document, Entry, ScenarioBlock, Text
from runink.dsl.vocabulary import ANNOTATIONS, ELSEWHERE, Where
from runink.errors import Invalid, Span
from runink.names import HerdName, herd_name

DEFAULT_HERD: Final = HerdName("default")
NAME_MAX: Final = 63
SCENARIOS_MAX: Final = 500  # of a file: a pipeline of more is several


@dataclass(frozen=True, slots=True)
class ScenarioOutline:
    id: str
    title: str
    span: Span
    module: dict[str, str]
    clauses: tuple[Clause, ...]
    prose: tuple[Prose, ...]
    is_broken: bool


@dataclass(frozen=True, slots=True)
class Outline:
    title: str
    herd: HerdName
    scenarios: tuple[ScenarioOutline, ...]
    parameters: Parameters
    prose: tuple[Prose, ...] = ()  # of the file, and of its rules


def outlined(document: Document, given: Mapping[str, str], findings: Findings) -> Outline:
    """Return what the document says; `given` are the parameters' values from outside."""
    checker = _Checker(findings)
    herd = checker.file(document, given)
    checker.parts(document)
    scenarios = tuple(checker.scenario(block) for block in document.scenarios[:SCENARIOS_MAX])
    title = document.feature.title if document.feature is not None else ""
    return Outline(title, herd, scenarios, checker.parameters, _file_prose(document))


def _file_prose(document: Document) -> tuple[Prose, ...]:
    """Return what stands below Feature:, Background: and Rule: for people, and the rules' titles."""
    headers = [document.feature, document.background.header if document.background else None]
    told: list[Text] = []
    for rule in document.rules:
        headers += [rule.header, rule.background.header if rule.background else None]
    for header in (one for one in headers if one is not None):
        if header.title and header is not document.feature and header.title_text is not None:
            told.append(header.title_text)
        told += header.description
    return tuple(Prose("", one.value, one.span.line) for one in told)


def _prose(block: ScenarioBlock) -> Iterator[tuple[str, int]]:
    """Yield every line of a scenario that is for people, with its number."""
    for line in block.header.description:
        yield line.value, line.span.line
    for step in block.steps:
        yield step.sentence, step.span.line
        for bullet in _entries(step.bullets):
            yield f"- {bullet.text.value}", bullet.span.line
        for row in step.table.rows if step.table is not None else ():
            yield f"| {' | '.join(cell.value for cell in row.cells)} |", row.span.line
        if step.doc is not None:
            for number, line_text in enumerate(step.doc.text.value.split("\n"), 1):
                yield line_text, step.doc.span.line + number


def _entries(entries: Iterable[Entry]) -> Iterator[Entry]:
    for entry in entries:
        if entry.is_bullet:
            yield entry
        yield from _entries(entry.entries)


def named(text: str, fallback: str) -> str:
    """Make a name of a title: lower-case ASCII letters, digits, - and _."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9_]+", "-", plain).strip("-_")
    if name and not name[0].isalpha():
        name = f"{fallback}-{name}"
    return name[:NAME_MAX].rstrip("-_") or fallback


def unique(name: str, taken: Iterable[str]) -> str:
    """Return the name, or with `-2`, `-3` behind it the first that is free."""
    known = set(taken)
    if name not in known:
        return name
    return next(
        found for number in range(2, len(known) + 3) if (found := f"{name}-{number}") not in known
    )


class _Checker:
    def __init__(self, findings: Findings) -> None:
        self.parameters = Parameters()
        self._findings = findings
        self._ids: list[str] = []

    # The file.

    def file(self, document: Document, given: Mapping[str, str]) -> HerdName:
        """Read the annotations of the file; parameters first, because the others may use them."""
        mine = [one for one in document.annotations if self._is_known(one, Where.FILE)]
        declared: dict[str, Arguments] = {}
        for annotation in mine:
            if annotation.name == "param":
                self._param(annotation, given, declared)
        self._check_given(given)
        herds = [one for one in mine if one.name == "herd"]
        for extra in herds[1:]:
            self._findings.add("D016", "a pipeline has one herd", extra.span)
        return self._herd(herds[0]) if herds else DEFAULT_HERD

    def _param(
        self, annotation: Annotation, given: Mapping[str, str], declared: dict[str, Arguments]
    ) -> None:
        arguments = Arguments(annotation, ANNOTATIONS["param"], self._findings, Parameters())
        name, default = arguments.text("name"), arguments.text("default")
        arguments.text("description")
        if name is None or not name.value:
            return
        if not (name.value.isidentifier() and name.value.isascii()):
            arguments.unfit(
                "name", f"{name.value!r} is no name", "letters, digits and _, the first a letter"
            )
        elif name.value in declared:
            arguments.unfit("name", f"parameter {name.value} is declared twice", code="D016")
        else:
            declared[name.value] = arguments
            self.parameters.values[name.value] = given.get(
                name.value, default.value if default is not None else None
            )

    def _check_given(self, given: Mapping[str, str]) -> None:
        for name in given:
            if name not in self.parameters.values:
                declared = ", ".join(self.parameters.values)
                hint = near(name, self.parameters.values) or (
                    f"it has {declared}"
                    if declared
                    else f'declare it above Feature: @param("{name}")'
                )
                self._findings.add(
                    "D070", f"--param {name}: the pipeline has no such parameter", None, hint
                )

    def _herd(self, annotation: Annotation) -> HerdName:
        arguments = Arguments(annotation, ANNOTATIONS["herd"], self._findings, self.parameters)
        text = arguments.text("name")
        if text is None or not arguments.is_usable:
            return DEFAULT_HERD
        try:
            return herd_name(text.value)
        except Invalid as error:
            arguments.unfit("name", error.text, error.hint)
            return DEFAULT_HERD

    def parts(self, document: Document) -> None:
        """Check that a file has a feature and scenarios."""
        first = self._findings.span(1, 1)
        if document.feature is None and not document.is_broken:
            place = document.scenarios[0].header.span if document.scenarios else first
            self._findings.add(
                "D020", "there is no Feature:", place, "write Feature: and a title above it"
            )
        elif document.feature is not None and not document.feature.title:
            self._findings.add("D020", "the feature has no title", document.feature.span)
        if not document.scenarios and not document.is_broken and document.feature is not None:
            self._findings.add(
                "D020",
                "there is no scenario",
                document.feature.span,
                "write Scenario: and a title below it",
            )
        for block in document.scenarios[SCENARIOS_MAX : SCENARIOS_MAX + 1]:
            self._findings.add(
                "D020",
                f"more than {SCENARIOS_MAX} scenarios",
                block.header.span,
                "make several pipelines of them",
            )

    # A scenario.

    def scenario(self, block: ScenarioBlock) -> ScenarioOutline:
        before = len(self._findings)
        if not block.header.title and not block.is_broken:
            self._findings.add("D020", "the scenario has no title", block.header.span)
        module: dict[str, str] = {}
        clauses: list[Clause] = []
        seen: dict[str, Annotation] = {}
        for annotation in block.annotations:
            if not self._is_known(annotation, Where.SCENARIO, Where.BODY):
                continue
            kind = ANNOTATIONS[annotation.name]
            if kind.is_single and annotation.name in seen:
                first = seen[annotation.name].span.line
                text = f"@{annotation.name} stands in the scenario already, in line {first}"
                self._findings.add("D016", text, annotation.span, "a scenario has one")
                continue
            seen[annotation.name] = annotation
            arguments = Arguments(annotation, kind, self._findings, self.parameters)
            tell_inner(arguments, self.parameters, self._findings)
            if annotation.name == "module":
                module = self._module(arguments)
            elif (clause := clause_of(arguments)) is not None:
                clauses.append(clause)
        identity = unique(named(module.get("layer") or block.header.title, "scenario"), self._ids)
        self._ids.append(identity)
        return ScenarioOutline(
            id=identity,
            title=block.header.title,
            span=block.header.span,
            module=module,
            clauses=tuple(clauses),
            prose=tuple(Prose(identity, text, line) for text, line in _prose(block)),
            is_broken=block.is_broken or len(self._findings) > before,
        )

    def _module(self, arguments: Arguments) -> dict[str, str]:
        found = {name: arguments.text(name) for name in arguments.kind.parameters}
        return {name: text.value for name, text in found.items() if text is not None and text.value}

    def _is_known(self, annotation: Annotation, *places: Where) -> bool:
        """Say whether there is such an annotation, its part is there, and it stands where it may."""
        name, span = annotation.name, annotation.span
        kind = ANNOTATIONS.get(name)
        if kind is not None and kind.where not in {*places, Where.ANYWHERE}:
            self._findings.add(
                "D013", f"@{name} stands {kind.where.value}", span, f"as in {kind.example}"
            )
        elif kind is not None:
            if kind.later:
                tell_later(annotation, kind, self.parameters, self._findings)
            return not kind.later
        elif name in ELSEWHERE:
            self._findings.add("D010", f"there is no annotation @{name}", span, ELSEWHERE[name])
        else:
            hint = near(name, ANNOTATIONS, prefix="@") or "there are " + ", ".join(
                f"@{one}" for one in ANNOTATIONS
            )
            self._findings.add("D010", f"there is no annotation @{name}", span, hint)
        return False
