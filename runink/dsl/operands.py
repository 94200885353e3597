"""What goes with what in an expression: the sorts of values, and each operator applied to operands that are checked first.

The rules are those that a slice would fail by (`steps/filters.py`): numbers go with numbers, text with text, a time also with its ISO 8601 text.
What is not known (a column without a contract) goes with everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from runink.contracts.fields import ContractSpec, Kind
from runink.expressions import Binary, Expression, Literal, Name, Operator

COMPARE: Final[dict[str, Operator]] = {
    one.value: one
    for one in (Operator.EQ, Operator.NE, Operator.LT, Operator.LE, Operator.GT, Operator.GE)
}


class Sort(Enum):
    """What a value is, as far as operands must go together."""

    NUMBER = "a number"
    TEXT = "text"
    BOOLEAN = "true or false"
    TIME = "a time"
    NOTHING = "nothing"
    OTHER = "bytes"
    UNKNOWN = "anything"


@dataclass(frozen=True, slots=True)
class Scope:
    """The names that an expression may use. Where `sorts` is nothing they are not known, and any may be there."""

    sorts: Mapping[str, Sort] | None = None
    what: str = "field"
    whose: str = ""


FIGURES: Final = Scope(
    dict.fromkeys(("records", "rows_in", "rows_out", "rejected", "rejected_ratio"), Sort.NUMBER),
    what="figure",
)
UNKNOWN: Final = Scope()
_SORTS: Final = {
    Kind.INT: Sort.NUMBER,
    Kind.FLOAT: Sort.NUMBER,
    Kind.DECIMAL: Sort.NUMBER,
    Kind.STR: Sort.TEXT,
    Kind.BOOL: Sort.BOOLEAN,
    Kind.DATE: Sort.TIME,
    Kind.DATETIME: Sort.TIME,
    Kind.TIME: Sort.TIME,
    Kind.BYTES: Sort.OTHER,
}


def fields_of(contract: ContractSpec) -> Scope:
    """Return the scope of a stream that a contract stands behind."""
    sorts = {field.name: _SORTS[field.kind] for field in contract.fields}
    return Scope(sorts, whose=contract.name)


class Wrong(Exception):
    """Ends the parsing of one expression; `condition` makes a finding of it."""

    def __init__(self, text: str, token: Token, *, hint: str = "", code: str = "D060") -> None:
        super().__init__(text)
        self.text = text
        self.hint = hint
        self.code = code
        self.at = token.at
        self.length = len(token.text)


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str
    at: int


@dataclass(frozen=True, slots=True)
class Typed:
    """An expression, what it is, and the token to point at when it does not fit."""

    expression: Expression
    sort: Sort
    token: Token


def negated(token: Token, operand: Typed) -> Typed:
    check_number(operand)
    value = operand.expression.value if isinstance(operand.expression, Literal) else None
    if isinstance(value, int | float):
        return Typed(Literal(-value), Sort.NUMBER, token)
    return Typed(Binary(Operator.SUB, Literal(0), operand.expression), Sort.NUMBER, token)


def logical(operator: Operator, left: Typed, token: Token, right: Typed) -> Typed:
    check_boolean(left)
    check_boolean(right)
    return Typed(Binary(operator, left.expression, right.expression), Sort.BOOLEAN, token)


def compared(left: Typed, token: Token, right: Typed) -> Typed:
    if Sort.NOTHING in {left.sort, right.sort}:
        raise Wrong(
            f"a comparison with null is never true: {token.text} null",
            token,
            hint="empty values are kept by no condition; fill them in a step, or forbid them by a contract",
            code="D063",
        )
    check_comparable(left, right)
    found = Binary(COMPARE[token.text], left.expression, right.expression)
    return Typed(found, Sort.BOOLEAN, token)


def reckoned(left: Typed, token: Token, right: Typed) -> Typed:
    check_number(left)
    check_number(right)
    return Typed(
        Binary(Operator(token.text), left.expression, right.expression), Sort.NUMBER, token
    )


def check_boolean(operand: Typed) -> None:
    if operand.sort not in {Sort.BOOLEAN, Sort.UNKNOWN}:
        raise Wrong(
            f"{_said(operand)} is {operand.sort.value}, not a condition",
            operand.token,
            hint="compare it with something",
            code="D062",
        )


def check_number(operand: Typed) -> None:
    if operand.sort not in {Sort.NUMBER, Sort.UNKNOWN}:
        raise Wrong(
            f"{_said(operand)} is {operand.sort.value}, not a number", operand.token, code="D063"
        )


def check_comparable(left: Typed, right: Typed) -> None:
    """Refuse what a slice would refuse: a time goes with text as well, everything else with its like."""
    sorts = {left.sort, right.sort}
    if len(sorts) == 1 or sorts & {Sort.UNKNOWN, Sort.NOTHING} or sorts == {Sort.TIME, Sort.TEXT}:
        return
    raise Wrong(
        f"{_said(left)} is {left.sort.value} and {_said(right)} is {right.sort.value}",
        right.token,
        hint=_quoting(left, right),
        code="D063",
    )


def _said(operand: Typed) -> str:
    return operand.token.text if isinstance(operand.expression, Name | Literal) else "this side"


def _quoting(left: Typed, right: Typed) -> str:
    for one, other in ((left, right), (right, left)):
        if one.sort is Sort.TEXT and isinstance(other.expression, Literal):
            return f"write '{other.token.text}'"
    return "numbers go with numbers, text with text"
