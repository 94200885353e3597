"""From text to a tree, with lark; every mistake becomes a finding, and what is around it is still read.

Who an annotation belongs to: one that describes a scenario (`@module`) and stands directly above `Scenario:` belongs to that scenario; any
other belongs to the scenario it stands in, or to the file if it stands before the first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache
from importlib.resources import files
from typing import Any, Final

from runink.dsl.diagnostics import Findings
from runink.dsl.statements import Kind, Statement, statements
from runink.dsl.syntax import (
    Annotation,
    Argument,
    Document,
    Header,
    Items,
    Number,
    Place,
    ProseLine,
    ScenarioBlock,
    Text,
    Value,
    Word,
)
from runink.errors import Span

DESCRIBES_SCENARIO: Final = frozenset({"module"})
MISTAKES_MAX: Final = 500  # a file of more is no pipeline, and nobody reads that far
# Control characters but for the tab, ends of lines that are none here, and marks that turn the direction of writing.
_UNSEEN: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]"
)
NESTED_MAX: Final = 8  # lists within lists: nothing in the language has any

_TERMINALS: Final = {
    "LPAR": "(",
    "RPAR": ")",
    "LSQB": "[",
    "RSQB": "]",
    "COMMA": ",",
    "EQUAL": "=",
    "NAME": "a name",
    "STRING": 'a text in "quotes"',
    "NUMBER": "a number",
    "ANNOTATION": "an @annotation",
    "TEXT": "text",
    "$END": "the end of the line",
}


@cache
def _lark() -> Any:
    """Build the parser when the first file is parsed: it takes longer than most files do."""
    from lark import Lark  # noqa: PLC0415 - an agent never needs it

    grammar = files("runink.dsl").joinpath("grammar.lark").read_text()
    return Lark(grammar, parser="lalr", lexer="contextual", propagate_positions=True)


def parsed(text: str, findings: Findings) -> Document:
    """Return the tree of a file. It holds all that could be read; `findings` gets the rest, up to MISTAKES_MAX."""
    _check_characters(text, findings)
    assembly = _Assembly(findings)
    for statement in statements(text, findings):
        assembly.add(statement)
        if len(findings) > MISTAKES_MAX:
            assembly.document.is_broken = True
            break
    return assembly.document


def _check_characters(text: str, findings: Findings) -> None:
    """Refuse what cannot be seen: a terminal would obey it, and a reviewer would read another text than we do."""
    for number, line in enumerate(text.split("\n"), 1):
        found = _UNSEEN.search(line.removesuffix("\r"))
        if found is not None:
            told = f"a character that cannot be seen (U+{ord(found[0]):04X})"
            place = findings.span(number, found.start() + 1)
            findings.add("D007", told, place, "take it away")
            if len(findings) > MISTAKES_MAX:
                return


class _Assembly:
    """Puts statements together: what belongs to the file, and what to which scenario."""

    def __init__(self, findings: Findings) -> None:
        self.document = Document()
        self._findings = findings
        self._pending: list[Annotation] = []  # directly above what comes next

    def add(self, statement: Statement) -> None:
        match statement.kind:
            case Kind.BROKEN:
                self._mark_broken()
            case Kind.BROKEN_SCENARIO:
                self._begin(Header("Scenario", "", self._findings.span(statement.line, 1)))
                self._mark_broken()
            case _:
                self._add_parsed(statement)

    def _add_parsed(self, statement: Statement) -> None:
        tree = _tree(statement, self._findings)
        if tree is None:
            self._mark_broken()
            return
        reader = _Reader(self._findings, statement.line)
        (child,) = tree.children
        match child.data:
            case "annotations":
                found = [reader.annotation(one) for one in child.children]
                self._annotations().extend(found)
                self._pending.extend(found)
            case "header":
                self._header(reader.header(child))
            case _:
                self._prose(reader.prose(child))

    def _annotations(self) -> list[Annotation]:
        scenarios = self.document.scenarios
        return scenarios[-1].annotations if scenarios else self.document.annotations

    def _mark_broken(self) -> None:
        self._pending.clear()
        scenarios = self.document.scenarios
        if scenarios:
            scenarios[-1].is_broken = True
        else:
            self.document.is_broken = True

    def _header(self, header: Header) -> None:
        if header.keyword == "Scenario":
            self._begin(header)
            return
        self._pending.clear()
        if self.document.feature is not None:
            self._findings.add(
                "D016",
                "a file has one Feature:",
                header.span,
                "put the other one into a file of its own",
            )
        elif self.document.scenarios:
            self._findings.add("D013", "Feature: stands above all scenarios", header.span)
        self.document.feature = self.document.feature or header

    def _begin(self, header: Header) -> None:
        """Begin a scenario with the annotations above it that describe one."""
        mine: list[Annotation] = []
        while self._pending and self._pending[-1].name in DESCRIBES_SCENARIO:
            mine.insert(0, self._pending.pop())
        owner = self._annotations()
        del owner[len(owner) - len(mine) :]
        self._check_above(header, mine)
        self._pending.clear()
        self.document.scenarios.append(ScenarioBlock(header, mine))

    def _check_above(self, header: Header, mine: list[Annotation]) -> None:
        """Refuse what looks as if it were the next scenario's, but would silently be the last one's: a block right above its header."""
        line = mine[0].span.line if mine else header.span.line
        block: list[Annotation] = []
        while self._pending and self._pending[-1].span.line == line - 1:
            block.append(self._pending.pop())
            line -= 1
        is_apart = not self._findings.line(line - 1).strip()
        if is_apart and all(one.span.column == header.span.column for one in block):
            for one in block:
                text = f"@{one.name} stands above a scenario"
                hint = "put it below Scenario:; or, if it is the last scenario's, leave a blank line behind it"
                self._findings.add("D013", text, one.span, hint)

    def _prose(self, line: ProseLine) -> None:
        self._pending.clear()
        if self.document.scenarios:
            self.document.scenarios[-1].prose.append(line)
        else:
            self._findings.add(
                "D013", "prose stands in a scenario", line.span, "write Scenario: above it"
            )


class _Reader:
    """Makes nodes of lark's trees; `line` is where the statement begins in the file."""

    def __init__(self, findings: Findings, line: int) -> None:
        self._findings = findings
        self._line = line

    def _span(self, token: Any) -> Span:
        length = len(token.split("\n", 1)[0])
        return self._findings.span(self._line + token.line - 1, token.column, length)

    def header(self, tree: Any) -> Header:
        keyword, *title = tree.children
        text = str(title[0]).strip() if title else ""
        return Header(str(keyword).rstrip(":"), text, self._span(keyword))

    def prose(self, tree: Any) -> ProseLine:
        keyword, text = tree.children
        return ProseLine(f"{keyword} {text.strip()}", self._span(keyword))

    def annotation(self, tree: Any) -> Annotation:
        name, *arguments = tree.children
        return Annotation(
            str(name)[1:], tuple(self._argument(one) for one in arguments), self._span(name)
        )

    def _argument(self, tree: Any) -> Argument:
        *name, value = tree.children
        found = self._value(value)
        if not name:
            return Argument("", found, found.span)
        return Argument(str(name[0]), found, self._span(name[0]), is_clause=tree.data == "clause")

    def _value(self, node: Any) -> Value:
        if not hasattr(node, "type"):
            return self._items(node)
        match node.type:
            case "STRING" | "LONG_STRING":
                return self._text(node)
            case "NAME":
                return Word(str(node), self._span(node))
            case _:
                return Number(str(node), self._span(node))

    def _items(self, tree: Any) -> Items:
        span = self._findings.span(self._line + tree.meta.line - 1, tree.meta.column)
        return Items(tuple(self._value(child) for child in tree.children), span)

    def _text(self, token: Any) -> Text:
        line = self._line + token.line - 1
        if token.type == "LONG_STRING":
            return _long_text(str(token)[3:-3], line, token.column + 3, self._span(token))
        return _short_text(str(token)[1:-1], line, token.column + 1, self._span(token))


