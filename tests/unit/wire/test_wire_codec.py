"""The codec: limits of plain values, and refusals that name the field."""

from __future__ import annotations

import tracemalloc
from typing import Any

import msgspec
import pytest
from runink.barn.commands import Compare, Is, Of, Put, Txn
from runink.clients.barn_requests import Propose
from runink.errors import Invalid, ProtocolViolation
from runink.wire.codec import DEPTH_MAX, ITEMS_MAX, VALUES_MAX, convert, decode, encode
from runink.wire.unknown import unknown_of


class Leaf(msgspec.Struct, frozen=True):
    name: str
    extra: dict[str, Any] = {}


class Pair(msgspec.Struct, frozen=True, array_like=True):
    left: int
    right: Leaf | None = None


class Cat(msgspec.Struct, frozen=True, tag="cat"):
    lives: int


class Tree(msgspec.Struct, frozen=True):
    pairs: tuple[Pair, ...] = ()
    children: tuple[Tree, ...] = ()
    named: dict[str, Leaf] = {}
    both: tuple[int, Leaf] | None = None
    pet: Cat | list[Leaf] | None = None


def test_values_with_bytes_and_enums_come_back_as_they_were():
    compare = Compare("k", Of.VALUE, Is.EQUAL, b"\xff\0")
    request = Propose("c", 1, Txn((compare,), (Put("k", b"\0\xfe"),)))
    assert convert(decode(encode(request)), Propose) == request


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"zzz": 1}, "$.zzz"),
        ({"pairs": [[1], [2, None, 3]]}, "$.pairs.1.2"),
        ({"pairs": [[1, {"name": "a", "age": 1}]]}, "$.pairs.0.right.age"),
        ({"children": [{"children": [{"colour": 1}]}]}, "$.children.0.children.0.colour"),
        ({"named": {"a": {"name": "a", "b": 1}}}, "$.named.a.b"),
        ({"both": [1, {"name": "a", "b": 1}]}, "$.both.1.b"),
        ({"pet": {"type": "cat", "lives": 9, "tail": 1}}, "$.pet.tail"),
        ({"pet": [{"name": "a", "b": 1}]}, "$.pet.0.b"),
    ],
)
def test_an_unknown_field_is_refused_by_its_name_at_every_depth(value: object, where: str):
    with pytest.raises(ProtocolViolation) as info:
        convert(value, Tree)
    assert info.value.text == f"unknown field `{where}`"
    assert info.value.code == "bad_value"


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"pairs": [[1], [2, {"name": "a", "extra": {"any": [{"thing": 1}]}}]]},
        {"children": [{"children": [{}]}], "both": [1, {"name": "a"}]},
        {"pet": {"type": "cat", "lives": 9}},
        {"pet": [{"name": "a"}]},
        {"pet": None},
    ],
)
def test_what_is_known_passes(value: object):
    assert isinstance(convert(value, Tree), Tree)


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"pairs": [["1"]]}, "$.pairs[0][0]"),
        ({"named": {"a": {}}}, "$.named[...]"),
        ({"both": [1, {"name": b"bytes"}]}, "$.both[1].name"),
        ({"pet": {"type": "dog"}}, "$.pet.type"),
    ],
)
def test_an_ill_typed_value_is_refused_by_its_field(value: object, where: str):
    with pytest.raises(ProtocolViolation) as info:
        convert(value, Tree)
    assert where in info.value.text


def test_text_is_not_taken_for_bytes():
    with pytest.raises(ProtocolViolation):
        convert(["put", "k", "dGV4dA==", 0], Put)


def test_types_without_a_struct_are_not_walked():
    assert unknown_of(dict[str, list[int]]) is None
    assert unknown_of(None) is None
    assert convert(decode(encode(None)), None) is None


BOMBS = {
    "four billion items in five bytes": b"\xdd\xff\xff\xff\xff",
    "four billion bytes in five": b"\xc6\xff\xff\xff\xff",
    "many empty maps in one array": b"\xdd"
    + (ITEMS_MAX + 1).to_bytes(4, "big")
    + b"\x80" * (ITEMS_MAX + 1),
    "many small arrays": b"\xdc\xff\xff" + (b"\xdc\x03\xe8" + b"\x80" * 1000) * 0xFFFF,
    "many keys": b"\xdf\x00\x01\xff\xff" + b"\xa1a\xc0" * 0x1FFFF,
    "deep": b"\x91" * (DEPTH_MAX + 1) + b"\xc0",
    "deeper than the decoder's stack": b"\x91" * 100_000 + b"\xc0",
    "deep maps": b"\x81\xa1a" * (DEPTH_MAX + 1) + b"\xc0",
    "an extension": b"\xd4\x05a",
    "an empty extension": b"\xc7\x00\x05",
    "a time stamp": b"\xd6\xff\0\0\0\0",
    "a time stamp out of range": b"\xc7\x0c\xff" + b"\xff" * 12,
    "a number as key": b"\x81\x01\x02",
    "an array as key": b"\x81\x90\x02",
    "a byte that means nothing": b"\xc1",
    "nothing": b"",
    "two values": b"\x01\x02",
    "half a value": b"\x92\x01",
    "text that is no text": b"\xa1\xff",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bytes_that_would_hurt_are_refused(name: str):
    with pytest.raises(ProtocolViolation):
        decode(BOMBS[name])


def test_a_refused_bomb_takes_little_memory():
    bomb = BOMBS["many small arrays"]
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolViolation, match="more than"):
            decode(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


def test_a_long_frame_of_few_values_passes():
    value = {"parts": [b"\xdd" * (1 << 20)] * 8, "names": ["x" * 70_000, -1, 1.5, True, 1 << 40]}
    data = encode(value)
    assert len(data) > VALUES_MAX
    assert decode(data) == value


def test_the_deepest_value_that_is_allowed_passes():
    assert decode(b"\x91" * DEPTH_MAX + b"\xc0")


@pytest.mark.parametrize("value", [object(), "\ud800", 1 << 70, {"a": {1j}}])
def test_what_cannot_be_encoded_is_the_senders_mistake(value: object):
    with pytest.raises(Invalid) as info:
        encode(value)
    assert info.value.code == "not_encodable"
