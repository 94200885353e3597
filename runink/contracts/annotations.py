"""What stands behind a field's colon: read into a `FieldSpec`, with everything that is wrong about it.

    int, str, float, bool, bytes, date, datetime, time, Decimal      the kinds
    Literal["EWR", "JFK"]                                            choices, all of one kind
    X | None, Optional[X]                                            may hold nothing
    Annotated[X, Field(...)]                                         constraints; several add up

Constraints are read by the names of their attributes, so what Pydantic (`Field`), msgspec (`Meta`) and annotated-types (`Ge`, `Len`,
`Interval` ...) say is understood without an import of any of them.  A constraint that cannot be kept is a mistake, never ignored.

    code   what is wrong
    C001   the annotation cannot be read (an unknown name, say)
    C002   it is no type that a contract knows
    C003   a constraint that this type does not have
    C004   a bound, a length or a number of digits that is not of the right type
    C005   constraints that no value can keep
    C006   a default that is of another type or breaks the field's own rules
    C007   a pattern that is not RE2
    C008   choices that are not all of one kind
    C009   a version that is not like 1.0.0
    C010   a key that names no field, or one that may hold nothing
    C011   a contract without a field, or with two of one name
    C012   a value without a type
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final

import msgspec

from runink.contracts.fields import FieldSpec, Kind, Scalar
from runink.contracts.values import BOUNDS, article, broken_rule, comparable, scalar

KINDS: Final[dict[Any, Kind]] = {
    int: Kind.INT,
    float: Kind.FLOAT,
    bool: Kind.BOOL,
    str: Kind.STR,
    bytes: Kind.BYTES,
    date: Kind.DATE,
    datetime: Kind.DATETIME,
    time: Kind.TIME,
    Decimal: Kind.DECIMAL,
}
KNOWN: Final = "int, float, bool, str, bytes, date, datetime, time, Decimal, Literal[…], each with | None if it may hold nothing"
ORDERED: Final = frozenset(
    {Kind.INT, Kind.FLOAT, Kind.DATE, Kind.DATETIME, Kind.TIME, Kind.DECIMAL}
)
CONSTRAINTS: Final = (
    *BOUNDS,
    "pattern",
    "min_length",
    "max_length",
    "digits",
    "scale",
    "allow_inf_nan",
)
PROSE: Final = ("unit", "description", "pii", "tags")
ALIASES: Final = {"max_digits": "digits", "decimal_places": "scale"}  # Pydantic's words for ours
UNSUPPORTED: Final = (
    "multiple_of",
    "func",
    "tz",
    "strict",
)  # of msgspec, Pydantic and annotated-types
DIGITS_MAX: Final = 38  # what Arrow's decimal128 holds
SCALE_DEFAULT: Final = (
    9  # with 38 digits: the NUMERIC of BigQuery, enough for money and for units of it
)
CHOICES_MAX: Final = 10_000  # a longer list is reference data, to be joined with
_NOT_RE2: Final = re.compile(r"\(\?(?:[=!>]|<[=!]|P=|\()|\\[1-9]")
_LITERAL: Final = re.compile(
    r"\\[^1-9]|\[\^?\]?[^\]]*\]"
)  # what stands for itself in a pattern: escaped, or in a class


class Field(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What a field's value must be, beyond its type; goes into `Annotated[...]`.

    `ge`, `gt`, `le`, `lt` bound numbers, dates and times; `min_length` and `max_length` count characters (bytes of `bytes`); `pattern` must match the whole
    text (RE2). `digits` and `scale` are a decimal's, all digits and those behind the point. `name` is the column's, where that is no Python name.
    (It is equal to itself only: `Annotated[...] | None` needs it hashable, tags and all.)
    `unit`, `description` and `tags` are for people and for governance; `pii` names the kind of personal data, whose values no message shows.
    """

    ge: Any = None
    gt: Any = None
    le: Any = None
    lt: Any = None
    pattern: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    digits: int | None = None
    scale: int | None = None
    allow_inf_nan: bool | None = None
    name: str = ""
    unit: str = ""
    description: str = ""
    pii: str = ""
    tags: dict[str, str] = {}
    default: Any = msgspec.UNSET


class Mistake(msgspec.Struct, frozen=True):
    """A finding that does not know yet where it stands."""

    code: str
    text: str
    hint: str = ""


