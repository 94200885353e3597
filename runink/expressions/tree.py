"""The expression as a value: a tree of frozen structs, which compiled pipelines and contracts carry.

Nothing here is ever handed to Python's `eval`.  The tree does not know the kinds of its fields: who needs them (`parsing.py`, `sql.py`) brings a scope.
What was stored stays readable: kinds of nodes are only added, and their fields only at the end, with defaults.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import Final

import msgspec

Scalar = int | float | str | bool | None


class Operator(Enum):
    EQ = "=="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    AND = "&&"
    OR = "||"
    ADD = "+"
    SUB = "-"
    MUL = "*"
    DIV = "/"
    IN = "in"
    MOD = "%"


class Function(Enum):
    """What can be called, by its canonical name; `functions.py` says what each takes and gives."""

    HAS = "has"
    COALESCE = "coalesce"
    SIZE = "size"
    MATCHES = "matches"
    STARTS_WITH = "startsWith"
    ENDS_WITH = "endsWith"
    CONTAINS = "contains"
    LOWER = "lower"
    UPPER = "upper"
    TRIM = "trim"
    TIMESTAMP = "timestamp"
    DURATION = "duration"
    INT = "int"
    DOUBLE = "double"
    STRING = "string"
    FULL_YEAR = "getFullYear"
    MONTH = "getMonth"
    DAY_OF_MONTH = "getDate"
    DAY_OF_WEEK = "getDayOfWeek"
    DAY_OF_YEAR = "getDayOfYear"
    HOURS = "getHours"
    MINUTES = "getMinutes"
    SECONDS = "getSeconds"
    MILLISECONDS = "getMilliseconds"


class Measure(Enum):
    """What can be asked of a field over a whole stream, in `@assert`: which part has no value, how many values differ, how old the newest is."""

    NULL_RATIO = "null_ratio"
    DISTINCT = "distinct"
    FRESHNESS = "freshness"


class Literal(msgspec.Struct, frozen=True, tag="literal"):
    value: Scalar


class Name(msgspec.Struct, frozen=True, tag="name"):
    """A field of the record, or a figure of the run, by its bare name."""

    name: str


class Items(msgspec.Struct, frozen=True, tag="items"):
    """A list of literals, the right side of `in`."""

    values: tuple[Scalar, ...]


class Not(msgspec.Struct, frozen=True, tag="not"):
    operand: Expression


class Binary(msgspec.Struct, frozen=True, tag="binary"):
    operator: Operator
    left: Expression
    right: Expression


class Member(msgspec.Struct, frozen=True, tag="member"):
    """A field of a record that stands in a field: `user.country`."""

    operand: Expression
    name: str


class Index(msgspec.Struct, frozen=True, tag="index"):
    """An item of a list, counted from 0; nothing where the list is shorter."""

    operand: Expression
    at: int


class Call(msgspec.Struct, frozen=True, tag="call"):
    """A function and its arguments; of a method the first is what it is called on."""

    function: Function
    arguments: tuple[Expression, ...]


class Choice(msgspec.Struct, frozen=True, tag="choice"):
    """`condition ? yes : no`; nothing where the condition is."""

    condition: Expression
    yes: Expression
    no: Expression


class Figure(msgspec.Struct, frozen=True, tag="figure"):
    """A measure of a field: `null_ratio(tailnum)`."""

    measure: Measure
    field: str


Expression = Literal | Name | Items | Not | Binary | Member | Index | Call | Choice | Figure


def parts(expression: Expression) -> tuple[Expression, ...]:
    """Return what stands right below a node, from left to right."""
    match expression:
        case Not(operand) | Member(operand, _) | Index(operand, _):
            return (operand,)
        case Binary(_, left, right):
            return left, right
        case Call(_, arguments):
            return arguments
        case Choice(condition, yes, no):
            return condition, yes, no
        case _:
            return ()


def nodes(expression: Expression) -> Iterator[tuple[Expression, int]]:
    """Yield every node with its height below the root, which is 1; without recursion, because what is asked may be how deep it goes."""
    waiting = [(expression, 1)]
    while waiting:
        found, depth = waiting.pop()
        yield found, depth
        waiting.extend((part, depth + 1) for part in parts(found))


def names_in(expression: Expression) -> frozenset[str]:
    """Return every name that the expression mentions; of `user.country` it is `user`."""
    return frozenset(node.name for node, _ in nodes(expression) if isinstance(node, Name))


def figures_in(expression: Expression) -> tuple[Figure, ...]:
    """Return every measure of a field that the expression asks for, once, in a stable order."""
    found = {said(node): node for node, _ in nodes(expression) if isinstance(node, Figure)}
    return tuple(found[name] for name in sorted(found))


# Said to people, and read again to the same tree.

_ESCAPED: Final = re.compile(r"[\\'\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ESCAPES: Final = {"\\": r"\\", "'": r"\'", "\n": r"\n", "\r": r"\r", "\t": r"\t"}
_BARE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED: Final = frozenset({"true", "false", "null", "in", "and", "or", "not", "is", "record"})
_METHODS: Final = frozenset(Function) - {
    Function.HAS,
    Function.COALESCE,
    Function.SIZE,
    Function.TIMESTAMP,
    Function.DURATION,
    Function.INT,
    Function.DOUBLE,
    Function.STRING,
}


def said(expression: Expression) -> str:
    """Return the expression as text that means the same."""
    match expression:
        case Name(name):
            return _name(name)
        case Literal(value):
            return _literal(value)
        case Items(values):
            return f"[{', '.join(map(_literal, values))}]"
        case Not(operand):
            return f"!{_operand(operand)}"
        case Binary(operator, left, right):
            return f"{_operand(left)} {operator.value} {_operand(right)}"
        case Member(operand, name):
            return f"{_operand(operand)}.{_name(name)}"
        case Index(operand, at):
            return f"{_operand(operand)}[{at}]"
        case Choice(condition, yes, no):
            return f"{_operand(condition)} ? {_operand(yes)} : {_operand(no)}"
        case Call(function, arguments):
            return _call(function, arguments)
        case Figure(measure, field):
            return f"{measure.value}({_name(field)})"


def _call(function: Function, arguments: tuple[Expression, ...]) -> str:
    if function in _METHODS and arguments:
        told = ", ".join(map(said, arguments[1:]))
        return f"{_operand(arguments[0])}.{function.value}({told})"
    return f"{function.value}({', '.join(map(said, arguments))})"


def _operand(expression: Expression) -> str:
    told = said(expression)
    return f"({told})" if isinstance(expression, Binary | Choice) else told


def _name(name: str) -> str:
    return name if _BARE.fullmatch(name) and name not in _RESERVED else f"`{name}`"


def _escape(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[0]) or f"\\U{ord(match[0]):08x}"


def _literal(value: Scalar) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return f"'{_ESCAPED.sub(_escape, value)}'"
        case _:
            return repr(value)
