"""MessagePack to typed values and back, under limits.

Decoding goes the long way or a short one, and both accept the same.  The long way (`decode`, `convert`) takes two steps, because either alone is too weak.  `msgpack` turns bytes into plain values and holds the limits of the table;
`msgspec` turns plain values into structs and refuses what is missing or of the wrong type.  Between them unknown fields are looked for:
a struct that came with more than it has is refused with the field's name, at every depth.

    limit                  what                               beyond it
    frame's length         bytes of a value                   refused before it is read (`frames.py`)
    VALUES_MAX             values in a value, keys included   refused before any is made: a byte can become 70 bytes of memory
    ITEMS_MAX              of one array or map                refused
    DEPTH_MAX              arrays and maps in each other      refused
    extension types        none                               refused, time stamps too
    keys of maps           text only, each once               refused: two readers could take different ones for the value

The short way (`take`) is `msgspec` alone, straight to the type.  It counts only if it gives the very same bytes again: so nothing unknown, doubled or left out was in
them; and only where neither the type nor the bytes leave room for what the limits forbid.  Everything else goes the long way, and is refused there if it is to be.

Every refusal is a ProtocolViolation that says what and, in a typed value, where (`$.command.key`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

import msgpack  # type: ignore[import-untyped] # it ships no types
import msgspec

from runink.errors import Invalid, ProtocolViolation
from runink.wire.frames import FRAME_BYTES_MAX, Body
from runink.wire.unknown import is_closed, unknown_of

VALUES_MAX: Final = 1 << 18  # some 20 MB of Python objects, at the worst
ITEMS_MAX: Final = 100_000  # the longest list that a message has any use for, ten times over
DEPTH_MAX: Final = 64  # an expression nests some ten deep

SHORT_BYTES_MAX: Final = 1 << 16  # of these, no array can have ITEMS_MAX
AGAIN_BYTES_MAX: Final = (
    1 << 20
)  # are encoded again to see that no key stands twice; of more, a copy would cost memory

Raw = msgspec.Raw  # bytes of a value, as they came
MISSED: Final = object()  # no value

_CONTAINERS: Final = bytes((*range(0x80, 0xA0), *range(0xDC, 0xE0)))  # begin an array or a map
_NESTING: Final = frozenset((list, dict))
_Pairs = list[tuple[str, Any]]
_encoder: Final = msgspec.msgpack.Encoder()
_BUILTIN: Final = (bytes,)  # what MessagePack holds by itself, beside numbers and text


def encode(value: Any) -> bytes:
    """Return the value's bytes. Raises Invalid (`not_encodable`)."""
    try:
        return _encoder.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise Invalid(
            f"a {type(value).__name__} cannot be sent: {error}", code="not_encodable"
        ) from error


def decode(data: Body) -> Any:
    """Return the one plain value that the bytes hold. Raises ProtocolViolation."""
    if len(data) > VALUES_MAX:
        _check_count(data)
    is_plain = len(data) <= AGAIN_BYTES_MAX and not (
        b"\xc4" in data or b"\xc5" in data or b"\xc6" in data  # they begin bytes, perhaps
    )
    value = _unpacked(data, None if is_plain else _unique)
    if len(data) > DEPTH_MAX:  # fewer bytes cannot nest deeper
        _check_depth(value)
    # What gives the same bytes again has no key twice, and it was for nothing to look at every map. If it does not, somebody else has encoded it.
    if is_plain and _encoder.encode(value) != data:
        _unpacked(data, _unique)
    return value


def _unpacked(data: Body, made_of: Callable[[_Pairs], dict[str, Any]] | None) -> Any:
    """Return the plain value; maps are made by `made_of`, if there is one."""
    try:
        return msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=True,
            object_pairs_hook=made_of,
            ext_hook=_no_extension,
            max_str_len=FRAME_BYTES_MAX,
            max_bin_len=FRAME_BYTES_MAX,
            max_array_len=ITEMS_MAX,
            max_map_len=ITEMS_MAX,
            max_ext_len=0,
        )
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        reason = str(error) or type(error).__name__
        raise ProtocolViolation(
            f"these bytes are no MessagePack value: {reason[:200]}", code="bad_encoding"
        ) from error


