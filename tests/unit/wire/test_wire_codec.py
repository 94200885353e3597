"""The codec: limits of plain values, and refusals that name the field."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from runink.barn.commands import Compare, Is, Of, Put, Txn
from runink.clients.barn_requests import BarnRequest, Propose, WatchFrom
from runink.clients.node_files import ReadFiles
from runink.clients.run_requests import (
    DeskRequest,
    Follow,
    GovernanceRequest,
    SliceProgress,
    SliceUsed,
)
from runink.errors import Invalid, ProtocolViolation
from runink.runtime.directory import message_types
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
    "bytes as key": b"\x81\xc4\x01a\x02",
    "a key that stands twice": b"\x82\xa1a\x01\xa1a\x02",
    "a key that stands twice, deep": b"\x81\xa1a\x91\x83\xa1b\x01\xa1c\x02\xa1b\x01",
    "a key that stands twice, beside bytes": b"\x92\xc4\x01x\x82\xa1a\x01\xa1a\x02",
    "a key that stands twice, once at length": b"\x82\xa1a\x01\xd9\x01a\x01",
    "a key that stands twice in much text": b"\x82\xa1a\xdb\x00\x20\x00\x00"
    + b"x" * (2 << 20)
    + b"\xa1a\x01",
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


def test_a_value_in_longer_words_than_ours_is_the_same_value():
    assert decode(b"\x82\xd9\x01a\xcd\x00\x01\xa1b\xca\x3f\xc0\x00\x00") == {"a": 1, "b": 1.5}


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_none_is_refused_where_a_message_has_a_number(seconds: float):
    used = {"at_ms": 1, "cpu_s": seconds}
    for kind, value in (
        (Follow, {"run": "r", "wait_s": seconds}),
        (WatchFrom, {"prefixes": [], "after_revision": 0, "wait_s": seconds}),
        (SliceProgress, {"run": "r", "slice": "s", "nodes": [{"node": "n", "busy_s": seconds}]}),
        (SliceUsed, {"run": "r", "slice": "s", "attempt": 1, "used": used}),
    ):
        with pytest.raises(ProtocolViolation, match="float"):
            convert(decode(encode(value)), kind)


def test_every_number_with_a_fraction_in_a_message_is_one():
    for kind in message_types(BarnRequest | DeskRequest | GovernanceRequest | ReadFiles).values():
        for path, field in floats_of(msgspec.inspect.type_info(kind), kind.__name__, set()):
            if not path.startswith("Submit.dag.nodes.contract."):  # values of any kind
                assert field.ge is not None, path
                assert field.le is not None, path


def floats_of(
    info: Any, path: str, seen: set[type]
) -> Iterator[tuple[str, msgspec.inspect.FloatType]]:
    if isinstance(info, msgspec.inspect.FloatType):
        yield path, info
    if isinstance(info, msgspec.inspect.StructType):
        if info.cls in seen:
            return
        seen.add(info.cls)
        for field in info.fields:
            yield from floats_of(field.type, f"{path}.{field.name}", seen)
    for name in ("item_type", "value_type", "type"):
        if (inner := getattr(info, name, None)) is not None:
            yield from floats_of(inner, path, seen)
    for name in ("types", "item_types"):
        for inner in getattr(info, name, ()):
            yield from floats_of(inner, path, seen)
