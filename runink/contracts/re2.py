r"""Patterns in RE2's dialect, for where there is no RE2: read, refused where RE2 would refuse them, and written for Python's `re` with the same meaning.

A contract's patterns are matched by Arrow, which has RE2. A contract's class is read without Arrow, so what is no pattern must be seen here, and a default
checked against one. What differs, and what is written instead:

    RE2                                         Python
    \d \w \s \b are of ASCII, \s without \v    classes written out
    $ without (?m) is the end of the text       \Z  (Python's $ also stands before a last line end)
    \z   \Q…\E   \x{10FFFF}   [[:alpha:]]       \Z, escaped text, the character, the class written out
    look-arounds, references back, (?>…), a*+   a mistake here, as there
    \pL   \C   (?U)   (?i) in the middle        valid, but not to be had in Python: `Untranslatable`

The reader goes through the pattern once, from left to right, and keeps only how deep it is in brackets.
"""

from __future__ import annotations

import re
from typing import Final

REPEAT_MAX: Final = 1000  # RE2's own limit of {n,m}
PATTERN_CHARACTERS_MAX: Final = 10_000  # RE2 gives up on memory somewhere above this
_CLASSES: Final = {"d": "0-9", "w": "0-9A-Za-z_", "s": r"\t\n\f\r "}
_NEGATED: Final = {
    "D": r"\x00-/:-\U0010ffff",
    "W": r"\x00-/:-@\[-\^`{-\U0010ffff",
    "S": r"\x00-\x08\x0b\x0e-\x1f!-\U0010ffff",
}
_POSIX: Final = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7f",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_CONTROL: Final = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_REPEAT: Final = re.compile(r"\{([0-9]+)(,([0-9]*))?\}")
_FLAGS: Final = re.compile(r"([imsU]*)(?:-([imsU]+))?([:)])")
_NAME: Final = re.compile(r"P?<([A-Za-z_][A-Za-z0-9_]*)>")
_HEX: Final = re.compile(r"x(?:\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{2}))")
_LAST: Final = 0x10FFFF


class BadPattern(ValueError):
    """RE2 would not take the pattern."""


class Untranslatable(ValueError):
    """RE2 takes the pattern, Python has nothing that means the same."""


def compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern for `fullmatch` that means what RE2 means by it. Raises BadPattern and Untranslatable."""
    text = _Reader(pattern).written()
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise BadPattern(str(error)) from None


class _Reader:
    def __init__(self, pattern: str) -> None:
        if len(pattern) > PATTERN_CHARACTERS_MAX:
            raise BadPattern(f"it is longer than {PATTERN_CHARACTERS_MAX:,} characters")
        self._text = pattern
        self._at = 0
        self._out: list[str] = []
        self._lines = [False]  # for each open bracket, whether ^ and $ are of lines
        self._begins = True  # nothing stands here yet that could be repeated
        self._repeated = False
        self._cannot = ""

    def written(self) -> str:
        while self._at < len(self._text):
            self._next()
        if len(self._lines) > 1:
            raise BadPattern("a bracket is never closed")
        if self._cannot:
            raise Untranslatable(f"{self._cannot} is beyond what can be checked here")
        return "".join(self._out)

    def _next(self) -> None:
        character = self._text[self._at]
        match character:
            case "\\":
                self._escape()
            case "[":
                self._class()
            case "(":
                self._open()
            case ")":
                self._close()
            case "*" | "+" | "?":
                self._at += 1
                self._repeat(character)
            case "{" if match := _REPEAT.match(self._text, self._at):
                self._count(match)
            case "|":
                self._at += 1
                self._out.append("|")
                self._begins, self._repeated = True, False
            case "$":
                self._one("(?m:$)" if self._lines[-1] else r"\Z")
            case "^":
                self._one("(?m:^)" if self._lines[-1] else "^")
            case ".":
                self._one(".")
            case _:
                self._one(re.escape(character))

    def _one(self, written: str, length: int = 1) -> None:
        self._out.append(written)
        self._at += length
        self._begins = self._repeated = False

    def _repeat(self, written: str) -> None:
        if self._begins:
            raise BadPattern(f"there is nothing that {written} could repeat")
        if self._repeated:
            raise BadPattern(f"{written} repeats a repetition: put it in brackets")
        lazy = self._text[self._at : self._at + 1] == "?"
        self._at += lazy
        # Brackets: Python does not repeat an anchor, RE2 does.
        self._out[-1] = f"(?:{self._out[-1]})" if self._out[-1] in _ANCHORS else self._out[-1]
        self._out.append(written + "?" * lazy)
        self._repeated = True

    def _count(self, match: re.Match[str]) -> None:
        low, high = int(match[1]), int(match[3]) if match[3] else None
        if max(low, high or 0) > REPEAT_MAX or (high is not None and low > high):
            raise BadPattern(f"{match[0]} counts to more than {REPEAT_MAX}, or backwards")
        self._at = match.end()
        self._repeat(match[0])

    def _open(self) -> None:
        self._at += 1
        if self._text[self._at : self._at + 1] != "?":
            self._push("(", lines=self._lines[-1])
            return
        self._at += 1
        rest = self._text[self._at :]
        if rest[:1] in ("=", "!") or rest[:2] in ("<=", "<!"):
            raise BadPattern("it looks around, which RE2 does not")
        if rest[:2] == "P=":
            raise BadPattern("it refers back, which RE2 does not")
        if match := _NAME.match(rest):
            self._at += match.end()
            self._push(f"(?P<{match[1]}>", lines=self._lines[-1])
            return
        match = _FLAGS.match(rest)
        if match is None:
            raise BadPattern(f"(?{rest[:1]} is nothing that RE2 knows")
        self._at += match.end()
        self._flags(match)

    def _flags(self, match: re.Match[str]) -> None:
        on, off, end = match[1], match[2] or "", match[3]
        if "U" in on + off:
            self._cannot = "(?U)"
        lines = (self._lines[-1] or "m" in on) and "m" not in off
        own_on, own_off = (
            "".join(sorted({flag for flag in text if flag in "is"})) for text in (on, off)
        )
        own_off = "".join(flag for flag in own_off if flag not in own_on)
        scoped = f"(?{own_on}{'-' + own_off if own_off else ''}:"
        if end == ":":
            self._push(scoped, lines=lines)
        elif len(self._lines) == 1 and not self._out:
            self._lines[-1] = lines
            if own_on:  # what is off at the beginning is off already
                self._out.append(f"(?{own_on})")
        else:
            self._cannot, self._repeated = "a flag in the middle", False

    def _push(self, written: str, *, lines: bool) -> None:
        self._out.append(written)
        self._lines.append(lines)
        self._begins, self._repeated = True, False

    def _close(self) -> None:
        if len(self._lines) == 1:
            raise BadPattern("a bracket is closed that was never opened")
        self._lines.pop()
        self._one(")")

    def _escape(self) -> None:
        rest = self._text[self._at + 1 :]
        if not rest:
            raise BadPattern("it ends with a lone \\")
        letter = rest[0]
        if letter in _CLASSES:
            self._one(f"[{_CLASSES[letter]}]", 2)
        elif letter in _NEGATED:
            self._one(f"[^{_CLASSES[letter.lower()]}]", 2)
        elif letter in "bB":
            # Python's \B is not in an empty text, RE2's is.
            self._one(r"(?a:\b)" if letter == "b" else r"(?!(?a:\b))", 2)
        elif letter in "Az":
            self._one(r"\A" if letter == "A" else r"\Z", 2)
        elif letter == "Q":
            quoted, end, _ = rest[1:].partition(r"\E")
            if not end:
                raise BadPattern(r"a \Q is never closed by \E")
            for character in quoted:
                self._one(re.escape(character))
            self._at += 4
        elif letter in "pP":
            self._property(rest)
        elif letter == "C":
            self._cannot = r"\C"
            self._one(".", 2)
        else:
            code, length = self._code(rest)
            self._one(re.escape(chr(code)), 1 + length)

    def _property(self, rest: str) -> None:
        match = re.match(r"[pP](?:[A-Z]|\{\^?[A-Za-z_]+\})", rest)
        if match is None:
            raise BadPattern(rf"\{rest[:2]} names no property")
        self._cannot = f"\\{match[0]}"
        self._one(".", 1 + match.end())

    def _code(self, rest: str) -> tuple[int, int]:
        """Return the character that an escape stands for, and how long the escape is."""
        if match := _HEX.match(rest):
            code = int(match[1] or match[2], 16)
            if code > _LAST:
                raise BadPattern(f"\\{match[0]} is no character")
            return code, match.end()
        if rest[0] == "0":
            match = re.match("0[0-7]{0,2}", rest)
            assert match is not None
            return int(match[0], 8), match.end()
        if rest[0] in "123456789":
            if match := re.match("[1-7][0-7]{1,2}", rest):
                return int(match[0], 8), match.end()
            raise BadPattern("it refers back, which RE2 does not")
        if rest[0] in _CONTROL:
            return ord(_CONTROL[rest[0]]), 1
        if rest[0].isalnum() or rest[0] == "_" or ord(rest[0]) > 126:
            if rest[0] == "_":
                return ord("_"), 1
            raise BadPattern(f"\\{rest[0]} is nothing that RE2 knows")
        return ord(rest[0]), 1

    # In square brackets.

    def _class(self) -> None:
        self._at += 1
        parts: list[str] = []
        negated = self._text[self._at : self._at + 1] == "^"
        self._at += negated
        first = True
        while first or self._text[self._at : self._at + 1] != "]":
            if self._at >= len(self._text):
                raise BadPattern("a [ is never closed")
            parts.append(self._part())
            first = False
        inner = "".join(parts)
        self._one(f"[{'^' * negated}{inner}]")

    def _part(self) -> str:
        posix = re.compile(r"\[:(\^?)([a-z]+):\]").match(self._text, self._at)
        if posix:
            if posix[2] not in _POSIX:
                raise BadPattern(f"{posix[0]} names no class")
            self._at = posix.end()
            if posix[1]:
                self._cannot = posix[0]
            return _POSIX[posix[2]]
        rest = self._text[self._at :]
        if rest[0] == "\\" and rest[1:2] in (*_CLASSES, *_NEGATED):
            self._at += 2
            return _CLASSES.get(rest[1]) or _NEGATED[rest[1]]
        if rest[0] == "\\" and rest[1:2] in ("p", "P"):
            match = re.match(r"\\[pP](?:[A-Z]|\{\^?[A-Za-z_]+\})", rest)
            if match is None:
                raise BadPattern(rf"\{rest[1:3]} names no property")
            self._cannot = match[0]
            self._at += match.end()
            return ""
        low = self._member()
        if self._text[self._at : self._at + 1] == "-" and self._text[
            self._at + 1 : self._at + 2
        ] not in ("]", ""):
            self._at += 1
            high = self._member()
            if high < low:
                raise BadPattern(f"a range goes backwards: {chr(low)}-{chr(high)}")
            return f"{re.escape(chr(low))}-{re.escape(chr(high))}"
        return re.escape(chr(low))

    def _member(self) -> int:
        character = self._text[self._at]
        if character != "\\":
            self._at += 1
            return ord(character)
        rest = self._text[self._at + 1 :]
        if not rest:
            raise BadPattern("it ends with a lone \\")
        code, length = self._code(rest)
        self._at += 1 + length
        return code


_ANCHORS: Final = frozenset({"^", r"\Z", r"\A", "(?m:^)", "(?m:$)", r"(?a:\b)", r"(?!(?a:\b))"})
