"""The reader of patterns: RE2's syntax, character by character."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from runink.expressions.pattern_characters import (
    CONTROLS,
    DIGITS,
    POSIX,
    SETS,
    WORD,
    folded,
    of_category,
)
from runink.expressions.patterns import (
    NESTING_MAX,
    REPEATS_MAX,
    At,
    BeyondReader,
    Chain,
    Char,
    Either,
    Part,
    PatternError,
    Place,
    Range,
    Repeat,
)

_PLACES: Final = {
    "A": Place.TEXT_BEGIN,
    "z": Place.TEXT_END,
    "b": Place.EDGE,
    "B": Place.NO_EDGE,
}
_NOT_RE2: Final = {
    "=": "RE2 does not look ahead",
    "!": "RE2 does not look ahead",
    ">": "RE2 has no atomic groups",
    "#": "RE2 has no comments",
}


@dataclass(frozen=True, slots=True)
class _Flags:
    blind: bool = False  # (?i)
    lines: bool = False  # (?m)
    dot_takes_all: bool = False  # (?s)


class Reader:
    """Goes over one pattern from left to right; groups go down a level."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._flags = _Flags()
        self._nesting = 0

    def whole(self) -> Part:
        """Return the tree of the pattern. Raises PatternError."""
        found = self._either()
        if self._at < len(self._pattern):
            raise PatternError("this ) closes nothing", self._at, r"write \) for the character")
        _count(found, 1)
        return found

    def _peek(self, length: int = 1) -> str:
        return self._pattern[self._at : self._at + length]

    def _take(self) -> str:
        character = self._pattern[self._at]
        self._at += 1
        return character

    def _either(self) -> Part:
        branches = [self._chain()]
        while self._peek() == "|":
            self._at += 1
            branches.append(self._chain())
        return branches[0] if len(branches) == 1 else Either(tuple(branches))

    def _chain(self) -> Part:
        parts: list[Part] = []
        while self._at < len(self._pattern) and self._peek() not in {"|", ")"}:
            if self._peek(2) == "\\Q":
                parts += self._quoted()
                continue
            part = self._atom()
            if part is not None:
                parts.append(self._repeated(part))
            elif parts and self._times() is not None:
                text = "flags stand between a repetition and what it repeats"
                raise BeyondReader(text, self._at, "put the flags first")
        return Chain(tuple(parts))

    def _quoted(self) -> list[Part]:
        r"""Read `\Q…\E`; what repeats behind it repeats its last character."""
        end = self._pattern.find("\\E", self._at + 2)
        inside = self._pattern[self._at + 2 : end if end >= 0 else len(self._pattern)]
        self._at = end + 2 if end >= 0 else len(self._pattern)
        parts: list[Part] = [self._char(one) for one in inside]
        if parts:
            parts[-1] = self._repeated(parts[-1])
        return parts

    # Repetition.

    def _repeated(self, part: Part) -> Part:
        begin = self._at
        times = self._times()
        if times is None:
            return part
        if self._peek() == "?":  # lazy: for whether there is a match it is the same
            self._at += 1
        behind = self._at
        if self._times() is not None:
            text = f"{self._pattern[begin : self._at]} repeats a repetition"
            raise PatternError(text, behind, "put brackets around what is repeated")
        return Repeat(part, *times)

    def _times(self) -> tuple[int, int | None] | None:
        simple: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
        if self._peek() in simple:
            return simple[self._take()]
        if self._peek() != "{":
            return None
        inside, closing, _ = self._pattern[self._at + 1 :].partition("}")
        least, comma, most = inside.partition(",")
        if not closing or not _is_number(least) or (most and not _is_number(most)):
            return None  # then { stands for itself
        begin = self._at
        self._at += len(inside) + 2
        upper = None if comma and not most else _bounded(most or least, begin)
        lower = _bounded(least, begin)
        if upper is not None and upper < lower:
            raise PatternError(f"{{{inside}}} ends before it begins", begin)
        return lower, upper

    # Atoms.

    def _atom(self) -> Part | None:
        begin = self._at
        if self._times() is not None:
            text = f"there is nothing that {self._pattern[begin : self._at]} could repeat"
            raise PatternError(text, begin, f"write \\{self._pattern[begin]} for the character")
        character = self._take()
        match character:
            case "(":
                return self._group(begin)
            case "[":
                return self._class(begin)
            case ".":
                return Char(_any if self._flags.dot_takes_all else _any_but_line_end)
            case "^":
                return At(Place.LINE_BEGIN if self._flags.lines else Place.TEXT_BEGIN)
            case "$":
                return At(Place.LINE_END if self._flags.lines else Place.TEXT_END)
            case "\\":
                return self._escape(begin)
            case _:
                return self._char(character)

    def _char(self, character: str) -> Char:
        likely = (_only(character),)
        if self._flags.blind:
            sought = folded(character)
            return Char(lambda one: folded(one) == sought, likely)
        return Char(lambda one: one == character, likely)

    def _group(self, begin: int) -> Part | None:
        outer = self._flags
        if self._peek() == "?":
            self._at += 1
            if self._peek() == "P" or self._peek() == "<":
                self._group_name(begin)
            elif self._group_flags(begin):
                return None  # (?i): from here on
        self._nesting += 1
        if self._nesting > NESTING_MAX:
            raise BeyondReader(f"there are {NESTING_MAX} groups within each other at most", begin)
        inside = self._either()
        self._nesting -= 1
        if self._peek() != ")":
            raise PatternError("this ( is never closed", begin, r"write \( for the character")
        self._at += 1
        self._flags = outer
        return inside

    def _group_name(self, begin: int) -> None:
        self._at += self._peek() == "P"
        if self._peek() != "<":
            raise PatternError("RE2 does not refer back", begin)
        self._at += 1
        if self._peek() in {"=", "!"}:
            raise PatternError("RE2 does not look behind", begin)
        name, closing, _ = self._pattern[self._at :].partition(">")
        if not closing or not name or not {one for one in name if one.isascii()} <= WORD:
            raise PatternError("this is no name of a group", begin, "as in (?P<year>…)")
        if not name.isascii():
            raise BeyondReader("names of groups are of plain letters", begin)
        self._at += len(name) + 1

    def _group_flags(self, begin: int) -> bool:
        """Read `i`, `m`, `s`, `U` and what takes them back; say whether that was all of the group."""
        if self._peek() in _NOT_RE2:
            raise PatternError(_NOT_RE2[self._peek()], begin)
        value, given = True, 0
        while self._at < len(self._pattern):
            match self._take():
                case "i":
                    self._flags = replace(self._flags, blind=value)
                case "m":
                    self._flags = replace(self._flags, lines=value)
                case "s":
                    self._flags = replace(self._flags, dot_takes_all=value)
                case "U":  # swaps lazy and greedy: for whether there is a match it is the same
                    pass
                case "-" if value:
                    value, given = False, -1
                case ")" | ":" as closing if given >= 0:
                    return closing == ")"
                case _:
                    break
            given += 1
        raise PatternError("this group cannot be read", begin, "as in (?i) or (?:a|b)")

    def _escape(self, begin: int) -> Part:
        if self._peek() in _PLACES:
            return At(_PLACES[self._take()])
        return self._set(begin) or self._char(self._escaped(begin))

    def _set(self, begin: int) -> Char | None:
        r"""Read what stands for many characters behind a backslash: `\d`, `\W`, `\pL`; nothing if it is none of these."""
        letter = self._peek()
        if letter.lower() in SETS:
            self._at += 1
            return self._among(SETS[letter.lower()], is_negated=letter.isupper())
        if letter not in {"p", "P"}:
            return None
        self._at += 1
        name = self._peek()
        self._at += 1
        if name == "{":
            name, closing, _ = self._pattern[self._at :].partition("}")
            self._at += len(name) + 1
            if not closing:
                raise PatternError("this { is never closed", begin, r"as in \p{Lu}")
        is_negated = (letter == "P") != name.startswith("^")
        test = of_category(name.removeprefix("^"))
        if test is None or self._flags.blind:
            hint = r"general categories are there, and where case counts: \pL, \p{Lu}"
            raise BeyondReader(f"\\{letter}{{{name}}} is not there", begin, hint)
        return _inverted(Char(test)) if is_negated else Char(test)

    def _among(self, among: frozenset[str], *, is_negated: bool) -> Char:
        char = Char(among.__contains__, tuple(map(_only, sorted(among))))
        if self._flags.blind:
            blind = frozenset(folded(one) for one in among)
            char = Char(lambda one: folded(one) in blind, char.likely)
        return _inverted(char) if is_negated else char

    def _escaped(self, begin: int) -> str:
        """Return the one character behind a backslash. Raises PatternError."""
        if self._at >= len(self._pattern):
            raise PatternError("a backslash ends the pattern", begin, r"write \\")
        character = self._take()
        if character in CONTROLS:
            return CONTROLS[character]
        if character == "x":
            return self._hexadecimal(begin)
        if character == "0" or (character in "1234567" and self._peek() in set("01234567")):
            digits = character
            while len(digits) < 3 and self._peek() in set("01234567") and self._peek():
                digits += self._take()
            return chr(int(digits, 8))
        if character in DIGITS:
            raise PatternError("RE2 does not refer back", begin)
        if character == "C":
            raise BeyondReader(r"\C is a byte, not a character", begin, "write . instead")
        if (character in WORD and character != "_") or ord(character) >= 128:
            raise PatternError(f"\\{character} means nothing in RE2", begin)
        return character

    def _hexadecimal(self, begin: int) -> str:
        if self._peek() == "{":
            digits, closing, _ = self._pattern[self._at + 1 :].partition("}")
            self._at += len(digits) + 2
            digits = digits if closing else ""
        else:
            digits = self._peek(2)
            digits = digits if len(digits) == 2 else ""
            self._at += 2
        if digits and set(digits) <= POSIX["xdigit"] and int(digits, 16) <= 0x10FFFF:
            return chr(int(digits, 16))
        raise PatternError("this is no character", begin, r"as in \x41 or \x{1F600}")

    # Classes.

    def _class(self, begin: int) -> Char:
        is_negated = self._peek() == "^"
        self._at += is_negated
        items: list[Char] = []
        while self._peek() != "]" or not items:
            if self._at >= len(self._pattern):
                raise PatternError("this [ is never closed", begin, r"write \[ for the character")
            items.append(self._class_item())
        self._at += 1
        tests = [item.test for item in items]
        likely = tuple(one for item in items for one in item.likely)
        found = Char(lambda one: any(test(one) for test in tests), likely)
        return _inverted(found) if is_negated else found

    def _class_item(self) -> Char:
        begin = self._at
        if self._peek(2) == "[:" and (named := self._posix(begin)) is not None:
            return named
        if self._peek() == "\\":
            self._at += 1
            many = self._set(begin)
            if many is not None:
                return many
            low = self._escaped(begin)
        else:
            low = self._take()
        high = low
        if self._peek() == "-" and self._peek(2) not in {"-]", "-"}:
            self._at += 1
            high = self._range_end(begin)
        return self._range(low, high, begin)

    def _range_end(self, begin: int) -> str:
        character = self._take()
        if character != "\\":
            return character
        if self._peek().lower() in {*SETS, "p"}:
            raise PatternError("a range has a character on both sides", begin)
        return self._escaped(begin)

    def _range(self, low: str, high: str, begin: int) -> Char:
        if high < low:
            raise PatternError(f"{low}-{high} ends before it begins", begin)
        likely = ((ord(low), ord(high)),)
        if not self._flags.blind:
            return Char(lambda one: low <= one <= high, likely)
        if ord(high) >= 128:
            text = "a class where case does not count holds plain letters only"
            raise BeyondReader(text, begin, "write both cases, without (?i)")
        among = frozenset(folded(chr(code)) for code in range(ord(low), ord(high) + 1))
        return Char(lambda one: folded(one) in among, likely)

    def _posix(self, begin: int) -> Char | None:
        inside, closing, _ = self._pattern[self._at + 2 :].partition(":]")
        if not closing:
            return None
        name = inside.removeprefix("^")
        if name not in POSIX:
            raise PatternError(f"[:{inside}:] is no class", begin, "as in [[:alpha:]]")
        self._at += len(inside) + 4
        return self._among(POSIX[name], is_negated=name != inside)


def _any(_character: str) -> bool:
    return True


def _any_but_line_end(character: str) -> bool:
    return character != "\n"


def _inverted(char: Char) -> Char:
    return Char(lambda character: not char.test(character))


def _only(character: str) -> Range:
    return ord(character), ord(character)


def _is_number(text: str) -> bool:
    return bool(text) and set(text) <= DIGITS


def _bounded(text: str, at: int) -> int:
    if len(text.lstrip("0")) > 4 or int(text) > REPEATS_MAX:
        raise PatternError(f"RE2 repeats {REPEATS_MAX} times at most", at)
    return int(text)


def _count(part: Part, times: int) -> None:
    """Refuse repetitions within each other that are more than RE2 takes."""
    if times > REPEATS_MAX:
        raise PatternError(f"RE2 repeats {REPEATS_MAX} times at most", 0)
    match part:
        case Chain(parts) | Either(parts):
            for one in parts:
                _count(one, times)
        case Repeat(inner, least, most):
            _count(inner, times * max(most if most is not None else least, 1))
