r"""Texts that match a pattern: the tree of the pattern is walked by chance.

Anchors, \b and flags such as (?i) are passed over: a text that is made does not need them to match, and who uses it checks that by RE2 itself.  A class that
is very large (., [^"]) gives characters that people can read.  A repetition without an end is ended by chance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

from runink.expressions.patterns import (
    At,
    Chain,
    Char,
    Either,
    Part,
    PatternError,
    Range,
    Repeat,
    tree,
)

TEXT_MAX: Final = 100_000  # characters: {1000} within {1000} is no text that anybody wants
LETTERS_MAX: Final = 2_000  # a class of more is very large
_PRINTABLE: Final[tuple[Range, ...]] = ((0x20, 0x7E),)
_BEYOND: Final[tuple[Range, ...]] = ((0xA1, 0xD7FF), (0x00, 0x1F), (0x7F, 0xA0), (0xE000, 0xFFFF))
_HALVES: Final = range(0xD800, 0xE000)  # surrogates, which no text has


class Unreadable(ValueError):
    """The pattern has a part that no text is made for here."""


class Chance(Protocol):
    """Where chance comes from: a seeded generator (`random.Random` is one), so that the same seed gives the same."""

    def random(self) -> float: ...
    def randrange(self, start: int, stop: int, /) -> int: ...


_Maker = Callable[[Chance, int, list[str]], None]  # chance, how much more, the text so far


def text_maker(pattern: str) -> Callable[[Chance, int], str]:
    """Return what makes texts of the pattern: given chance, and how often an endless repetition may go on beyond its least. Raises Unreadable."""
    try:
        walk = _maker(tree(pattern))
    except PatternError as error:
        raise Unreadable(error.text) from None

    def make(chance: Chance, more: int) -> str:
        out: list[str] = []
        walk(chance, more, out)
        return "".join(out)

    return make


def _maker(part: Part) -> _Maker:
    match part:
        case Char():
            return _one_of(_letters(part))
        case At():
            return lambda _chance, _more, _out: None
        case Chain(parts):
            return _all_of([_maker(one) for one in parts])
        case Either(branches):
            return _any_of([_maker(one) for one in branches])
        case Repeat(inner, least, most):
            return _repeated(_maker(inner), least, most)


def _one_of(letters: str) -> _Maker:
    def make(chance: Chance, _more: int, out: list[str]) -> None:
        if len(out) >= TEXT_MAX:
            raise Unreadable(f"it makes texts of more than {TEXT_MAX:,} characters")
        out.append(letters[chance.randrange(0, len(letters)) if len(letters) > 1 else 0])

    return make


def _all_of(makers: list[_Maker]) -> _Maker:
    def make(chance: Chance, more: int, out: list[str]) -> None:
        for one in makers:
            one(chance, more, out)

    return make


def _any_of(makers: list[_Maker]) -> _Maker:
    def make(chance: Chance, more: int, out: list[str]) -> None:
        makers[chance.randrange(0, len(makers))](chance, more, out)

    return make


def _repeated(maker: _Maker, least: int, most: int | None) -> _Maker:
    def make(chance: Chance, more: int, out: list[str]) -> None:
        limit = least + more if most is None else min(most, least + more)
        for _ in range(chance.randrange(least, limit + 1)):
            maker(chance, more, out)

    return make


def _letters(char: Char) -> str:
    """Return characters that pass: those that the pattern names, if they are few, or else such as people can read. Raises Unreadable if there are none."""
    is_small = 0 < sum(last - first + 1 for first, last in char.likely) <= LETTERS_MAX
    named = tuple(sorted(char.likely))
    for ranges in (named, _PRINTABLE, _BEYOND) if is_small else (_PRINTABLE, _BEYOND, named):
        found = "".join(dict.fromkeys(_passing(char, ranges)))
        if found:
            return found
    raise Unreadable("a class holds no character")


def _passing(char: Char, ranges: Iterable[Range]) -> Iterator[str]:
    left = LETTERS_MAX
    for first, last in ranges:
        for code in range(first, last + 1):
            if code not in _HALVES and char.test(chr(code)):
                yield chr(code)
                left -= 1
                if not left:
                    return
