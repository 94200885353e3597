"""From a file's text to its tree; every mistake becomes a finding, and what is around it is still read.
Who an annotation belongs to is decided by `decorations.py`.
"""

from __future__ import annotations

import msgspec

from runink.dsl.annotations import read_annotations
from runink.dsl.characters import MISTAKES_MAX, check_characters
from runink.dsl.decorations import Pending, above_first, above_next
from runink.dsl.diagnostics import Findings
from runink.dsl.entries import Tree, free_text
from runink.dsl.statements import Kind, Statement, statements
from runink.dsl.syntax import (
    OUTLINES,
    Annotation,
    Background,
    Block,
    Document,
    Examples,
    Header,
    Item,
    RuleBlock,
    ScenarioBlock,
    Step,
    Table,
)
from runink.dsl.tables import add_row, doc_string, row
from runink.dsl.unknown_lines import is_call, meant, tell_stray, tell_unknown
from runink.errors import Span
from runink.keywords import BLOCKS


def parsed(text: str, findings: Findings) -> Document:
    """Return the tree of a file. It holds all that could be read; `findings` gets the rest, up to MISTAKES_MAX."""
    check_characters(text, findings)
    assembly = Assembly(findings)
    for statement in statements(text, findings):
        assembly.add(statement)
        if len(findings) > MISTAKES_MAX:
            assembly.document.is_broken = True
            break
    assembly.finish()
    return assembly.document


class Seam(msgspec.Struct):
    """Where an assembly stands between two lines: what it reads, and what may belong to what comes next."""

    section: Background | ScenarioBlock | None
    pending: list[Pending]
    is_cut: bool
    is_apart: bool


