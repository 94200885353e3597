"""Text to tree, typed on the way; every mistake with its place.

    parse("delay > 15 && carrier in ['UA', 'DL']", scope)

What cannot be read ends it (one mistake); of what can be read, every name and operand that does not fit is told at once.  Never anything but
a tree or mistakes: length and depth have limits, and the grammar (LALR) reads a text once, without recursion.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from itertools import pairwise
from typing import Any, Final

from runink.expressions.building import Builder
from runink.expressions.mistakes import Typed
from runink.expressions.tree import Expression
from runink.expressions.typing import UNKNOWN, Mistake, Scope, Shape, Sort, told

LENGTH_MAX: Final = 2_000  # characters: a longer expression belongs into a step
TREES_MAX: Final = 256  # texts that are kept read
DEPTH_MAX: Final = 50  # brackets and operators within each other: evaluating goes down as deep


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a text means, or its mistakes: one of both is empty."""

    expression: Expression | None
    shape: Shape = Sort.UNKNOWN
    mistakes: tuple[Mistake, ...] = ()


def parse(text: str, scope: Scope = UNKNOWN, *, wanted: Sort | None = None) -> Parsed:
    """Read an expression over the names of a scope; `wanted` is what it must be, which is a condition for most."""
    if len(text) > LENGTH_MAX:
        hint = "filter in a step"
        told_ = f"a condition has {LENGTH_MAX} characters at most"
        return _wrong(Mistake("D060", told_, LENGTH_MAX, 1, hint))
    try:
        text.encode()
    except UnicodeEncodeError as error:  # half of a character: no text that can be stored or sent
        return _wrong(Mistake("D060", "this is no character", error.start, 1))
    try:
        tree = _tree(text)
        builder = Builder(text, scope)
        found = builder.build(tree)
    except Wrong as wrong:
        return _wrong(wrong.mistake)
    mistakes = builder.mistakes.found
    if wanted is not None and found.shape not in {wanted, Sort.UNKNOWN, Sort.NOTHING}:
        mistakes.append(_unwanted(found, wanted))
    if mistakes:
        return Parsed(None, found.shape, tuple(sorted(mistakes, key=lambda one: one.at)))
    return Parsed(found.expression, found.shape)


class Wrong(Exception):
    """Ends the reading of one expression."""

    def __init__(self, mistake: Mistake) -> None:
        super().__init__(mistake.text)
        self.mistake = mistake


def _wrong(mistake: Mistake) -> Parsed:
    return Parsed(None, mistakes=(mistake,))


def _unwanted(found: Typed, wanted: Sort) -> Mistake:
    if wanted is Sort.BOOLEAN:
        hint = "compare it with something: == != < <= > >= in"
        text = f"it is {told(found.shape)}, not a condition"
    else:
        hint = ""
        text = f"it is {told(found.shape)}, not {told(wanted)}"
    return Mistake("D062", text, found.at, found.length, hint)


@cache
def _lark() -> Any:
    """The parser, made when first needed: a node that reads no expression never loads lark."""
    from lark import Lark  # noqa: PLC0415 - an agent never needs it

    grammar = files("runink.expressions").joinpath("grammar.lark").read_text()
    return Lark(grammar, parser="lalr", lexer="basic", propagate_positions=True)


@lru_cache(TREES_MAX)
def _tree(text: str) -> Any:
    """Return lark's tree, which nobody changes: an editor reads the same conditions at every key. Raises Wrong."""
    reading = _lark().parse_interactive(text)
    tokens = _tokens(reading, text)
    if not tokens:
        raise _at("the condition is empty", 0, 1, "as in dep_delay > 15")
    _check_pairs(tokens)
    _check_brackets(tokens)
    from lark.exceptions import UnexpectedToken  # noqa: PLC0415 - see _lark

    before: Any = None
    try:
        for token in tokens:
            reading.feed_token(token)
            before = token
        tree = reading.feed_eof(before)
    except UnexpectedToken as error:
        raise _unexpected(error.token, before) from None
    _check_depth(tree)
    return tree


def _at(text: str, at: int, length: int, hint: str = "") -> Wrong:
    return Wrong(Mistake("D060", text, at, max(length, 1), hint))


# Characters.

_INSTEAD: Final = {
    "=": "equality is ==",
    "&": "write &&",
    "|": "write ||",
    "'": "this text is never closed",
    '"': "this text is never closed",
    "`": "this name is never closed",
    ";": "it is one condition",
    "#": "there are no comments in a condition",
    "$": "names are bare: dep_delay",
    "{": "there are no maps",
    "^": "there are no powers: write a * a",
    "~": "as in carrier.matches('^U')",
    **dict.fromkeys(
        "\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb", "write a straight quote: '"
    ),
    **dict.fromkeys("\u2013\u2014\u2212", "write -"),
    "\u00d7": "write *",
    "≤": "write <=",
    "≥": "write >=",
    "≠": "write !=",
}
_PAIRS: Final = {
    "=<": "write <=",
    "=>": "write >=",
    "<>": "write !=",
    "**": "write a * a",
}


