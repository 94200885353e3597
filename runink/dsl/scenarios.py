"""A scenario's lines, read: annotations, sentences and blocks become clauses in the order they stand; what becomes nothing is for people.

A contract that is said to be the scenario's (`Given the contract: X`, `contract:` in Metadata, `Properties:`) checks its sources, wherever it
stands: it is put right behind them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from runink.calendars import Schedule
from runink.contracts.fields import OnDrift
from runink.dag import Prose
from runink.dsl import blocks
from runink.dsl.arguments import Arguments, Parameters
from runink.dsl.clauses import (
    Clause,
    ContractClause,
    MetaClause,
    NodeClause,
    SourceClause,
    StepClause,
)
from runink.dsl.diagnostics import Findings
from runink.dsl.inline import contract_of
from runink.dsl.later import tell_inner
from runink.dsl.reading import clause_of
from runink.dsl.scheduling import schedule_of
from runink.dsl.sentences import Read, Sentences, contract_clause, doubt
from runink.dsl.syntax import Annotation, Block, Entry, ScenarioBlock, Step, Text
from runink.dsl.vocabulary import ANNOTATIONS
from runink.errors import Span


@dataclass(frozen=True, slots=True)
class ScenarioOutline:
    """A scenario as it is said: `prose` are all its sentences, those that became something, too."""

    id: str
    title: str
    span: Span
    module: dict[str, str]
    clauses: tuple[Clause, ...]
    prose: tuple[Prose, ...]
    is_broken: bool
    metadata: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Said:
    """What has been read of a scenario so far: its lines' text, number, and what they became. `module` knows where its values stand."""

    clauses: list[Clause] = field(default_factory=list)
    lines: list[tuple[str, int, str]] = field(default_factory=list)
    module: dict[str, Text] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    herds: list[Text] = field(default_factory=list)
    schedule: tuple[Schedule | None, Span] | None = None


