"""The short way of decoding accepts exactly what the long way does, and gives the same."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import msgpack
import msgspec
import pytest
from hypothesis import given
from runink.barn.commands import Delete, GrantLease, Operation, Put, Txn
from runink.clients.barn_requests import Pages, Propose, Read, Select, WatchFrom
from runink.errors import ProtocolViolation
from runink.testing.frames import plain_events
from runink.wire.codec import MISSED, convert, decode, take, take_shortly
from runink.wire.messages import frame_of, read_frame

KINDS = (Propose, Read, Select, WatchFrom, Pages, Put, Txn, Operation)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 70_000) | st.floats(width=32) | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def whole() -> list[Any]:
    """Return messages as plain values."""
    put, delete = Put("/a/b", b"x" * 70, 3), Delete("k")
    nested = Txn((), (put, Txn((), (delete,), ())), ())
    found = [
        Propose("client", 7, put),
        Propose("client", 8, nested),
        Propose("", 0, GrantLease(1000)),
        WatchFrom(("/a", "/b"), 12, 10, 1.5),
        put,
    ]
    return [decode(msgspec.msgpack.encode(one)) for one in found]


@st.composite
def changed(draw: st.DrawFn) -> Any:
    """Draw a message with something in it replaced, added or left out, or anything at all."""
    value = draw(st.sampled_from([*whole(), None]))
    if value is None:
        return draw(VALUES)
    place = value
    while draw(st.booleans()):
        inner = list(place.values()) if isinstance(place, dict) else list(place)
        inner = [one for one in inner if isinstance(one, dict | list) and one]
        if not inner:
            break
        place = draw(st.sampled_from(inner))
    key = draw(st.sampled_from(list(place) if isinstance(place, dict) else range(len(place))))
    match draw(st.sampled_from(["replace", "add", "remove", "nothing"])):
        case "replace":
            place[key] = draw(VALUES)
        case "remove":
            del place[key]
        case "add" if isinstance(place, dict):
            place[draw(st.text(max_size=4))] = draw(VALUES)
        case "add":
            place.append(draw(VALUES))
        case _:
            pass
    return value


def came_to(read: Any, *args: Any) -> Any:
    try:
        return repr(read(*args))  # NaN is not equal to itself
    except ProtocolViolation as error:
        return error.code, error.text


@given(changed(), st.sampled_from(KINDS), st.sampled_from([4, 8]))
def test_both_ways_come_to_the_same(value: Any, kind: Any, float_bytes: int):
    data = msgpack.packb(value, use_single_float=float_bytes == 4)
    raw = msgspec.msgpack.decode(data, type=msgspec.Raw)
    assert came_to(take, raw, kind) == came_to(lambda: convert(decode(data), kind))


@given(st.binary(max_size=40), st.sampled_from(KINDS))
def test_any_bytes_come_to_the_same(data: bytes, kind: Any):
    def long_way() -> Any:
        return convert(decode(data), kind)

    shortly = take_shortly(data, kind)
    if shortly is not MISSED:
        assert repr(shortly) == came_to(long_way)


@given(st.lists(VALUES, max_size=7), st.integers(0, 12))
def test_frames_are_the_same_by_both_ways(fields: list[Any], number: int):
    data = msgpack.packb([number, *fields])

    def shortly() -> Any:
        (read,) = plain_events([read_frame(data)])
        return read

    assert came_to(shortly) == came_to(lambda: frame_of(decode(data)))


@pytest.mark.parametrize("place", range(2))
def test_what_this_version_sends_goes_the_short_way(place: int):
    data = msgspec.msgpack.encode(whole()[place])
    assert take_shortly(data, Propose) is not MISSED
