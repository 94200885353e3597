r"""Texts that match a pattern: the pattern is read into a tree, and the tree is walked by chance.

    read        literals and escapes, . and classes (ranges, ^, [:alpha:], \d \w \s, \pL \pN \p{Lu} \p{Ll}), groups, |, * + ? {n} {n,} {n,m}
    passed over anchors, \b and flags such as (?i): a text that is made does not need them to match; who uses it checks that by RE2 itself
    not read    \Q…\E, \C and other Unicode classes: `Unreadable`

A class that is very large (., [^"]) gives characters that people can read. A repetition without an end is ended by chance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

Range = tuple[int, int]

DEPTH_MAX: Final = 200  # of groups within groups
TEXT_MAX: Final = 100_000  # characters: {1000} within {1000} is no text that anybody wants
_PRINTABLE: Final[tuple[Range, ...]] = ((0x20, 0x7E),)
_BEYOND: Final[tuple[Range, ...]] = ((0xA1, 0xD7FF), (0x00, 0x1F), (0x7F, 0xA0), (0xE000, 0xFFFF))
_DIGITS: Final[tuple[Range, ...]] = ((0x30, 0x39),)
_UPPER: Final[tuple[Range, ...]] = ((0x41, 0x5A),)
_LOWER: Final[tuple[Range, ...]] = ((0x61, 0x7A),)
_WORD: Final = (*_DIGITS, *_UPPER, (0x5F, 0x5F), *_LOWER)
_SPACE: Final[tuple[Range, ...]] = ((0x20, 0x20), (0x09, 0x0A), (0x0C, 0x0D))
_CLASSES: Final = {"d": _DIGITS, "w": _WORD, "s": _SPACE}
_PROPERTIES: Final = {
    "L": (*_UPPER, *_LOWER),
    "N": _DIGITS,
    "Nd": _DIGITS,
    "Lu": _UPPER,
    "Ll": _LOWER,
}
_POSIX: Final[dict[str, tuple[Range, ...]]] = {
    "alnum": (*_DIGITS, *_UPPER, *_LOWER),
    "alpha": (*_UPPER, *_LOWER),
    "ascii": ((0x00, 0x7F),),
    "blank": ((0x20, 0x20), (0x09, 0x09)),
    "digit": _DIGITS,
    "graph": ((0x21, 0x7E),),
    "lower": _LOWER,
    "print": _PRINTABLE,
    "punct": ((0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E)),
    "space": _SPACE,
    "upper": _UPPER,
    "word": _WORD,
    "xdigit": (*_DIGITS, (0x41, 0x46), (0x61, 0x66)),
}
_CONTROLS: Final = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class Unreadable(ValueError):
    """The pattern has a part that no text is made for here."""


class Chance(Protocol):
    """Where chance comes from: a seeded generator (`random.Random` is one), so that the same seed gives the same."""

    def random(self) -> float: ...
    def randrange(self, start: int, stop: int, /) -> int: ...


@dataclass(frozen=True, slots=True)
class Characters:
    """One of these characters, by their numbers."""

    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Sequence:
    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    ways: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Repeated:
    part: Tree
    least: int
    most: int | None


Tree = str | Characters | Sequence | Choice | Repeated


def text_maker(pattern: str) -> Callable[[Chance, int], str]:
    """Return what makes texts of the pattern: given chance, and how often an endless repetition may go on beyond its least. Raises Unreadable."""
    reader = _Reader(pattern)
    tree = reader.read()

    def make(chance: Chance, more: int) -> str:
        out: list[str] = []
        _walk(tree, chance, more, out)
        return "".join(out)

    return make


def _walk(tree: Tree, chance: Chance, more: int, out: list[str]) -> None:
    if len(out) > TEXT_MAX:
        raise Unreadable(f"it makes texts of more than {TEXT_MAX:,} characters")
    match tree:
        case str():
            out.append(tree)
        case Characters(ranges):
            out.append(_one_of(ranges, chance))
        case Sequence(parts):
            for part in parts:
                _walk(part, chance, more, out)
        case Choice(ways):
            _walk(ways[chance.randrange(0, len(ways))], chance, more, out)
        case Repeated(part, least, most):
            limit = least + more if most is None else min(most, least + more)
            for _ in range(chance.randrange(least, limit + 1)):
                _walk(part, chance, more, out)


def _one_of(ranges: tuple[Range, ...], chance: Chance) -> str:
    place = chance.randrange(0, sum(last - first + 1 for first, last in ranges))
    for first, last in ranges:
        if place <= last - first:
            return chr(first + place)
        place -= last - first + 1
    raise AssertionError("the place is within the ranges")


class _Reader:
    """Reads a pattern from left to right."""

    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0
        self._depth = 0

    def read(self) -> Tree:
        tree = self._alternatives()
        if self._at < len(self._text):
            raise Unreadable("a ) is never opened")
        return tree

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _took(self, text: str) -> bool:
        if self._text.startswith(text, self._at):
            self._at += len(text)
            return True
        return False

    def _next(self) -> str:
        if self._at >= len(self._text):
            raise Unreadable("it ends too early")
        self._at += 1
        return self._text[self._at - 1]

    def _alternatives(self) -> Tree:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise Unreadable(f"it has more than {DEPTH_MAX} groups within each other")
        ways = [self._sequence()]
        while self._took("|"):
            ways.append(self._sequence())
        self._depth -= 1
        return ways[0] if len(ways) == 1 else Choice(tuple(ways))

    def _sequence(self) -> Tree:
        parts: list[Tree] = []
        while self._peek() not in ("", "|", ")"):
            part = self._repeated(self._atom())
            if part != "":
                parts.append(part)
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _repeated(self, part: Tree) -> Tree:
        while True:  # Each turn takes a character; RE2 has refused what is repeated twice.
            bounds = self._bounds()
            if bounds is None:
                return part
            self._took("?")  # lazy: the texts are the same
            part = Repeated(part, *bounds)

    def _bounds(self) -> tuple[int, int | None] | None:
        for sign, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._took(sign):
                return bounds
        if self._peek() != "{":
            return None
        inside, closed, _ = self._text[self._at + 1 :].partition("}")
        least, comma, most = inside.partition(",")
        if not closed or not least.isdigit() or not (most.isdigit() or not most):
            return None  # the bracket stands for itself
        self._at += len(inside) + 2
        return int(least), (int(most) if most else None) if comma else int(least)

    def _atom(self) -> Tree:
        character = self._next()
        match character:
            case "(":
                return self._group()
            case "[":
                return self._class()
            case ".":
                return Characters(_PRINTABLE)
            case "^" | "$":
                return ""
            case "\\":
                return self._escape()
            case _:
                return character

    def _group(self) -> Tree:
        if self._took("?"):
            if self._peek() in ("P", "<"):
                self._at = self._until(">")
            else:
                end = min(
                    (at for at in (self._text.find(one, self._at) for one in ":)") if at >= 0),
                    default=-1,
                )
                if end < 0:
                    raise Unreadable("a ( is never closed")
                is_flag = self._text[end] == ")"
                self._at = end + 1
                if is_flag:
                    return ""
        tree = self._alternatives()
        if not self._took(")"):
            raise Unreadable("a ( is never closed")
        return tree

    def _until(self, end: str) -> int:
        found = self._text.find(end, self._at)
        if found < 0:
            raise Unreadable(f"a {end} is missing")
        return found + 1

    def _escape(self) -> Tree:
        character = self._next()
        if character in "AzbB":
            return ""
        found = self._class_escape(character)
        if found is not None:
            return Characters(found)
        return chr(self._code(character))

    def _class_escape(self, character: str) -> tuple[Range, ...] | None:
        r"""Return the characters of \d and its like, or nothing for another escape."""
        if character in _CLASSES:
            return _CLASSES[character]
        if character.lower() in _CLASSES:
            return _without(_CLASSES[character.lower()])
        if character not in "pP":
            return None
        name = self._next()
        if name == "{":
            end = self._until("}")
            name, self._at = self._text[self._at : end - 1], end
        ranges = _PROPERTIES.get(name.removeprefix("^"))
        if ranges is None:
            raise Unreadable(rf"\p{{{name}}}")
        return _without(ranges) if (character == "P") is not name.startswith("^") else ranges

    def _code(self, character: str) -> int:
        """Return the number of an escaped character."""
        if character == "x":
            if self._took("{"):
                end = self._until("}")
                digits, self._at = self._text[self._at : end - 1], end
            else:
                digits = self._next() + self._next()
            try:
                return ord(chr(int(digits, 16)))
            except (ValueError, OverflowError):
                raise Unreadable(f"\\x{digits}") from None
        if character in _CONTROLS:
            return ord(_CONTROLS[character])
        if character.isalnum():
            raise Unreadable(f"\\{character}")
        return ord(character)

    def _class(self) -> Tree:
        is_without = self._took("^")
        ranges: list[Range] = []
        is_first = True
        while is_first or self._peek() != "]":
            is_first = False
            ranges += self._class_part()
        self._at += 1
        return Characters(_without(tuple(ranges)) if is_without else _merged(ranges))

    def _class_part(self) -> tuple[Range, ...]:
        if self._took("[:"):
            end = self._text.find(":]", self._at)
            name = self._text[self._at : end].removeprefix("^")
            if end < 0 or name not in _POSIX:
                raise Unreadable(f"[:{name}:]")
            is_without = self._text[self._at] == "^"
            self._at = end + 2
            return _without(_POSIX[name]) if is_without else _POSIX[name]
        first = self._next()
        if first == "\\":
            escaped = self._next()
            found = self._class_escape(escaped)
            if found is not None:
                return found
            low = self._code(escaped)
        else:
            low = ord(first)
        if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("", "]"):
            self._at += 1
            last = self._next()
            high = self._code(self._next()) if last == "\\" else ord(last)
            return ((low, high),)
        return ((low, low),)


def _merged(ranges: list[Range]) -> tuple[Range, ...]:
    """Return the ranges in order, none over another, without surrogates, which no text has."""
    found: list[Range] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    halves = [(first, min(last, 0xD7FF)) for first, last in found if first <= 0xD7FF]
    halves += [(max(first, 0xE000), last) for first, last in found if last >= 0xE000]
    if not halves:
        raise Unreadable("a class holds no character")
    return tuple(halves)


def _without(ranges: tuple[Range, ...]) -> tuple[Range, ...]:
    """Return characters that are not in the ranges: those that people read, or where none is left others."""
    for domain in (_PRINTABLE, _BEYOND):
        left = list(domain)
        for first, last in ranges:
            left = [
                piece
                for low, high in left
                for piece in ((low, min(high, first - 1)), (max(low, last + 1), high))
                if piece[0] <= piece[1]
            ]
        if left:
            return tuple(dict.fromkeys(left))
    raise Unreadable("a class holds no character")