class ScenarioReader:
    """Reads one scenario. `is_known` says whether an annotation may stand there, and tells it if not."""

    def __init__(self, title: str, parameters: Parameters, findings: Findings) -> None:
        self.said = Said()
        self._title = title
        self._parameters = parameters
        self._findings = findings
        self._sentences = Sentences(parameters, findings)
        self._metadata = blocks.Metadata(findings)
        self._seen: dict[str, Annotation] = {}
        self._no_drift: Span | None = None
        self._inline: list[Block] = []  # contracts that stand in the file

    def read(self, scenario: ScenarioBlock, known: Sequence[Annotation]) -> Said:
        """Return what the scenario says; annotations that are not `known` have been told."""
        usable = {id(one) for one in known}
        for line in scenario.header.description:
            self.said.lines.append((line.value, line.span.line, ""))
        for item in (*scenario.decorations, *scenario.items):
            match item:
                case Annotation():
                    if id(item) in usable:
                        self._annotation(item)
                case Step():
                    self._step(item)
                case Block(entries=[]):
                    hint = "write its lines below it, indented, or take it away"
                    self._findings.add("D014", f"{item.keyword}: says nothing", item.span, hint)
                case Block():
                    self._block(item)
        self._keep_metadata()
        for block in self._inline:
            self._properties(block)
        self.said.clauses = self._arranged()
        if self._no_drift is not None:
            self._forbid_drift(self._no_drift)
        return self.said

    # Annotations.

    def _annotation(self, annotation: Annotation) -> None:
        kind = ANNOTATIONS[annotation.name]
        if kind.is_single and annotation.name in self._seen:
            first = self._seen[annotation.name].span
            text = f"@{annotation.name} stands in the scenario already, in line {first.line}"
            labels = [(first, "here")]
            self._findings.add("D016", text, annotation.span, "a scenario has one", labels=labels)
            return
        self._seen[annotation.name] = annotation
        arguments = Arguments(annotation, kind, self._findings, self._parameters)
        tell_inner(arguments, self._parameters, self._findings)
        if annotation.name == "module":
            self._module(arguments)
            return
        if annotation.name == "schedule":
            self.said.schedule = schedule_of(arguments), annotation.span
            return
        clause = clause_of(arguments)
        if clause is not None:
            self._add(clause)
        for inner in arguments.inner:
            if not ANNOTATIONS[inner.name].later:
                within = Arguments(inner, ANNOTATIONS[inner.name], self._findings, self._parameters)
                meta = clause_of(within)
                if meta is not None and clause is not None:
                    self._add(meta)

    def _module(self, arguments: Arguments) -> None:
        if not arguments.names and arguments.is_usable:
            arguments.lacks("something to say", f"as in {arguments.kind.example}")
        for name in arguments.names:
            text = arguments.text(name)
            if text is None:
                continue
            if not text.value and arguments.is_usable:
                arguments.unfit(name, f"{name} has no value", f"leave {name} away", "D014")
            elif name == "herd":
                self.said.herds.append(text)
            else:
                self.said.module[name] = text

    def _add(self, clause: Clause | MetaClause) -> None:
        """Take a clause; what people say of the line above is said of the scenario where there is none."""
        if not isinstance(clause, MetaClause):
            self.said.clauses.append(clause)
            return
        for at, one in reversed([*enumerate(self.said.clauses)]):
            if isinstance(one, NodeClause):
                self.said.clauses[at] = replace(one, meta={**one.meta, **clause.values})
                return
        self.said.metadata |= clause.values

    # Sentences.

    def _step(self, step: Step) -> None:
        self._sentence(step.text, step.sentence, step.span.line)
        self._bullets(step.bullets)
        for row in step.table.rows if step.table is not None else ():
            told = f"| {' | '.join(cell.value for cell in row.cells)} |"
            self.said.lines.append((told, row.span.line, ""))
        if step.doc is not None:
            if step.doc.media:
                self.said.lines.append((step.doc.media, step.doc.span.line, ""))
            for number, line in enumerate(step.doc.text.value.split("\n"), 1):
                self.said.lines.append((line, step.doc.span.line + number, ""))

    def _bullets(self, entries: Sequence[Entry]) -> None:
        for entry in _flat(entries):
            self._sentence(entry.text, _told(entry), entry.span.line)

    def _sentence(self, text: Text, told: str, line: int) -> None:
        found = self._sentences.read(text)
        self._took(found, told, line)
        if found is None and (said := doubt(text)):
            self.said.notes.append(f"line {line} {said}: nothing keeps it")

    def _took(self, found: Read | None, told: str, line: int) -> None:
        self.said.lines.append((told, line, "" if found is None else found.became))
        if found is None:
            return
        self._no_drift = self._no_drift or found.no_drift
        for clause in found.clauses:
            self._add(clause)

    # Blocks.

    def _block(self, block: Block) -> None:
        if block.keyword != "Then":  # sentences know themselves where parameters go
            block = blocks.with_parameters(block, self._parameters, self._findings)
        match block.keyword:
            case "Metadata":
                self._metadata.take(block, is_file=False)
            case "Assertions":
                for entry in _flat(block.entries):
                    found = blocks.assertion(entry, self._sentences, self._findings)
                    self._took(found, _told(entry), entry.span.line)
            case "GoldenTest":
                for clause in blocks.golden(block, self._findings):
                    self._add(clause)
            case "Notifications":
                for entry in _flat(block.entries):
                    blocks.notification(entry, self._findings)
            case "Properties" | "properties":
                self._inline.append(block)
            case _:
                self._bullets(block.entries)

    def _properties(self, block: Block) -> None:
        version = self._metadata.texts.get("contract_version")
        name = "".join(word.capitalize() for word in self._title.split() if word.isalnum())
        told = version.value if version is not None else ""
        spec = contract_of(block, name or "Row", told, self._findings)
        if spec is not None:
            path = Text(f"{block.keyword}:", block.span)
            self._add(replace(contract_clause(path), spec=spec))

    def _keep_metadata(self) -> None:
        texts = dict(self._metadata.texts)
        for key, name in blocks.LAYER_KEYS.items():
            text = texts.pop(key, None)
            if text is None:
                continue
            other = self.said.module.get(name)
            if other is not None and other.value != text.value:
                told = f"{name} is {other.value} and {text.value}"
                self._findings.add("D016", told, text.span, labels=[(other.span, "here")])
            self.said.module.setdefault(name, text)
        if "herd" in texts:
            self.said.herds.append(texts.pop("herd"))
        self._keep_contract(texts.pop("contract", None), texts.pop("contract_version", None))
        self.said.metadata |= {name: text.value for name, text in texts.items()}

    def _keep_contract(self, contract: Text | None, version: Text | None) -> None:
        if contract is not None:
            self._add(contract_clause(contract, version))
            return
        if version is None or self._inline:
            return
        clauses = self.said.clauses
        own = [one for one in clauses if isinstance(one, ContractClause) and one.on is None]
        if not own:
            hint = "write contract: beside it"
            self._findings.add("D014", "contract_version goes with a contract", version.span, hint)
            return
        clauses[clauses.index(own[0])] = self._of_version(own[0], version)

    # The whole.

    def _arranged(self) -> list[Clause]:
        """Return the clauses with the scenario's contract right behind its sources."""
        clauses = self.said.clauses
        floating = [one for one in clauses if isinstance(one, ContractClause) and one.of_scenario]
        if not floating:
            return clauses
        rest = [one for one in clauses if one not in floating]
        step = next((at for at, one in enumerate(rest) if isinstance(one, StepClause)), len(rest))
        own = [
            at
            for at, one in enumerate(rest[:step])
            if isinstance(one, ContractClause) and one.on is None
        ]
        first = floating[0]
        for other in floating[1:]:
            first = self._one_of(first, other)
        if own:
            stated = rest[own[0]]
            assert isinstance(stated, ContractClause), "it was chosen so"
            rest[own[0]] = self._one_of(stated, first)
            return rest
        sources = [
            at for at, one in enumerate(rest) if isinstance(one, SourceClause) and one.alias is None
        ]
        if not sources:
            return [first, *rest]
        place = sources[-1] + 1
        return [*rest[:place], first, *rest[place:]]

    def _forbid_drift(self, span: Span) -> None:
        """Let the scenario's contracts end the run where input has another shape."""
        contracts = [one for one in self.said.clauses if isinstance(one, ContractClause)]
        if not contracts:
            hint = "write @contract(…), or Given the contract: X"
            text = "there is no contract whose shape the input could leave"
            self._findings.add("D021", text, span, hint)
        for one in contracts:
            if one.on_drift not in {None, OnDrift.FAIL}:
                text = "this contract says otherwise of drift"
                labels = [(span, "here there must be none")]
                self._findings.add("D016", text, one.span, labels=labels)
        self.said.clauses = [
            replace(one, on_drift=OnDrift.FAIL) if isinstance(one, ContractClause) else one
            for one in self.said.clauses
        ]

    def _one_of(self, stated: ContractClause, other: ContractClause) -> ContractClause:
        """Return one contract that is said twice; two different ones are told."""
        if _named(stated.path) != _named(other.path) or stated.spec != other.spec:
            told = f"the scenario has a contract already: {_named(stated.path)}"
            hint = "a scenario's sources keep one contract; put others below its steps"
            labels = [(stated.span, "here")]
            self._findings.add("D016", told, other.span, hint, labels=labels)
        return self._of_version(replace(stated, meta={**stated.meta, **other.meta}), other.version)

    def _of_version(self, clause: ContractClause, version: Text | None) -> ContractClause:
        first = clause.version
        if first is None or version is None:
            return replace(clause, version=first or version)
        if first.value != version.value:
            told = f"the contract is to be of version {first.value} and {version.value}"
            self._findings.add("D016", told, version.span, labels=[(first.span, "here")])
        return clause


def _named(path: Text) -> str:
    return path.value.rpartition(":")[2] or path.value


def _flat(entries: Sequence[Entry]) -> Iterator[Entry]:
    """Yield the lines of a block, those below others, too; what a bullet says as `key: value` is the bullet itself."""
    for entry in entries:
        yield entry
        yield from _flat([one for one in entry.entries if one.span.line != entry.span.line])


def _told(entry: Entry) -> str:
    return f"{'- ' if entry.is_bullet else ''}{entry.text.value}"
