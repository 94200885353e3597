"""Answers as MessagePack, with the values that JSON has and bytes: the wire has no time stamps and no other extension types, so times are texts as they are in HTTP's answers."""

from __future__ import annotations

from typing import Any

import msgspec


def packed(value: Any) -> msgspec.Raw:
    """Return what an answer is on the wire."""
    plain = msgspec.to_builtins(value, builtin_types=(bytes,), str_keys=True)
    return msgspec.Raw(msgspec.msgpack.encode(plain))


def packed_bytes(value: Any) -> int:
    """Return how many bytes an answer is on the wire, packed or not yet."""
    if isinstance(value, msgspec.Raw):
        return memoryview(value).nbytes
    return len(msgspec.msgpack.encode(value))
