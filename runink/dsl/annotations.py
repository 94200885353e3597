"""From the text of an annotation statement to its nodes.

`grammar.lark` decides what an annotation is.  Almost all that people write are read without it, by the few patterns here: that takes a
tenth of the time, and spares a small file the loading of lark.  Where they find no way through, lark reads it or says what is wrong; that both
give the same nodes is a law (`tests/property/test_dsl_grammar.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

from runink.dsl.diagnostics import Findings
from runink.dsl.misplaced import depths, tell
from runink.dsl.statements import Statement
from runink.dsl.syntax import (
    Absent,
    Annotation,
    Argument,
    Items,
    Number,
    Place,
    Text,
    Value,
    Word,
)
from runink.errors import Span

NESTED_MAX: Final = 8  # brackets within brackets: nothing in the language has more than three

_STRING: Final = r'"(?:[^"\\\n]|\\.)*"'
_NUMBER: Final = r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w%.])|\d+(?:\.\d+)?[A-Za-z%]+"
_NAME: Final = r"[A-Za-z_][\w.-]*"
_BEGIN: Final = re.compile(r"\s*@([A-Za-z_][\w-]*)")
_OPEN: Final = re.compile(r"\s*\(\s*")
_LABEL: Final = re.compile(rf"({_NAME})\s*[=:]\s*")
_CLAUSE: Final = re.compile(r'(when|with|where|on)(?=[^\S\n]*")\s*')
_SIMPLE: Final = re.compile(rf"({_STRING})(?!\")|({_NUMBER})|({_NAME})")
_LONG: Final = re.compile(r'"""[\s\S]*?"""')
_AFTER: Final = re.compile(r"\s*(,)?\s*")
_BLANKS: Final = re.compile(r"\s*")


def read_annotations(statement: Statement, findings: Findings) -> list[Annotation] | None:
    """Return the annotations of a statement, or nothing if it is wrong: then `findings` says how."""
    found = quickly(statement, findings)
    return found if found is not None else thoroughly(statement, findings)


def quickly(statement: Statement, findings: Findings) -> list[Annotation] | None:
    """Read a statement by patterns, or return nothing where they do not fit. Finds no mistakes."""
    reader = _Quick(statement, findings)
    try:
        return reader.annotations()
    except _Unfit:
        return None


def thoroughly(statement: Statement, findings: Findings) -> list[Annotation] | None:
    """Read a statement with lark, or say what is wrong with it."""
    from lark.exceptions import UnexpectedInput  # noqa: PLC0415 - see _lark

    if depths(statement.text)[1] > NESTED_MAX:  # before lark's tree is walked by recursion
        findings.add("D002", "brackets within brackets", findings.span(statement.line, 1))
        return None
    try:
        tree = lark("annotations").parse(statement.text)
    except UnexpectedInput as error:
        tell(error, statement, findings)
        return None
    reader = TreeReader(findings, statement.line)
    return [reader.annotation(one) for one in tree.children]


class Brackets:
    """Takes away the ends of lines within brackets; lark calls it between lexer and parser."""

    always_accept = ("_NL",)

    def process(self, stream: Iterable[Any]) -> Iterable[Any]:
        """Yield the tokens that count."""
        depth = 0
        for token in stream:
            depth += (token.type in {"LPAR", "LSQB"}) - (token.type in {"RPAR", "RSQB"})
            if token.type != "_NL" or depth <= 0:
                yield token


@cache
def lark(start: str) -> Any:
    """Build the parser of a rule when the first text needs it: that takes longer than reading most files."""
    from importlib.resources import files  # noqa: PLC0415 - as lark, it takes its time

    from lark import Lark  # noqa: PLC0415 - an agent never needs it

    grammar = files("runink.dsl").joinpath("grammar.lark").read_text()
    return Lark(
        grammar,
        parser="lalr",
        lexer="contextual",
        start=start,
        postlex=Brackets(),
        propagate_positions=True,
    )


# By patterns.


class _Unfit(Exception):
    """The patterns do not fit; lark decides."""


class _Quick:
    def __init__(self, statement: Statement, findings: Findings) -> None:
        self._text = statement.text
        self._line = statement.line
        self._span = findings.span
        self._is_long = "\n" in statement.text
        self._depth = 0

    def annotations(self) -> list[Annotation]:
        found = []
        at, end = 0, len(self._text.rstrip())
        while at < end:
            annotation, at = self._annotation(at)
            found.append(annotation)
        return found

    def _place(self, at: int) -> tuple[int, int]:
        if not self._is_long:
            return self._line, at + 1
        before = self._text.rfind("\n", 0, at)
        return self._line + self._text.count("\n", 0, at), at - before

    def _annotation(self, at: int) -> tuple[Annotation, int]:
        begin = _BEGIN.match(self._text, at)
        if begin is None:
            raise _Unfit
        name = begin[1]
        line, column = self._place(begin.start(1) - 1)
        span = self._span(line, column, len(name) + 1)
        opened = _OPEN.match(self._text, begin.end())
        if opened is None:
            return Annotation(name, (), span), begin.end()
        self._depth += 1
        if self._depth > NESTED_MAX or "\n" in opened[0].partition("(")[0]:
            raise _Unfit
        arguments, at = self._arguments(opened.end())
        self._depth -= 1
        return Annotation(name, tuple(arguments), span), at

    def _arguments(self, at: int) -> tuple[list[Argument], int]:
        text, found = self._text, []
        needs_comma = False
        while text[at : at + 1] != ")":
            clause = _CLAUSE.match(text, at)
            if needs_comma and clause is None and text[at : at + 1] != "@":
                raise _Unfit
            argument, at = self._argument(at, clause)
            found.append(argument)
            after = _AFTER.match(text, at)
            assert after is not None, "the pattern fits everywhere"
            at, needs_comma = after.end(), after[1] is None
        return found, at + 1

    def _argument(self, at: int, clause: re.Match[str] | None) -> tuple[Argument, int]:
        label = clause or _LABEL.match(self._text, at)
        if label is None:
            value, at = self._value(at)
            return Argument("", value, value.span), at
        line, column = self._place(label.start(1))
        if clause is not None and self._text[label.end()] != '"':
            raise _Unfit
        value, at = self._value(label.end())
        if isinstance(value, Annotation):
            raise _Unfit
        span = self._span(line, column, len(label[1]))
        return Argument(label[1], value, span, clause is not None), at

    def _value(self, at: int) -> tuple[Value, int]:
        text = self._text
        line, column = self._place(at)
        simple = _SIMPLE.match(text, at)
        if simple is not None:
            raw = simple[0]
            span = self._span(line, column, len(raw))
            match simple.lastindex:
                case 1:
                    return short_text(raw[1:-1], line, column + 1, span), simple.end()
                case 2:
                    return Number(raw, span), simple.end()
                case _:
                    return Word(raw, span), simple.end()
        match text[at : at + 1]:
            case "@":
                return self._annotation(at)
            case "[":
                return self._items(at, self._span(line, column))
            case _:
                long = _LONG.match(text, at)
                if long is None:
                    raise _Unfit
                span = self._span(line, column, len(long[0].split("\n", 1)[0]))
                return long_text(long[0][3:-3], line, column + 3, span), long.end()

    def _items(self, at: int, span: Span) -> tuple[Items, int]:
        self._depth += 1
        if self._depth > NESTED_MAX:
            raise _Unfit
        values: list[Value] = []
        at = self._blanks(at + 1)
        while self._text[at : at + 1] != "]":
            value, at = self._value(at)
            if isinstance(value, Annotation):
                raise _Unfit
            values.append(value)
            after = _AFTER.match(self._text, at)
            assert after is not None, "the pattern fits everywhere"
            at = after.end()
            if after[1] is None and self._text[at : at + 1] != "]":
                raise _Unfit
        self._depth -= 1
        return Items(tuple(values), span), at + 1

    def _blanks(self, at: int) -> int:
        found = _BLANKS.match(self._text, at)
        assert found is not None, "the pattern fits everywhere"
        return found.end()


# With lark.


class TreeReader:
    """Makes nodes of lark's trees; `line` is where the text begins in the file."""

    def __init__(self, findings: Findings, line: int) -> None:
        self._findings = findings
        self._line = line

    def span(self, token: Any) -> Span:
        length = len(token.split("\n", 1)[0])
        return self._findings.span(self._line + token.line - 1, token.column, length)

    def annotation(self, tree: Any) -> Annotation:
        name, *arguments = tree.children
        return Annotation(
            str(name)[1:], tuple(self._argument(one) for one in arguments), self.span(name)
        )

    def _argument(self, tree: Any) -> Argument:
        if tree.data == "annotation":
            nested = self.annotation(tree)
            return Argument("", nested, nested.span)
        if tree.data == "positional":
            value = self._value(tree.children[0])
            return Argument("", value, value.span)
        name = tree.children[0]
        span = self.span(name)
        if tree.data == "clause":
            return Argument(str(name), self._value(tree.children[1]), span, is_clause=True)
        if len(tree.children) > 2:
            return Argument(str(name), self._value(tree.children[2]), span)
        hint = f'write one behind the {tree.children[1]}, as in {name}="…", or leave {name} away'
        self._findings.add("D017", f"{name} has no value", span, hint)
        return Argument(str(name), Absent(span), span)

    def _value(self, node: Any) -> Value:
        if not hasattr(node, "type"):
            span = self._findings.span(self._line + node.meta.line - 1, node.meta.column)
            return Items(tuple(self._value(child) for child in node.children), span)
        span = self.span(node)
        line, column = span.line, span.column
        match node.type:
            case "STRING":
                return short_text(str(node)[1:-1], line, column + 1, span)
            case "LONG_STRING":
                return long_text(str(node)[3:-3], line, column + 3, span)
            case "NAME":
                return Word(str(node), span)
            case _:
                return Number(str(node), span)


_ESCAPE: Final = re.compile(r"\\(.)")
_ESCAPES: Final = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}


def short_text(raw: str, line: int, column: int, span: Span) -> Text:
    r"""Resolve \" \\ \n \t; any other backslash stands for itself, so that SQL and patterns need no second one."""
    if "\\" not in raw:
        return Text(raw, span, (Place(0, line, column),))
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


def long_text(raw: str, line: int, column: int, span: Span) -> Text:
    """Return a text over several lines: nothing in it is resolved."""
    places = [Place(0, line, column)]
    at = 0
    for number, part in enumerate(raw.split("\n")[:-1], 1):
        at += len(part) + 1
        places.append(Place(at, line + number, 1))
    return Text(raw, span, tuple(places))