class Assembly:
    """Puts statements together: what belongs to the file, and what to which scenario."""

    def __init__(self, findings: Findings) -> None:
        self.document = Document()
        self._findings = findings
        self._section: Background | ScenarioBlock | None = None  # what is read; nothing: the file
        self._is_cut = False  # a --- has ended what was read
        self._rule: RuleBlock | None = None
        self._header: Header | None = None  # whose description may go on
        self._block: Block | None = None
        self._step: Step | None = None
        self._table: Table | None = None
        self._examples: Examples | None = None
        self._tree: Tree | None = None
        self._pending: list[Pending] = []  # directly above what comes next
        self._is_apart = True
        self._stray: Kind | None = None  # what stands below nothing, and goes on

    def add(self, statement: Statement) -> None:
        kind = statement.kind
        match kind:
            case Kind.NOTE:
                return
            case Kind.BLANK:
                self._is_apart = True
                self._stray = None
                return
            case Kind.ANNOTATIONS:
                self._annotations(statement)
            case Kind.STEP:
                self._begin_step(statement)
            case Kind.HEADER:
                self._begin(statement)
            case Kind.BLOCK:
                self._begin_block(statement)
            case Kind.BULLET | Kind.PAIR:
                self._entry(statement)
            case Kind.ROW:
                self._row(statement)
            case Kind.DOC:
                self._doc(statement)
            case Kind.CUT:
                self._cut()
            case Kind.BROKEN:
                self._mark_broken()
            case _:
                self._free(statement)
        self._is_apart = False

    def finish(self) -> None:
        """Settle what no header came for."""
        self._settle()

    @property
    def rule(self) -> RuleBlock | None:
        return self._rule

    def seam(self) -> Seam:
        return Seam(self._section, self._pending, self._is_cut, self._is_apart)

    def resume(self, seam: Seam) -> None:
        """Go on as if all up to there had been added here."""
        self._leave()
        self._section, self._pending = seam.section, seam.pending
        self._is_cut, self._is_apart = seam.is_cut, seam.is_apart

    # Where things go.

    @property
    def _items(self) -> list[Item]:
        return self.document.items if self._section is None else self._section.items

    def _mark_broken(self) -> None:
        self._settle()
        self._leave()
        (self._section or self.document).is_broken = True

    def _leave(self) -> None:
        """End what goes on over several lines."""
        self._header = self._block = self._step = self._table = self._examples = self._tree = None
        self._stray = None

    def _settle(self) -> None:
        """Give annotations to what they stand in: no header came."""
        if self._is_cut and self._pending:
            first = self._pending[0].annotation
            text = f"@{first.name} stands behind --- and above no scenario"
            hint = "put it above a header, or take --- away"
            self._findings.add("D013", text, first.span, hint)
            self.document.is_broken = True
        else:
            self._items.extend(one.annotation for one in self._pending)
        self._pending.clear()

    def _misplaced(self, statement: Statement) -> None:
        """Tell a line that stands below nothing it could belong to; those of its kind right behind it are told with it."""
        if self._stray is statement.kind:
            return
        tell_stray(statement, self._findings)
        self._mark_broken()
        self._stray = statement.kind

    # Annotations.

    def _annotations(self, statement: Statement) -> None:
        found = read_annotations(statement, self._findings)
        if found is None:
            self._mark_broken()
            return
        self._leave()
        for one in found:
            self._pending.append(Pending(one, is_apart=self._is_apart))
            self._is_apart = False

    def decorations(self, header: Header) -> list[Annotation]:
        """Take the annotations above a header that belong to it; the others stay where they stand."""
        if self._is_cut:
            own = [one.annotation for one in self._pending]
            self._pending.clear()
        elif self._section is None:
            own = above_first(self._pending)
        else:
            own = above_next(
                self._pending,
                header,
                self._section.items,
                self._findings,
                is_apart=self._is_apart,
            )
        self._is_cut = False
        self._settle()
        return own

    # Headers.

    def _begin(self, statement: Statement) -> None:
        keyword = statement.word.rstrip(":")
        title = free_text(statement, statement.column + len(statement.word), self._findings)
        span = self._findings.span(statement.line, statement.column, len(statement.word))
        header = Header(keyword, title.value, span, title)
        self._leave_section(header)
        self._header = header

    def _leave_section(self, header: Header) -> None:
        match header.keyword:
            case "Feature":
                self._feature(header)
            case "Background":
                self._background(header)
            case "Rule":
                mine = self.decorations(header)
                self._leave()
                self._rule = RuleBlock(header, mine)
                self._section = None
                self.document.rules.append(self._rule)
            case "Examples" | "Scenarios":
                self._begin_examples(header)
            case _:
                mine = self.decorations(header)
                self._leave()
                self._section = ScenarioBlock(header, mine, rule=self._rule)
                scenarios = self.document.scenarios
                assert isinstance(scenarios, list), "it is being read"
                scenarios.append(self._section)

    def _feature(self, header: Header) -> None:
        self._is_cut = False
        self._settle()
        self._leave()
        if self.document.feature is not None:
            hint = "put the other one into a file of its own"
            label = (self.document.feature.span, "the first one")
            self._findings.add("D016", "a file has one Feature:", header.span, hint, labels=[label])
        elif self.document.scenarios or self.document.background or self.document.rules:
            text, hint = "Feature: stands above all scenarios", "move it up"
            self._findings.add("D013", text, header.span, hint)
        self.document.feature = self.document.feature or header
        self._section = None

    def _background(self, header: Header) -> None:
        self._is_cut = False
        self._settle()
        self._leave()
        owner = self._rule or self.document
        made = Background(header)
        has_scenarios = any(one.rule is self._rule for one in self.document.scenarios)
        if owner.background is not None:
            text = "there is a Background: already"
            hint = "a file has one, and each Rule: may have one of its own"
            label = (owner.background.header.span, "the first one")
            self._findings.add("D016", text, header.span, hint, labels=[label])
        elif has_scenarios:
            text = "Background: stands above the scenarios that it is for"
            self._findings.add("D013", text, header.span, "move it up")
        else:
            owner.background = made
        self._section = made

    def _begin_examples(self, header: Header) -> None:
        self._settle()
        self._leave()
        self._examples = Examples(header)
        scenario = self._section if not self._is_cut else None
        if not isinstance(scenario, ScenarioBlock) or scenario.header.keyword not in OUTLINES:
            hint = "write Scenario Outline: above it, and <name> where a value goes"
            text = f"{header.keyword}: stands below a Scenario Outline:"
            self._findings.add("D013", text, header.span, hint)
            (scenario or self.document).is_broken = True
        else:
            scenario.examples.append(self._examples)

    def _cut(self) -> None:
        self._settle()
        self._leave()
        self._is_cut = True

    # What stands in a scenario.

    def _begin_step(self, statement: Statement) -> None:
        self._settle()
        self._leave()
        text = free_text(statement, statement.column + len(statement.word), self._findings)
        span = self._findings.span(statement.line, statement.column, len(statement.word))
        if not text.value:
            hint = f"write {statement.word} and a sentence"
            self._findings.add("D002", f"{statement.word} says nothing", span, hint)
            self._mark_broken()
            return
        if self._is_cut or self._section is None:
            hint = "write Scenario: above it"
            self._findings.add("D013", "prose stands in a scenario", span, hint)
            return
        self._step = Step(statement.word, text, span)
        self._section.items.append(self._step)

    def _begin_block(self, statement: Statement) -> None:
        self._settle()
        self._leave()
        span = self._findings.span(statement.line, statement.column, len(statement.word))
        self._block = Block(statement.word.rstrip(":"), span)
        self._tree = Tree(self._block.entries, self._findings)
        behind = free_text(statement, statement.column + len(statement.word), self._findings)
        is_note = (
            behind.value.startswith(("#", "//")) and behind.span.column > span.column + span.length
        )
        if behind.value and not is_note:
            hint = f"write the lines of {statement.word} below it"
            text = f"nothing stands behind {statement.word}"
            self._findings.add("D002", text, behind.span, hint)
            (self._section or self.document).is_broken = True
        if self._is_cut:
            self._findings.add("D013", f"{statement.word} stands behind ---", span, "move it above")
            return
        self._items.append(self._block)

    def _entry(self, statement: Statement) -> None:
        is_bullet = statement.kind is Kind.BULLET
        if self._header is not None and (is_bullet or not meant(statement)):
            self._header.description.append(free_text(statement, 1, self._findings))
        elif self._block is None and not (is_bullet and self._step is not None):
            self._below_nothing(statement)
        else:
            if self._tree is None:
                assert self._step is not None, "else it were stray"
                self._tree = Tree(self._step.bullets, self._findings)
            if not self._tree.add(statement):
                (self._section or self.document).is_broken = True

    def _below_nothing(self, statement: Statement) -> None:
        if statement.kind is Kind.PAIR:
            self._unknown(statement)
        else:
            self._misplaced(statement)

    def _row(self, statement: Statement) -> None:
        owner = self._examples or self._step
        if owner is None:
            self._misplaced(statement)
            return
        found = row(statement, self._findings)
        self._header = None
        if found is None:
            (self._section or self.document).is_broken = True
            return
        if self._table is None:
            if owner.table is not None:
                self._twice("table", found.span)
                return
            self._table = owner.table = Table([], found.span)
        if not add_row(self._table, found, self._findings):
            (self._section or self.document).is_broken = True

    def _twice(self, what: str, span: Span) -> None:
        hint = "put the other one below a line of its own"
        self._findings.add("D016", f"one {what} stands here already", span, hint)

    def _doc(self, statement: Statement) -> None:
        if self._step is None:
            self._misplaced(statement)
            return
        found = doc_string(statement, self._findings)
        if self._step.doc is not None:
            self._twice("doc string", found.span)
        self._step.doc = self._step.doc or found
        self._table = None

    # Free text.

    def _free(self, statement: Statement) -> None:
        if self._header is not None and not is_call(statement) and not meant(statement):
            self._header.description.append(free_text(statement, 1, self._findings))
        else:
            self._unknown(statement)

    def _unknown(self, statement: Statement) -> None:
        block, tree = self._block, self._tree
        tell_unknown(statement, block, self._findings)
        head = meant(statement) if block is None else ""
        if head.startswith(("Scenario", "Example:")):
            self._begin_broken(statement)
            return
        self._mark_broken()
        if head.removesuffix(":") in BLOCKS:
            block = Block(head, self._findings.span(statement.line, statement.column))
            tree = Tree(block.entries, self._findings)
        if block is not None:
            self._block, self._tree = block, tree

    def _begin_broken(self, statement: Statement) -> None:
        """Begin the scenario that a misspelt header was meant to, so that what stands below it belongs to no other."""
        span = self._findings.span(statement.line, statement.column, len(statement.word))
        self._leave_section(Header("Scenario", "", span))
        self._leave()
        assert self._section is not None, "it has just begun"
        self._section.is_broken = True
