"""Expressions of pipelines (`when "…"`, `@assert("…")`) as values.

The text is parsed by `dsl/expressions.py`; slices evaluate the tree over Arrow batches, the run controller over a run's
figures.  Nothing here is ever handed to Python's `eval`.  Logic is SQL's, three-valued: a comparison with nothing is nothing, and a
filter keeps only what is true.
"""

from __future__ import annotations

from enum import Enum

import msgspec


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


class Literal(msgspec.Struct, frozen=True, tag="literal"):
    value: int | float | str | bool | None


class Name(msgspec.Struct, frozen=True, tag="name"):
    """A field of the record, or a figure of the run, by its bare name."""

    name: str


class Items(msgspec.Struct, frozen=True, tag="items"):
    """A list of literals, the right side of `in`."""

    values: tuple[int | float | str | bool | None, ...]


class Not(msgspec.Struct, frozen=True, tag="not"):
    operand: Expression


class Binary(msgspec.Struct, frozen=True, tag="binary"):
    operator: Operator
    left: Expression
    right: Expression


Expression = Literal | Name | Items | Not | Binary


def names_in(expression: Expression) -> frozenset[str]:
    """Return every name that the expression mentions."""
    match expression:
        case Name(name):
            return frozenset({name})
        case Not(operand):
            return names_in(operand)
        case Binary(_, left, right):
            return names_in(left) | names_in(right)
        case _:
            return frozenset()