class FieldReader:
    """Reads one annotation; `mistakes` fills up, `spec` is of use only if it stays empty."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.mistakes: list[Mistake] = []
        self._said: dict[str, Any] = {}
        self._default: Any = msgspec.UNSET

    def read(self, annotation: Any, default: Any = msgspec.UNSET) -> FieldSpec:
        """Return what the annotation and the default say, as far as it can be told."""
        if isinstance(default, Field) or isinstance(getattr(default, "metadata", None), list):
            self._take(default)
            default = msgspec.UNSET
        kind, nullable, choices = self._type(annotation)
        if default is msgspec.UNSET:
            default = self._default
        said = {name: value for name, value in self._said.items() if name != "name"}
        column = self._said.get("name") or self.name
        if kind is None:
            return FieldSpec(column, Kind.STR)
        said = self._fitting(kind, said)
        spec = FieldSpec(column, kind, nullable=nullable, choices=choices, **said)
        self._contradictions(spec)
        return self._with_default(spec, default)

    def _wrong(self, code: str, text: str, hint: str = "") -> None:
        self.mistakes.append(Mistake(code, f"{self.name}: {text}", hint))

    def _type(self, annotation: Any) -> tuple[Kind | None, bool, tuple[Scalar, ...]]:
        """Return kind, whether it may hold nothing, and choices."""
        origin = typing.get_origin(annotation)
        if origin is typing.Annotated:
            inner, *metadata = typing.get_args(annotation)
            for one in metadata:
                self._take(one)
            return self._type(inner)
        if origin in (typing.Union, types.UnionType):
            return self._union(annotation)
        if origin is typing.Literal:
            return self._literal(typing.get_args(annotation))
        if annotation in KINDS:
            return KINDS[annotation], False, ()
        shown = getattr(annotation, "__name__", None) or str(annotation)
        self._wrong("C002", f"{shown} is no type of a contract's field", f"it knows {KNOWN}")
        return None, False, ()

    def _union(self, annotation: Any) -> tuple[Kind | None, bool, tuple[Scalar, ...]]:
        members = typing.get_args(annotation)
        some = [member for member in members if member is not type(None)]
        if len(some) != 1:
            self._wrong(
                "C002",
                "a field is of one type, not of one among several",
                "write X | None where it may be missing; take str and split it in a step where it is mixed",
            )
            return None, False, ()
        kind, nullable, choices = self._type(some[0])
        return kind, nullable or len(some) < len(members), choices

    def _literal(self, values: tuple[Any, ...]) -> tuple[Kind | None, bool, tuple[Scalar, ...]]:
        choices = tuple(value for value in values if value is not None)
        kinds = {type(value) for value in choices}
        if len(kinds) != 1 or not kinds <= {str, int}:
            self._wrong("C008", "choices must all be text or all be whole numbers")
            return None, False, ()
        if len(choices) > CHOICES_MAX:
            self._wrong("C008", f"{len(choices):,} choices are more than {CHOICES_MAX:,}")
        return KINDS[kinds.pop()], len(choices) < len(values), choices

    def _take(self, metadata: Any) -> None:
        """Read the constraints of one object behind the type; what has none of our names is somebody else's and stays unread."""
        default = getattr(metadata, "default", msgspec.UNSET)
        if isinstance(metadata, Field) or _is_constraint(metadata):
            unsaid = default is ... or type(default).__name__ == "PydanticUndefinedType"
            self._default = self._default if unsaid or default is msgspec.UNSET else default
        for part in _parts(metadata):
            for name in UNSUPPORTED:
                if getattr(part, name, None) is not None and _is_constraint(part):
                    self._wrong(
                        "C003",
                        f"{name} of {type(part).__name__} is not among the rules of a contract",
                        "check it in a step",
                    )
            for name in (*CONSTRAINTS, *PROSE, *ALIASES, "name"):
                value = _own(part, name)
                if value is not None and value not in ("", {}):
                    self._said[ALIASES.get(name, name)] = value

    def _fitting(self, kind: Kind, said: dict[str, Any]) -> dict[str, Any]:
        """Drop and report the constraints that the kind does not have, and bring the others to the form that specs keep."""
        fitting: dict[str, Any] = {}
        for name, value in said.items():
            if name == "tags" and not _is_tags(value):
                self._wrong("C004", f"tags={value!r} is no dict of texts", 'tags={"owner": "ann"}')
            elif name in PROSE:
                fitting[name] = dict(value) if name == "tags" else str(value)
            elif kind not in _kinds_with(name):
                self._wrong("C003", f"{name} says nothing about {article(kind)}")
            elif name in BOUNDS:
                bound = scalar(kind, value)
                if bound is None:
                    self._wrong("C004", f"{name}={value!r} is not {article(kind)}")
                else:
                    fitting[name] = bound
            elif name == "pattern":
                fitting |= self._pattern(value)
            elif name == "allow_inf_nan":
                fitting[name] = bool(value)
            elif type(value) is not int or value < 0:
                self._wrong("C004", f"{name}={value!r} is not a whole number from 0 on")
            else:
                fitting[name] = value
        return fitting

    def _pattern(self, value: Any) -> dict[str, str]:
        text = getattr(value, "pattern", value)
        try:
            re.compile(text)
        except (re.error, TypeError) as error:
            self._wrong("C007", f"pattern {text!r} cannot be read: {error}")
            return {}
        if _NOT_RE2.search(_LITERAL.sub("", text)):
            self._wrong(
                "C007",
                f"pattern {text!r} looks around or refers back, which RE2 does not",
                "patterns match the whole text already: neither ^ nor $ nor look-arounds are needed",
            )
        return {"pattern": text}

    def _contradictions(self, spec: FieldSpec) -> None:
        for one, other in (("ge", "gt"), ("le", "lt")):
            if getattr(spec, one) is not None and getattr(spec, other) is not None:
                self._wrong("C005", f"{one} and {other} bound the same side", "keep one of them")
        low = spec.ge if spec.ge is not None else spec.gt
        high = spec.le if spec.le is not None else spec.lt
        strict = spec.gt is not None or spec.lt is not None
        if low is not None and high is not None:
            a, b = comparable(spec.kind, low), comparable(spec.kind, high)
            if a > b or (strict and a == b):
                self._wrong("C005", f"nothing lies between {low} and {high}")
        shortest, longest = spec.min_length or 0, spec.max_length
        if longest is not None and shortest > longest:
            self._wrong("C005", f"min_length={shortest} is more than max_length={longest}")
        if spec.kind is Kind.DECIMAL:
            self._decimal(spec)

    def _decimal(self, spec: FieldSpec) -> None:
        if (spec.digits is None) != (spec.scale is None):
            self._wrong(
                "C004",
                "digits and scale go together",
                f"Field(digits=10, scale=2) holds 12345678.90; without both, {DIGITS_MAX} and {SCALE_DEFAULT} are taken",
            )
        elif spec.digits is not None and spec.scale is not None:
            if not 1 <= spec.digits <= DIGITS_MAX:
                self._wrong("C004", f"digits={spec.digits} is not between 1 and {DIGITS_MAX}")
            if spec.scale > spec.digits:
                self._wrong("C005", f"scale={spec.scale} is more than digits={spec.digits}")

    def _with_default(self, spec: FieldSpec, default: Any) -> FieldSpec:
        if default is msgspec.UNSET:
            return spec
        if default is None:
            if not spec.nullable:
                self._wrong(
                    "C006", "its default is None, but it may not hold nothing", "write X | None"
                )
            return msgspec.structs.replace(spec, has_default=True)
        value = scalar(spec.kind, default)
        if value is None:
            self._wrong("C006", f"its default {default!r} is not {article(spec.kind)}")
            return spec
        broken = None if self.mistakes else broken_rule(spec, value)
        if broken:
            self._wrong("C006", f"its default {default!r} breaks its own {broken}")
        return msgspec.structs.replace(spec, has_default=True, default=value)


def _parts(metadata: Any) -> Iterator[Any]:
    """Yield what holds constraints: the object itself, and the list that Pydantic's `Field` keeps them in."""
    yield metadata
    inner = getattr(metadata, "metadata", None)
    if isinstance(inner, list):
        yield from inner


def _own(part: Any, name: str) -> Any:
    """Return an attribute that is a value, not a method that merely has the name; text has none that count."""
    if isinstance(part, (str, type)):
        return None
    value = getattr(part, name, None)
    return None if callable(value) else value


def _is_tags(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(text, str) for pair in value.items() for text in pair
    )


def _is_constraint(part: Any) -> bool:
    return type(part).__module__.partition(".")[0] in {"annotated_types", "msgspec", "pydantic"}


def _kinds_with(name: str) -> frozenset[Kind]:
    match name:
        case "pattern":
            return frozenset({Kind.STR})
        case "min_length" | "max_length":
            return frozenset({Kind.STR, Kind.BYTES})
        case "digits" | "scale":
            return frozenset({Kind.DECIMAL})
        case "allow_inf_nan":
            return frozenset({Kind.FLOAT})
        case _:
            return ORDERED
