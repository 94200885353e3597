"""Values by chance for the wire: messages of any class as their types allow them, plain values, and bytes that were nearly right.

What `Values.of` makes of a type is valid by construction, with the edges of what its numbers and lengths may be; the one thing that it does not keep is what only
an actor can know.  `damaged` and `nonsense` are not valid, but mostly nearly so.
"""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Any, Final

from msgspec import inspect

from runink.wire.codec import encode

ITEMS_MAX: Final = 3  # of an array or a map
DEPTH_MAX: Final = 7  # then the shortest that is allowed
WORDS: Final = (
    *("", "a", "runs", "barn", "/runs/x/01ARZ3NDEKTSV4RRFFQ69G5FAV", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "local", "default"),
    *("\0", "../..", "a" * 300, "é", "\U0001f600", "$.x", "\n", "%s", "{}", "null", "-1", "nan"),
)  # fmt: skip
INTEGERS: Final = (
    *(0, 1, 2, 7, 31, 127, 128, 255, 256, 1000, 65_535, 65_536, (1 << 31) - 1, 1 << 31, 1 << 32, (1 << 53) + 1),
    *((1 << 63) - 1, 1 << 63, (1 << 64) - 1, -1, -32, -33, -128, -(1 << 31), -(1 << 63)),
)  # fmt: skip
FLOATS: Final = (0.0, -0.0, 1.0, 0.5, 1e-9, 1e300, -1.0, 3600.0, 86_400.0)
ODD_FLOATS: Final = (float("nan"), float("inf"), float("-inf"))
# Bytes that begin something, announce much, or are nothing.
SPLINTERS: Final = tuple(
    bytes.fromhex(one)
    for one in (
        *("c1", "c0", "80", "90", "a0", "9f", "8f", "bf", "dc0000", "dcffff", "dd00000000", "ddffffffff", "deffff", "df7fffffff"),
        *("c4ff", "c5ffff", "c6ffffffff", "d9ff", "daffff", "dbffffffff", "c70005", "c70cff" + "ff" * 12, "d6ff00000000", "d8ff", "d405"),
        *("cb7ff8000000000000", "cbfff0000000000000", "ca7fc00000", "cfffffffffffffffff", "d38000000000000000", "a1ff", "a2c328", "a3edA080"),
        *("82a16101a16102", "81c4016101", "8101c0", "81c0c0", "91" * 70 + "c0", "81a161" * 70 + "c0", "ffffffff", "00000000", "00000001", "7fffffff"),
    )
)  # fmt: skip