def _tokens(reading: Any, text: str) -> list[Any]:
    from lark.exceptions import UnexpectedCharacters  # noqa: PLC0415 - see _lark

    try:
        return list(reading.lexer_thread.lex(reading.parser_state))
    except UnexpectedCharacters as error:
        at = error.pos_in_stream
        pair = text[at : at + 2]
        if pair in _PAIRS:
            raise _at(f"{pair} means nothing here", at, 2, _PAIRS[pair]) from None
        character = text[at]
        shown = character if character.isprintable() else f"U+{ord(character):04X}"
        raise _at(f"{shown} means nothing here", at, 1, _INSTEAD.get(character, "")) from None


def _check_pairs(tokens: list[Any]) -> None:
    """Refuse operators of other languages that are two of ours: `<>`, `**`."""
    for one, next_one in pairwise(tokens):
        pair = f"{one}{next_one}"
        if pair in {"<>", "**"} and one.end_pos == next_one.start_pos:
            raise _at(f"{pair} means nothing here", one.start_pos, 2, _PAIRS[pair])


# Structure.

_CLOSES: Final = {"(": ")", "[": "]"}


def _check_brackets(tokens: list[Any]) -> None:
    """Refuse a bracket that is never closed at where it opens, and one that closes nothing."""
    opened: list[Any] = []
    for token in tokens:
        if str(token) in _CLOSES:
            opened.append(token)
            if len(opened) > DEPTH_MAX:
                raise _too_deep(token.start_pos, 1)
        elif str(token) in _CLOSES.values():
            if opened and _CLOSES[str(opened[-1])] == str(token):
                opened.pop()
            elif not opened:
                hint = "something is missing before it"
                raise _at(f"{token} does not belong here", token.start_pos, 1, hint)
            else:
                break
    if opened:
        raise _unclosed(opened[-1])


def _unclosed(token: Any) -> Wrong:
    if str(token) == "[":
        return _at("this list is never closed", token.start_pos, 1, "as in x in ['a', 'b']")
    return _at("this ( is never closed", token.start_pos, 1, "put ) where it ends")


def _too_deep(at: int, length: int) -> Wrong:
    hint = "use a list (x in ['a', 'b']), or filter in a step"
    return _at(
        f"a condition has {DEPTH_MAX} brackets and operators within each other at most",
        at,
        length,
        hint,
    )


def _check_depth(tree: Any) -> None:
    """Refuse a tree that is too deep for recursion, without recursion."""
    waiting = [(tree, -1)]  # the root is no operator, and neither is what stands at a leaf
    while waiting:
        found, depth = waiting.pop()
        if depth > DEPTH_MAX:
            raise _too_deep(found.meta.start_pos, found.meta.end_pos - found.meta.start_pos)
        deeper = depth if found.data == "bracket" else depth + 1
        waiting.extend((child, deeper) for child in found.children if hasattr(child, "data"))


# What a token that does not belong says about what was meant.

_WORDS: Final = {"and": "write &&", "or": "write ||", "not": "write !", "is": "write =="}
_BEGIN_VALUES: Final = frozenset(
    {"NAME", "INTEGER", "FLOAT", "TEXT", "RAW", "TRUE", "FALSE", "NULL"}
)
_END_VALUES: Final = _BEGIN_VALUES | {"RPAR", "RSQB"}
_MISSING_BEFORE: Final = frozenset({")", "]", ",", "?", ":"})


def _unexpected(token: Any, before: Any) -> Wrong:
    if token.type == "$END":
        assert before is not None
        hint = "as in late ? 'yes' : 'no'" if str(before) in {"?", ":"} else ""
        length = before.end_pos - before.start_pos
        return _at("the condition ends too early", before.start_pos, length, hint)
    at, length = token.start_pos, token.end_pos - token.start_pos
    after_value = before is not None and before.type in _END_VALUES
    if after_value and before.type == "NAME" and str(before).lower() == "not":
        return _at(f"{before} does not belong here", before.start_pos, len(before), "write !")
    text = f"{token} does not belong here"
    if after_value and token.type in {"COMPARE", "IN"}:
        return _at("comparisons do not chain", at, length, "write a < b && b < c")
    if token.type == "NAME" and str(token).lower() in _WORDS:
        return _at(text, at, length, _WORDS[str(token).lower()])
    if after_value and token.type in {"TEXT", "RAW"} and str(before) in {"b", "B"}:
        return _at("there are no bytes", before.start_pos, 1, "write text: 'abc'")
    if after_value and before.type == "INTEGER" and str(token).lower() == "u":
        return _at(text, at, length, "whole numbers have one kind: write 12")
    if after_value:
        return _at(text, at, length, "join conditions by && or ||")
    if str(token) in _MISSING_BEFORE:
        return _at(text, at, length, "something is missing before it")
    return _at(text, at, length, "a value is missing before it")
