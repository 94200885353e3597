"""What is said of operands that do not go together: which one, what it is, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runink.expressions import times
from runink.expressions.tree import Expression, Index, Literal, Member, Name, Operator
from runink.expressions.typing import (
    INSTANTS,
    NUMBERS,
    TIMES,
    Mistake,
    Shape,
    Sort,
    comparable,
    told,
)


@dataclass(frozen=True, slots=True)
class Typed:
    """An expression, what it is, and the characters to point at when it does not fit."""

    expression: Expression
    shape: Shape
    at: int
    length: int


class Mistakes:
    """The mistakes of one text, in the order in which they are found."""

    def __init__(self, text: str) -> None:
        self.found: list[Mistake] = []
        self._text = text

    def wrong(self, code: str, text: str, where: Any, hint: str = "") -> None:
        """Note a mistake at something typed, or at a token or tree of lark's."""
        if isinstance(where, Typed):
            at, length = where.at, where.length
        else:
            place = getattr(where, "meta", where)
            at, length = place.start_pos, place.end_pos - place.start_pos
        self.found.append(Mistake(code, text, at, max(length, 1), hint))

    def said(self, operand: Typed) -> str:
        """Return what an operand is called in a mistake: itself, if it is short."""
        if isinstance(operand.expression, Name | Literal | Member | Index):
            return self._text[operand.at : operand.at + operand.length]
        return "this side"

    def no_number(self, operand: Typed) -> None:
        hint = "a time goes with a duration: at + duration('90s')" if operand.shape in TIMES else ""
        text = f"{self.said(operand)} is {told(operand.shape)}, not a number"
        self.wrong("D063", text, operand, hint)

    def does_not_reckon(self, operator: Operator, left: Typed, right: Typed) -> None:
        """Say which operand it is: the one that no such operator takes, or both that do not go together."""
        others = [one for one in (left, right) if one.shape not in NUMBERS | {Sort.UNKNOWN}]
        nothing = next((one for one in others if one.shape is Sort.NOTHING), None)
        if nothing is not None:
            self.no_number(nothing)
        elif not others:
            part = left if left.shape is Sort.NUMBER else right
            text = f"{self.said(part)} may have a fraction, and % goes with whole numbers"
            self.wrong("D063", text, part, "write int(x) to cut it off")
        elif operator is Operator.ADD and others[0].shape is Sort.TEXT and len(others) == 1:
            number = right if others[0] is left else left
            self.wrong(
                "D063", self._sides(left, right), number, f"write string({self.said(number)})"
            )
        elif len(others) == 1 or left.shape is right.shape or operator not in _SUMS:
            self.no_number(others[0])
        else:
            self.do_not_go_together(left, right)

    def do_not_go_together(self, left: Typed, right: Typed) -> None:
        self.wrong("D063", self._sides(left, right), right, self._together_hint(left, right))

    def _sides(self, left: Typed, right: Typed) -> str:
        return (
            f"{self.said(left)} is {told(left.shape)} and {self.said(right)} is {told(right.shape)}"
        )

    def _together_hint(self, left: Typed, right: Typed) -> str:
        for one, other in ((left, right), (right, left)):
            if one.shape is Sort.TEXT and isinstance(other.expression, Literal):
                return f"write '{self.said(other)}'"
            if one.shape in TIMES and other.shape is Sort.TEXT:
                return "a time goes with a time as it is written: '2013-01-31'"
            if one.shape is Sort.DURATION:
                return "write duration('90s')"
        return "numbers go with numbers, text with text"

    def check_comparable(self, left: Typed, right: Typed) -> None:
        """Note what is wrong with comparing two operands, if anything is."""
        if comparable(left.shape, right.shape):
            return
        for time, text in ((left, right), (right, left)):
            value = text.expression.value if isinstance(text.expression, Literal) else None
            if time.shape in TIMES and isinstance(value, str):
                self._check_time(value, time, text)
                return
        self.do_not_go_together(left, right)

    def _check_time(self, value: str, time: Typed, text: Typed) -> None:
        is_instant = time.shape in INSTANTS
        if (times.instant(value) if is_instant else times.clock(value)) is None:
            form = "2013-01-31 or 2013-01-31T06:00:00Z" if is_instant else "06:00"
            said = self.said(text)
            self.wrong("D063", f"{said} is not {told(time.shape)}", text, f"write it like {form}")


_SUMS = frozenset({Operator.ADD, Operator.SUB})