class Values:
    """Of one course of chance."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def message(self, kind: type) -> Any:
        """Return a plain value that may be sent as a message of this class, or come as one of this type."""
        return self.of(_info(kind))

    def of(self, info: inspect.Type, depth: int = 0) -> Any:
        """Return a plain value of a type."""
        random = self.random
        match info:
            case inspect.StructType():
                return self._struct(info, depth)
            case inspect.UnionType(types):
                return self.of(
                    self._simplest(types) if depth > DEPTH_MAX else random.choice(types), depth + 1
                )
            case inspect.Metadata(type=inner):
                return self.of(inner, depth)
            case inspect.NoneType():
                return None
            case inspect.BoolType():
                return random.random() < 0.5
            case inspect.IntType(ge=least, le=most):
                return self._number(INTEGERS, least, most)
            case inspect.FloatType(ge=least, le=most):
                return self._number(FLOATS, least, most)
            case inspect.StrType(max_length=most):
                return self._text()[:most]
            case inspect.BytesType(min_length=least, max_length=most):
                size = random.choice((0, 1, 20, 300))
                size = max(least or 0, min(size, size if most is None else most))
                return random.randbytes(size)
            case inspect.EnumType(cls=cls):
                return random.choice(list(cls)).value
            case inspect.LiteralType(values):
                return random.choice(values)
            case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
                return [self.of(item, depth + 1) for _ in range(self._count(depth))]
            case inspect.SetType(item_type=item) | inspect.FrozenSetType(item_type=item):
                return [self.of(item, depth + 1) for _ in range(self._count(depth))]
            case inspect.TupleType(item_types=items):
                return [self.of(item, depth + 1) for item in items]
            case inspect.NamedTupleType(fields=fields):
                return [self.of(field.type, depth + 1) for field in fields]
            case inspect.DictType(value_type=item):
                return {self._text(): self.of(item, depth + 1) for _ in range(self._count(depth))}
            case inspect.AnyType():
                return self.plain(depth)
            case _:
                raise TypeError(f"there is no value by chance of {info}")

    def plain(self, depth: int = 0) -> Any:
        """Return any value that has no name."""
        random = self.random
        shape = random.randrange(9 if depth < DEPTH_MAX else 6)
        match shape:
            case 0:
                return None
            case 1:
                return random.choice((*FLOATS, *ODD_FLOATS))
            case 2 | 3:
                return random.choice(INTEGERS)
            case 4:
                return self._text()
            case 5:
                return random.randbytes(random.choice((0, 1, 20)))
            case 6:
                return {self._text(): self.plain(depth + 1) for _ in range(random.randrange(4))}
            case _:
                return [self.plain(depth + 1) for _ in range(random.randrange(4))]

    def changed(self, value: Any) -> Any:
        """Return a plain value with something in it taken out, put in, or made something else."""
        random = self.random
        if isinstance(value, dict) and value and random.random() < 0.8:
            key = random.choice(list(value))
            match random.randrange(5):
                case 0:
                    return {name: one for name, one in value.items() if name != key}
                case 1:
                    return value | {self._text(): self.plain()}
                case _:
                    return value | {key: self.changed(value[key])}
        if isinstance(value, list) and value and random.random() < 0.8:
            at = random.randrange(len(value))
            match random.randrange(5):
                case 0:
                    return value[:at] + value[at + 1 :]
                case 1:
                    return [*value, self.plain()]
                case _:
                    return [*value[:at], self.changed(value[at]), *value[at + 1 :]]
        return self.plain()

    def damaged(self, data: bytes) -> bytes:
        """Return bytes with some of them changed, put in, taken out or repeated."""
        random = self.random
        for _ in range(random.choice((1, 1, 1, 2, 4))):
            at = random.randrange(len(data) + 1)
            end = min(len(data), at + random.choice((0, 1, 1, 2, 5, 40)))
            match random.randrange(6):
                case 0:
                    data = data[:at] + data[end:]
                case 1:
                    data = data[:end] + data[at:]
                case 2:
                    data = data[:at] + random.randbytes(end - at) + data[end:]
                case 3:
                    data = data[:at]
                case _:
                    data = data[:at] + random.choice(SPLINTERS) + data[end:]
        return data

    def nonsense(self) -> bytes:
        """Return bytes by chance, or a value that is no frame."""
        random = self.random
        if random.random() < 0.5:
            return random.randbytes(random.randrange(1, 60))
        return encode(self.plain())

    def _struct(self, info: inspect.StructType, depth: int) -> Any:
        fields = info.fields
        if info.array_like:
            kept = len(fields)
            while kept and not fields[kept - 1].required and self.random.random() < 0.5:
                kept -= 1
            items = [self.of(field.type, depth + 1) for field in fields[:kept]]
            return items if info.tag_field is None else [info.tag, *items]
        left_out = 0.8 if depth > 2 else 0.3
        made = {
            field.encode_name: self.of(field.type, depth + 1)
            for field in fields
            if field.required or self.random.random() >= left_out
        }
        return made if info.tag_field is None else {info.tag_field: info.tag} | made

    def _simplest(self, types: tuple[inspect.Type, ...]) -> inspect.Type:
        """Return what ends a type that holds itself."""
        plain = [one for one in types if not isinstance(one, inspect.StructType)]
        return (plain or sorted(types, key=_needs))[0]

    def _count(self, depth: int) -> int:
        return 0 if depth > DEPTH_MAX else self.random.randrange(ITEMS_MAX + 1)

    def _number(self, choices: tuple[Any, ...], least: Any, most: Any) -> Any:
        allowed = [
            one
            for one in choices
            if (least is None or one >= least) and (most is None or one <= most)
        ]
        edges = [one for one in (least, most) if one is not None]
        return self.random.choice(
            (allowed or edges) if self.random.random() < 0.9 or not edges else edges
        )

    def _text(self) -> str:
        if self.random.random() < 0.6:
            return self.random.choice(WORDS)
        return "".join(self.random.choices("abcxyz/_-.09 é", k=self.random.randrange(12)))


def _needs(info: inspect.Type) -> int:
    assert isinstance(info, inspect.StructType)
    return sum(
        isinstance(field.type, inspect.StructType | inspect.UnionType)
        for field in info.fields
        if field.required
    )


@cache
def _info(kind: Any) -> inspect.Type:
    return inspect.type_info(kind)