_ESCAPE: Final = re.compile(r"\\(.)")
_ESCAPES: Final = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}


def _short_text(raw: str, line: int, column: int, span: Span) -> Text:
    r"""Resolve \" \\ \n \t; any other backslash stands for itself, so that SQL and patterns need no second one."""
    value: list[str] = []
    places = [Place(0, line, column)]
    size = at = 0
    for match in _ESCAPE.finditer(raw):
        piece = raw[at : match.start()] + _ESCAPES.get(match[1], match[0])
        value.append(piece)
        size += len(piece)
        at = match.end()
        places.append(Place(size, line, column + at))
    value.append(raw[at:])
    return Text("".join(value), span, tuple(places))


def _long_text(raw: str, line: int, column: int, span: Span) -> Text:
    places = [Place(0, line, column)]
    at = 0
    for number, part in enumerate(raw.split("\n")[:-1], 1):
        at += len(part) + 1
        places.append(Place(at, line + number, 1))
    return Text(raw, span, tuple(places))


# Mistakes within a statement.


def _tree(statement: Statement, findings: Findings) -> Any:
    from lark.exceptions import UnexpectedInput  # noqa: PLC0415 - see _lark

    if _too_deep(statement.text):
        findings.add("D002", "lists within lists", findings.span(statement.line, 1))
        return None
    try:
        return _lark().parse(statement.text)
    except UnexpectedInput as error:
        _tell(error, statement, findings)
        return None


