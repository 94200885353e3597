"""What stands for itself in an expression: numbers and texts, from how they are written to what they are."""

from __future__ import annotations

import re
from typing import Final

INT_MAX: Final = (1 << 63) - 1
TOO_LARGE: Final = "a whole number of more than 64 bits"
TOO_LARGE_HINT: Final = "write a fraction: 1e20"
_ESCAPE: Final = re.compile(
    r"\\(?:([0-3][0-7]{2})|[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL
)
_SINGLE: Final = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "?": "?", '"': '"', "'": "'", "`": "`",
}  # fmt: skip


class Unreadable(Exception):
    """Says what is wrong with a number or a text: `at` counts from its first character."""

    def __init__(self, text: str, *, at: int = 0, length: int = 0, hint: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.at = at
        self.length = length
        self.hint = hint


def whole_number(written: str) -> int:
    """Return what `12` or `0x1F` says; up to 2^63, which only a minus before it makes fit 64 bits. Raises Unreadable."""
    value = int(written, 16) if written[:2] in {"0x", "0X"} else int(written)
    if value > INT_MAX + 1:
        raise Unreadable(TOO_LARGE, hint=TOO_LARGE_HINT)
    return value


def fraction(written: str) -> float:
    """Return what `1.5` or `1e-9` says. Raises Unreadable beyond what a double holds."""
    value = float(written)
    if value == float("inf"):
        raise Unreadable("this number is too large")
    return value


def raw_text(written: str) -> str:
    """Return what stands between the quotes of `r'…'`, as it is."""
    return _within(written[1:])


def bare(written: str) -> str:
    """Return a name without the backticks that it may stand in."""
    return str(written).strip("`")


def text(written: str) -> str:
    """Return what a text in quotes says, with CEL's escapes. Raises Unreadable."""
    inside = _within(written)
    if "\\" not in inside:
        return inside
    margin = (len(written) - len(inside)) // 2
    read: list[str] = []
    done = 0
    for match in _ESCAPE.finditer(inside):
        read += [inside[done : match.start()], _escaped(match, margin)]
        done = match.end()
    return "".join([*read, inside[done:]])


def _within(written: str) -> str:
    quotes = 3 if written[:3] in {'"""', "'''"} and len(written) >= 6 else 1
    return written[quotes:-quotes]


def _escaped(match: re.Match[str], margin: int) -> str:
    octal, *hexadecimal, single = match.groups()
    if single is not None:
        if single not in _SINGLE:
            raise Unreadable(
                f"{match[0]} is no escape",
                at=match.start() + margin,
                length=2,
                hint=f"write a raw text, r'{match[0]}', or double the backslash",
            )
        return _SINGLE[single]
    code = int(octal, 8) if octal else int(next(filter(None, hexadecimal)), 16)
    if 0xD800 <= code < 0xE000 or code > 0x10FFFF:
        raise Unreadable(
            f"{match[0]} is no character", at=match.start() + margin, length=len(match[0])
        )
    return chr(code)
