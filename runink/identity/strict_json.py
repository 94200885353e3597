"""Strict JSON: what tokens and key sets are made of. A text has one meaning here, or none.

Refused beyond what the standard library refuses: a member that stands twice, NaN and infinities (also a number that is too large to be one), nesting deeper than DEPTH_MAX, half of a surrogate pair, and
anything that is not an object.
"""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

DEPTH_MAX: Final = 16  # a claim of Keycloak has four, a key set three
_INFINITIES: Final = frozenset({float("inf"), float("-inf")})


def decode_object(data: bytes) -> dict[str, Any]:
    """Return the object that `data` is. Raises ValueError, and nothing else, for all that is none."""
    try:
        found = _DECODER.decode(data.decode())
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if type(found) is not dict:
        raise ValueError("it is not an object")
    if data.count(b"{") + data.count(b"[") > DEPTH_MAX:
        _check_depth(found)
    if b"\\u" in data:
        json.dumps(found, ensure_ascii=False).encode()  # half of a pair has no bytes
    return found


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member stands twice")
    return found


def _number(text: str) -> float:
    number = float(text)
    if number in _INFINITIES:
        raise ValueError("a number is too large")
    return number


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _check_depth(value: dict[str, Any]) -> None:
    layer: list[Any] = [value]
    for _ in range(DEPTH_MAX):
        layer = [
            inner
            for one in layer
            for inner in (one.values() if type(one) is dict else one)
            if type(inner) is dict or type(inner) is list
        ]
        if not layer:
            return
    raise ValueError("it is nested too deeply")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_members, parse_float=_number, parse_constant=_refuse
)