def _too_deep(text: str) -> bool:
    """Say whether brackets are nested deeper than anything in the language, before lark's tree is walked by recursion."""
    depth = deepest = 0
    for char in re.sub(r'"(?:[^"\\]|\\.)*"', "", text):
        depth += (char in "([") - (char in ")]")
        deepest = max(deepest, depth)
    return deepest > NESTED_MAX


def _tell(error: Any, statement: Statement, findings: Findings) -> None:
    lines = statement.text.split("\n")
    token = getattr(error, "token", None)
    expected = sorted(getattr(error, "expected", None) or getattr(error, "allowed", None) or ())
    if token is not None and token.type == "$END":
        last = next(at for at in range(len(lines) - 1, -1, -1) if lines[at].strip())
        line, column, said = statement.line + last, len(lines[last].rstrip()) + 1, ""
    else:
        line, column = statement.line + error.line - 1, error.column
        said = str(token) if token is not None else lines[error.line - 1][error.column - 1]
    shown = said.split("\n", 1)[0]
    what = f"{shown[:40]} does not belong here" if said else "the line ends too early"
    findings.add(
        "D002", what, findings.span(line, column, len(shown)), _expectation(said, expected)
    )


def _expectation(said: str, expected: Iterable[str]) -> str:
    names = set(expected)
    for fits, hint in _SPECIAL:
        if fits(said, names):
            return hint
    listed = [told for name, told in _TERMINALS.items() if name in names]
    if not listed:
        return ""
    return f"expected {' or '.join((', '.join(listed[:-1]), listed[-1]) if len(listed) > 1 else listed)}"


_SPECIAL: Final[tuple[tuple[Callable[[str, set[str]], bool], str], ...]] = (
    (lambda said, _: said.startswith("'"), 'text stands in double quotes: "…"'),
    (
        lambda said, _: said[:1] in {":", "/", "*", "$", "{", "."},
        'text stands in quotes: "csv://data/x.csv"',
    ),
    (lambda said, _: said.startswith("@"), "an annotation cannot stand within another one"),
    (
        lambda said, names: "COMMA" in names and said[:1] not in {"", ")", "]", "="},
        "put a comma between arguments",
    ),
    (lambda said, _: said in {")", "]"}, "there is one bracket too many, or nothing before it"),
)
