"""The colours of a pipeline file for Pygments: `.dsl` in documents, terminals and web pages.

Pygments finds the lexer by its entry point (`pygmentize -l runink`, ```` ```runink ````).  SQL and conditions inside a text are coloured as what they
are.  It tells parts apart, it does not judge: whether there is such an annotation, the compiler knows.  Only what can
stand nowhere (a text that is never closed, a quote that is none) becomes an error.  The texts of all tokens together are the file, always.

`editors/vscode/syntaxes/runink.tmLanguage.json` says the same to editors; a test holds the two together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar, Final

from pygments.lexer import RegexLexer, bygroups, include, words
from pygments.lexers.sql import SqlLexer
from pygments.token import (
    Comment,
    Error,
    Keyword,
    Name,
    Number,
    Operator,
    Punctuation,
    String,
    Text,
    Whitespace,
    _TokenType,
)

from runink.keywords import BLOCKS, HEADERS, STEPS

Piece = tuple[int, _TokenType, str]

CLAUSES: Final = ("when", "with", "where", "on")
FUNCTIONS: Final = (
    *("has", "size", "matches", "startsWith", "endsWith", "contains", "lower", "upper", "trim"),
    *("timestamp", "duration", "coalesce", "null_ratio", "distinct", "freshness"),
)

_AMOUNT: Final = r"\d+(?:\.\d+)?[A-Za-z%]+"
_NUMBER: Final = r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w%])"
_HOLE: Final = re.compile(r"\$\$\{|\$\{[^}\"\n]*\}")
_TYPOGRAPHIC: Final = "[\u201c\u201d\u201e\u00ab\u00bb\u2018\u2019']"


def _either(*among: str) -> str:
    """Return a pattern for one of the words, the longest first."""
    return "|".join(sorted(among, key=len, reverse=True))


def _sql(_lexer: RegexLexer, match: re.Match[str]) -> Iterator[Piece]:
    """Colour the SQL in a text: its quotes are a text's, its `${…}` are parameters."""
    opening, body, closing = match.groups()
    yield match.start(1), String, opening
    at, start = 0, match.start(2)
    for hole in _HOLE.finditer(body):
        yield from _as_sql(body[at : hole.start()], start + at)
        yield start + hole.start(), String.Interpol, hole[0]
        at = hole.end()
    yield from _as_sql(body[at:], start + at)
    if closing:
        yield match.start(3), String, closing


def _as_sql(text: str, start: int) -> Iterator[Piece]:
    for at, kind, piece in SqlLexer().get_tokens_unprocessed(text):
        # What SQL of one engine knows and of another does not is no mistake of the pipeline's.
        yield start + at, Text if kind is Error else kind, piece


