"""Laws of the codec: what is sent comes back, every message that there is crosses, and no bytes do more than be refused."""

from __future__ import annotations

from contextlib import suppress
from random import Random
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect
from runink.clients.barn_requests import BarnRequest
from runink.clients.run_requests import GovernanceRequest, RunRequest
from runink.errors import ProtocolViolation
from runink.runtime.actor import Request
from runink.runtime.directory import message_types
from runink.runtime.envelope import answer_type
from runink.wire.codec import convert, decode, encode

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.binary(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=20,
)
messages = {
    name: kind
    for union in (BarnRequest, RunRequest, GovernanceRequest)
    for name, kind in message_types(union).items()
}
crossing = {
    **messages,
    **{
        f"answer to {name}": answer_type(kind)
        for name, kind in messages.items()
        if issubclass(kind, Request)
    },
}


def sample(kind: Any, random: Random, depth: int = 0) -> Any:
    """Make a value of a type; the deeper, the smaller. (Hypothesis does not end on a Dag, whose expressions hold themselves.)"""
    few = range(random.randrange(3 if depth < 4 else 1 + (depth < 7)))

    def some(item: Any) -> list[Any]:
        return [sample(item, random, depth + 1) for _ in few]

    match kind:
        case inspect.StructType():
            values = {
                field.name: sample(field.type, random, depth + 1)
                for field in kind.fields
                if field.required or random.random() < 0.7
            }
            return kind.cls(**values)
        case inspect.NamedTupleType(cls, fields):
            return cls(*(sample(field.type, random, depth + 1) for field in fields))
        case inspect.UnionType(types):
            return sample(random.choice(types if depth < 7 else types[:1]), random, depth + 1)
        case inspect.VarTupleType(item):
            return tuple(some(item))
        case inspect.ListType(item):
            return some(item)
        case inspect.TupleType(items):
            return tuple(sample(item, random, depth + 1) for item in items)
        case inspect.FrozenSetType(item):
            return frozenset(some(item))
        case inspect.DictType():
            return {sample(kind.key_type, random): value for value in some(kind.value_type)}
        case inspect.EnumType(cls):
            return random.choice(list(cls))
        case inspect.LiteralType(values):
            return random.choice(values)
        case inspect.NoneType():
            return None
        case inspect.BoolType():
            return random.random() < 0.5
        case inspect.IntType():
            return random.choice([0, -1, 1 << 40, -(1 << 63), (1 << 63) - 1])
        case inspect.FloatType():
            return random.choice([0.0, -1.5, 1e300])
        case inspect.StrType():
            return random.choice(["", "a", "żółć", "\0", "x" * 300])
        case inspect.BytesType():
            return random.choice([b"", b"\xff\0", bytes(300)])
        case inspect.AnyType():
            return random.choice([None, 1, "a", b"\xff", [1, {"a": b""}]])
        case _:
            raise AssertionError(f"no sample of {kind}")


@given(plain)
def test_plain_values_come_back_as_they_were(value: Any):
    assert decode(encode(value)) == value


@pytest.mark.parametrize("name", crossing)
def test_every_message_and_every_answer_crosses(name: str):
    kind = crossing[name]
    info = inspect.type_info(kind)
    for seed in range(20):
        value = sample(info, Random(seed))
        assert convert(decode(encode(value)), kind) == value, seed


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_violation(data: bytes):
    try:
        value = decode(data)
    except ProtocolViolation:
        return
    assert repr(msgpack.unpackb(data)) == repr(value)  # nan is not equal to itself


@given(st.binary(min_size=1, max_size=300), st.data())
def test_a_value_with_a_turned_byte_is_a_value_or_a_violation(body: bytes, data: st.DataObject):
    sent = bytearray(encode({"key": "k", "value": body, "list": [1, [2.5, None]]}))
    place = data.draw(st.integers(0, len(sent) - 1))
    sent[place] ^= data.draw(st.integers(1, 255))
    with suppress(ProtocolViolation):
        decode(bytes(sent))


@given(st.sampled_from(sorted(messages)), plain)
def test_any_value_is_a_message_or_a_violation(name: str, value: Any):
    with suppress(ProtocolViolation):
        assert isinstance(convert(value, messages[name]), msgspec.Struct)