def _unique(pairs: _Pairs) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in a map")
    if bytes in map(type, found):
        raise ValueError("the key of a map is no text")
    return found


def convert(value: Any, kind: Any) -> Any:
    """Return a plain value as a `kind`. Raises ProtocolViolation (`bad_value`), which names the field."""
    try:
        found = msgspec.convert(value, kind, builtin_types=_BUILTIN)
    except (msgspec.ValidationError, RecursionError) as error:
        raise ProtocolViolation(str(error) or "nested too deep", code="bad_value") from error
    check = unknown_of(kind)
    if check is not None and (unknown := check(value)) is not None:
        raise ProtocolViolation(
            f"unknown field `{'.'.join(('$', *unknown))}`",
            code="bad_value",
            hint="the sender may be newer than we are",
        )
    return found


def take(value: Any, kind: Any) -> Any:
    """Return what came, a plain value or small bytes that are not decoded yet (`Raw`), as a `kind`. Raises ProtocolViolation."""
    if type(value) is not Raw:
        return convert(value, kind)
    data = bytes(value)
    found = take_shortly(data, kind)
    return convert(decode(data), kind) if found is MISSED else found


def take_shortly(data: bytes, kind: Any) -> Any:
    """Return the value that the bytes, small ones, hold as a `kind`, or MISSED if that is to be found out the long way."""
    read = _short_way_to(kind)
    if read is None:
        return MISSED
    try:
        found = read(data)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return MISSED
    return found if _encoder.encode(found) == data else MISSED


@cache
def _short_way_to(kind: Any) -> Callable[[bytes], Any] | None:
    return msgspec.msgpack.Decoder(kind).decode if is_closed(kind) else None


def is_small(data: Body) -> bool:
    """Say whether these bytes hold too few values, and too few arrays and maps, to break a limit with them."""
    if len(data) <= DEPTH_MAX:
        return True
    if len(data) > SHORT_BYTES_MAX:
        return False
    containers = len(data) - len(data.translate(None, _CONTAINERS))  # at most: text has such bytes
    return containers <= DEPTH_MAX


def _no_extension(code: int, _: bytes) -> Any:
    raise ValueError(f"extension type {code}")


def _check_depth(value: Any) -> None:
    level = [value] if type(value) in _NESTING else []
    for _ in range(DEPTH_MAX):
        if not level:
            return
        level = [
            child
            for parent in level
            for child in (parent.values() if type(parent) is dict else parent)
            if type(child) in _NESTING
        ]
    if level:
        raise ProtocolViolation(
            f"arrays and maps nested deeper than {DEPTH_MAX}", code="nested_too_deep"
        )


# Counting the values of a long frame, without making them.

_FIXED: Final = {  # first byte -> bytes behind it
    0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8,
    0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8,
}  # fmt: skip
_SIZED: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}  # -> bytes of the length


def _check_count(data: Body) -> None:
    """Walk over the values and refuse too many. What is malformed is left to the decoder."""
    place = 0
    count = 0
    end = len(data)
    while place < end:  # every round goes on by a byte at least, and VALUES_MAX ends it
        count += 1
        if count > VALUES_MAX:
            raise ProtocolViolation(
                f"more than {VALUES_MAX} values in one frame", code="too_many_values"
            )
        first = data[place]
        place += 1
        if first <= 0x9F or first >= 0xE0:  # small numbers, arrays and maps: their items follow
            continue
        if first <= 0xBF:
            place += first & 0x1F
        elif (size := _SIZED.get(first)) is not None:
            place += size + int.from_bytes(data[place : place + size], "big")
        elif first in (0xDC, 0xDD, 0xDE, 0xDF):
            place += 4 if first & 1 else 2
        elif (fixed := _FIXED.get(first)) is not None:
            place += fixed
        else:
            return