class RuninkLexer(RegexLexer):  # type: ignore[misc] # Pygments has no types
    """Pipelines of Runink."""

    name = "Runink"
    aliases: ClassVar[list[str]] = ["runink"]
    filenames: ClassVar[list[str]] = ["*.dsl"]
    mimetypes: ClassVar[list[str]] = ["text/x-runink"]
    version_added = ""
    flags = re.MULTILINE

    tokens: ClassVar[dict[str, list[Any]]] = {
        "root": [
            (r"\A\ufeff", Whitespace),
            (r"\n", Whitespace),
            (r"(?:(?<=\s)|^)(?:#|//)[^\n]*", Comment.Single),
            (r"^([ \t]*)(---+)(?=[ \t\r]*$)", bygroups(Whitespace, Punctuation)),
            (r'^([ \t]*)("""|```)', bygroups(Whitespace, String.Doc), "document"),
            (
                rf"^([ \t]*)({_either(*HEADERS)})(:)([ \t]*)([^\r\n]*)",
                bygroups(Whitespace, Keyword.Namespace, Punctuation, Whitespace, Name.Class),
            ),
            (
                rf"^([ \t]*)({_either(*BLOCKS)})(:)(?=[ \t\r]*$)",
                bygroups(Whitespace, Keyword.Namespace, Punctuation),
            ),
            (
                rf"^([ \t]*)({_either(*STEPS)}|\*)(?=[ \t])",
                bygroups(Whitespace, Keyword),
                "prose",
            ),
            (r"^([ \t]*)(\|)", bygroups(Whitespace, Punctuation), "row"),
            (r"^([ \t]*)(-)(?=[ \t])", bygroups(Whitespace, Punctuation), "prose"),
            (
                r"^([ \t]*)([A-Za-z_][\w .-]*)(:)(?=[ \t\r]|$)",
                bygroups(Whitespace, Name.Attribute, Punctuation),
                "value",
            ),
            (r"[ \t\r]+", Whitespace),
            include("annotation"),
            (rf"({_either(*CLAUSES)})(?=[ \t]*\")", Keyword, "clause"),
            (r"[^\s@]+", Text),
        ],
        "annotation": [
            (r"@assert(?=[ \t]*\()", Name.Decorator, "assertion"),
            (r"@[A-Za-z_][\w-]*(?=[ \t]*\()", Name.Decorator, "opening"),
            (r"@[A-Za-z_][\w-]*", Name.Decorator),
            (r"@", Error),
        ],
        "opening": [
            (r"[ \t]+", Whitespace),
            (r"\(", Punctuation, ("#pop", "arguments")),
        ],
        "assertion": [
            (r"[ \t]+", Whitespace),
            (r'(\()(\s*)(?=")', bygroups(Punctuation, Whitespace), ("#pop", "arguments", "clause")),
            (
                r'(\()(\s*)(condition)(\s*)(=)(\s*)(?=")',
                bygroups(Punctuation, Whitespace, Name.Attribute, Whitespace, Operator, Whitespace),
                ("#pop", "arguments", "clause"),
            ),
            (r"\(", Punctuation, ("#pop", "arguments")),
        ],
        "arguments": [
            (r"[ \t\r\n]+", Whitespace),
            (r"(?:(?<=\s)|^)(?:#|//).*", Comment.Single),
            (r"\)", Punctuation, "#pop"),
            (r"\[", Punctuation, "items"),
            (r",", Punctuation),
            include("annotation"),
            (
                r'(sql)(\s*)([=:])(\s*)(?=")',
                bygroups(Name.Attribute, Whitespace, Operator, Whitespace),
                "sql",
            ),
            (rf'({_either(*CLAUSES)})(?=[ \t]*")', Keyword, "clause"),
            (r"([A-Za-z_][\w-]*)(\s*)([=:])", bygroups(Name.Attribute, Whitespace, Operator)),
            include("values"),
            (r"[^\s]", Error),
        ],
        "items": [
            (r"[ \t\r\n]+", Whitespace),
            (r"(?:(?<=\s)|^)(?:#|//).*", Comment.Single),
            (r"\]", Punctuation, "#pop"),
            (r"\[", Punctuation, "#push"),
            (r"\)", Error, "#pop:2"),
            (r",", Punctuation),
            include("values"),
            (r"[^\s]", Error),
        ],
        "values": [
            include("text"),
            (_TYPOGRAPHIC, Error),
            (_NUMBER, Number),
            (_AMOUNT, Number),
            (words(("true", "false", "null"), suffix=r"\b"), Keyword.Constant),
            (r"[A-Za-z_][\w.:/-]*", Name),
        ],
        "text": [
            (r'"""', String, "long text"),
            (r'"(?=(?:[^"\\\n]|\\.)*")', String, "short text"),
            (r'"[^\n]*', Error),
        ],
        "short text": [
            (r'"', String, "#pop"),
            include("inside text"),
            (r'[^"\\$\n]+|\$', String),
        ],
        "long text": [
            (r'"""', String, "#pop"),
            (r"\$\$\{|\$\{[^}\"\n]*\}", String.Interpol),
            (r'[^"$]+|["$]', String),
        ],
        "inside text": [
            (r'\\["\\nt]', String.Escape),
            (r"\\", String),
            (r"\$\$\{|\$\{[^}\"\n]*\}", String.Interpol),
        ],
        # SQL: a text, or the end of the matter if none follows.
        "sql": [
            (r'(""")((?:[^"]|"(?!""))*)("""|\Z)', _sql, "#pop"),
            (r'(")((?:[^"\\\n]|\\.)*)(")', _sql, "#pop"),
            (r'"[^\n]*', Error, "#pop"),
        ],
        # Conditions: those of clauses stand in a text.
        "clause": [
            (r"[ \t]+", Whitespace),
            (r'"""', String, ("#pop", "long text")),
            (r'"(?=(?:[^"\\\n]|\\.)*")', String, ("#pop", "condition")),
            (r'"[^\n]*', Error, "#pop"),
        ],
        "condition": [
            (r'"', String, "#pop"),
            (r"[ \t]+", Whitespace),
            include("inside text"),
            (r"'(?:[^'\"\\\n]|\\.)*'", String.Single),
            (r"&&|\|\||[=!<>]=|[<>!+\-*/%?:]", Operator),
            (words(("in",), prefix=r"\b", suffix=r"\b"), Operator.Word),
            (words(("true", "false", "null"), prefix=r"\b", suffix=r"\b"), Keyword.Constant),
            (rf"\b(?:{_either(*FUNCTIONS)})(?=\s*\()", Name.Function),
            (r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", Number),
            (r"[A-Za-z_]\w*", Name.Variable),
            (r"[()\[\].,]", Punctuation),
            (r'[^"\n]', String),
        ],
        # Lines for people.
        "prose": [
            (r"\n", Whitespace, "#pop"),
            (r'"[^"\n]*"', String),
            (r"<[^<>\n]+>", Name.Variable),
            (r'[^"<\n]+|["<]', Text),
        ],
        "value": [
            (r"\n", Whitespace, "#pop"),
            (r"[ \t\r]+", Whitespace),
            (r"(?<=\s)#.*", Comment.Single),
            (r'"[^"\n]*"|\'[^\'\n]*\'', String),
            (_NUMBER, Number),
            (_AMOUNT, Number),
            (words(("true", "false", "null"), suffix=r"\b"), Keyword.Constant),
            (r"[\[\],{}]", Punctuation),
            (r"[^\s\[\],{}\"']+|[\"']", Text),
        ],
        "row": [
            (r"\n", Whitespace, "#pop"),
            (r"\|", Punctuation),
            (r"(?:\\.|[^|\\\n])+|\\", String),
        ],
        "document": [
            (r'^([ \t]*)("""|```)', bygroups(Whitespace, String.Doc), "#pop"),
            (r"\n", String.Doc),
            (r"[^\n]+", String.Doc),
        ],
    }
