"""JSON from outside, read strictly: UTF-8, no member twice, nothing that is no number, no deeper than is of any use.

msgspec reads the values and refuses NaN, infinities, lone surrogates and numbers out of range.  It takes the last of two members of one name, as
most do; another reader of the same bytes might take the first, so the standard library's reader looks for them too, which can be told of each object.
How deep the text goes is known before either reads it: brackets that stand side by side are taken out until none is left.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

import msgspec

from runink.errors import Invalid

DEPTH_MAX: Final = 32  # a contract with records in lists in records has 10
_STRINGS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_OTHERS: Final = bytes(set(range(256)) - set(b"[]{}"))
_EXACT: Final = 1 << 53  # what a float holds without a gap
_SQUARE: Final = bytes.maketrans(b"{}", b"[]")


def read_json(text: bytes) -> Any:
    """Return the plain value of a JSON text. Raises Invalid (`invalid`)."""
    if _is_deeper(text, DEPTH_MAX):
        raise Invalid(f"the JSON is nested more than {DEPTH_MAX} deep")
    try:
        value = _VALUES.decode(text)
        json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        # Of msgspec and of json alike; what they say names a byte, and nothing of its value.
        raise Invalid(f"the body is no JSON that can be read: {error}") from None
    return value


def _number(text: str) -> int | float:
    """Return a number with a point or an exponent; a whole one is an integer, as JSON Schema has it: 3.0 is 3."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is out of range")
    return int(value) if value.is_integer() and abs(value) < _EXACT else value


def _once(pairs: list[tuple[str, Any]]) -> None:
    names = set()
    for name, _ in pairs:
        if name in names:
            raise ValueError(f"the member {name[:64]!r} stands twice in an object")
        names.add(name)


_VALUES: Final = msgspec.json.Decoder(float_hook=_number)


def _is_deeper(text: bytes, depth_max: int) -> bool:
    """Say whether brackets are nested deeper. What stands in strings is none; what is no JSON at all may be told either way."""
    brackets = _STRINGS.sub(b"", text).translate(_SQUARE, _OTHERS)
    for _ in range(depth_max):
        if not brackets:
            return False
        shorter = brackets.replace(b"[]", b"")
        if len(shorter) == len(brackets):
            return len(brackets) > depth_max  # brackets that never close
        brackets = shorter
    return bool(brackets)
