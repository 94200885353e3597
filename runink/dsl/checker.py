"""What a file says as a whole: its parts are there, once, in their place, and have names.

    Outline
      title, herd, parameters, schedule
      scenarios   each as `scenarios.py` reads it, with its id

Within a scenario that could not be read in part nothing is called missing: what is missing may stand in that part.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from runink.calendars import Schedule
from runink.dag import Limit, Prose
from runink.dsl.arguments import Arguments, Parameters
from runink.dsl.blocks import Metadata, with_parameters
from runink.dsl.clauses import MetaClause, RetryClause, TimeoutClause
from runink.dsl.diagnostics import Findings
from runink.dsl.later import tell_later
from runink.dsl.places import priority_of
from runink.dsl.reading import clause_of
from runink.dsl.scenarios import ScenarioOutline, ScenarioReader
from runink.dsl.scheduling import schedule_of
from runink.dsl.syntax import Annotation, Document, ScenarioBlock, Text
from runink.dsl.vocabulary import ANNOTATIONS, ELSEWHERE, FOR_STEPS, Where
from runink.errors import Invalid, Span
from runink.names import HerdName, herd_name
from runink.suggestions import near
from runink.tries import Retry

DEFAULT_HERD: Final = HerdName("default")
NAME_MAX: Final = 63
SCENARIOS_MAX: Final = 500  # of a file: a pipeline of more is several


@dataclass(frozen=True, slots=True)
class Outline:
    title: str
    herd: HerdName
    scenarios: tuple[ScenarioOutline, ...]
    parameters: Parameters
    prose: tuple[Prose, ...] = ()  # of the file, and of its rules
    metadata: dict[str, str] = field(default_factory=dict)
    schedule: Schedule | None = None
    retry: Retry | None = None  # of all scenarios that say nothing of it
    deadline: Limit | None = None  # of a run
    priority: int | None = None


def outlined(document: Document, given: Mapping[str, str], findings: Findings) -> Outline:
    """Return what the document says; `given` are the parameters' values from outside."""
    checker = _Checker(findings)
    checker.file(document, given)
    checker.parts(document)
    scenarios = tuple(checker.scenario(block) for block in document.scenarios[:SCENARIOS_MAX])
    title = document.feature.title if document.feature is not None else ""
    if checker.name is not None and checker.name.value != title:
        checker.metadata.setdefault("name", checker.name.value)
    return Outline(
        title or checker.metadata.get("name", ""),
        checker.herd,
        scenarios,
        checker.parameters,
        _file_prose(document),
        checker.metadata,
        checker.schedule,
        checker.retry,
        checker.deadline,
        checker.priority,
    )


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
        self.metadata: dict[str, str] = {}
        self.name: Text | None = None  # what `@feature` calls the file
        self.retry: Retry | None = None
        self.deadline: Limit | None = None
        self.priority: int | None = None
        self._findings = findings
        self._herd: tuple[HerdName, Span] | None = None
        self._schedule: tuple[Schedule, Span] | None = None
        self._seen: dict[str, Span] = {}
        self._ids: list[str] = []

    # The file.

    def file(self, document: Document, given: Mapping[str, str]) -> None:
        """Read the annotations and blocks of the file; parameters first, because the others may use them."""
        mine = [one for one in document.annotations if self._is_known(one, Where.FILE)]
        declared: dict[str, Arguments] = {}
        for annotation in mine:
            if annotation.name == "param":
                self._param(annotation, given, declared)
        self._check_given(given)
        for annotation in mine:
            self._of_file(annotation)
        metadata = Metadata(self._findings)
        for block in document.blocks:
            if block.keyword == "Metadata":
                metadata.take(with_parameters(block, self.parameters, self._findings), is_file=True)
            else:
                hint = "put it below a Scenario:"
                text = f"{block.keyword}: stands in a scenario"
                self._findings.add("D013", text, block.span, hint)
        if "herd" in metadata.texts:
            self._say_herd(metadata.texts.pop("herd"))
        self.metadata |= {name: text.value for name, text in metadata.texts.items()}

    def _of_file(self, annotation: Annotation) -> None:
        kind = ANNOTATIONS[annotation.name]
        if annotation.name == "param":
            return
        is_single = kind.is_single or annotation.name in FOR_STEPS
        if is_single and annotation.name in self._seen:
            labels = [(self._seen[annotation.name], "here")]
            told = f"@{annotation.name} stands in the file already"
            self._findings.add("D016", told, annotation.span, "a file has one", labels=labels)
            return
        self._seen[annotation.name] = annotation.span
        arguments = Arguments(annotation, kind, self._findings, self.parameters)
        match annotation.name:
            case "herd":
                herd = arguments.text("name")
            case "feature":
                herd = arguments.text("herd")
                self.name = arguments.text("name")
            case "schedule":
                herd = None
                self._say_schedule(schedule_of(arguments), annotation.span)
            case "priority":
                herd = None
                self.priority = priority_of(arguments)
            case _:
                herd = None
                clause = clause_of(arguments)
                if isinstance(clause, MetaClause):
                    self.metadata |= clause.values
                elif isinstance(clause, RetryClause):
                    self.retry = clause.retry
                elif isinstance(clause, TimeoutClause):
                    self.deadline = clause.limit
        if herd is not None and arguments.is_usable:
            self._say_herd(herd)

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
            text = f"parameter {name.value} is declared twice"
            arguments.unfit("name", text, "leave one of them away", "D016")
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

    def _say_herd(self, text: Text) -> None:
        """Take a herd that is named somewhere; a pipeline has one."""
        try:
            herd = herd_name(text.value)
        except Invalid as error:
            self._findings.add("D015", error.text, text.span, error.hint)
            return
        if self._herd is None:
            self._herd = herd, text.span
        elif self._herd[0] != herd:
            told = f"a pipeline has one herd, and this is another: {herd}"
            labels = [(self._herd[1], f"{self._herd[0]} is named here")]
            self._findings.add("D026", told, text.span, "name one of them", labels=labels)

    def _say_schedule(self, schedule: Schedule | None, span: Span) -> None:
        """Take a schedule that is said somewhere: what is due is the whole pipeline, so it has one."""
        if schedule is None:
            return
        if self._schedule is None:
            self._schedule = schedule, span
        elif self._schedule[0] != schedule:
            told = "a pipeline has one schedule, and this is another"
            labels = [(self._schedule[1], "it is said here")]
            hint = "what is due at another time is a pipeline of its own"
            self._findings.add("D016", told, span, hint, labels=labels)

    @property
    def schedule(self) -> Schedule | None:
        return None if self._schedule is None else self._schedule[0]

    @property
    def herd(self) -> HerdName:
        return DEFAULT_HERD if self._herd is None else self._herd[0]

    def parts(self, document: Document) -> None:
        """Check that a file has a feature and scenarios."""
        first = self._findings.span(1, 1)
        if document.feature is None and self.name is None and not document.is_broken:
            place = document.scenarios[0].header.span if document.scenarios else first
            self._findings.add(
                "D020", "there is no Feature:", place, "write Feature: and a title above it"
            )
        elif document.feature is not None and not document.feature.title:
            hint = "write what the pipeline is about behind Feature:"
            self._findings.add("D020", "the feature has no title", document.feature.span, hint)
        if not document.scenarios and not document.is_broken and document.feature is not None:
            self._findings.add(
                "D020",
                "there is no scenario",
                document.feature.span,
                "write Scenario: and a title below it",
            )
        lived_in = {id(one.rule) for one in document.scenarios}
        for rule in document.rules:
            if rule.background is not None and id(rule) not in lived_in:
                text = "no scenario begins with this"
                hint = "write Scenario: below it, or take it away"
                self._findings.add("D020", text, rule.background.header.span, hint)
            for annotation in rule.decorations:
                text = f"@{annotation.name} stands above Rule:"
                hint = "put it above or below a Scenario:"
                self._findings.add("D013", text, annotation.span, hint)
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
            hint = "write what it does behind the colon: its id is made of that"
            self._findings.add("D020", "the scenario has no title", block.header.span, hint)
        known = [
            one for one in block.annotations if self._is_known(one, Where.SCENARIO, Where.BODY)
        ]
        reader = ScenarioReader(block.header.title, self.parameters, self._findings)
        said = reader.read(block, known)
        for herd in said.herds:
            self._say_herd(herd)
        if said.schedule is not None:
            self._say_schedule(*said.schedule)
        module = {name: text.value for name, text in said.module.items()}
        identity = unique(named(module.get("layer") or block.header.title, "scenario"), self._ids)
        self._ids.append(identity)
        return ScenarioOutline(
            id=identity,
            title=block.header.title,
            span=block.header.span,
            module=module,
            clauses=tuple(said.clauses),
            prose=tuple(Prose(identity, text, line, became) for text, line, became in said.lines),
            is_broken=block.is_broken or len(self._findings) > before,
            metadata=said.metadata,
            notes=tuple(f"{identity}: {note}" for note in said.notes),
        )

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
