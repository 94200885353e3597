"""From lark's tree to ours: names looked up, operands checked, each mistake with its place; what is wrong counts as unknown, so that one mistake is told once."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any, Final

from runink.expressions import reading
from runink.expressions.calling import call
from runink.expressions.functions import BY_NAME
from runink.expressions.measures import FIGURES, MEASURED, MEASURES, event_time
from runink.expressions.mistakes import Mistakes, Typed
from runink.expressions.tree import (
    Binary,
    Call,
    Choice,
    Expression,
    Figure,
    Function,
    Index,
    Items,
    Literal,
    Measure,
    Member,
    Name,
    Not,
    Operator,
    Scalar,
)
from runink.expressions.typing import (
    NUMBERS,
    ListOf,
    Mistake,
    RecordOf,
    Scope,
    Shape,
    Sort,
    reckoned,
    told,
    united,
)
from runink.suggestions import listed, near

NULL_HINTS: Final = {"==": "write !has({})", "!=": "write has({})"}
ITEM_INDEX_MAX: Final = 1_000_000


class Builder:
    """Builds one text's expression; `mistakes` fills up on the way."""

    def __init__(self, text: str, scope: Scope) -> None:
        self.mistakes = Mistakes(text)
        self._text = text
        self._scope = scope

    def build(self, tree: Any) -> Typed:
        """Return what a node of lark's tree means. Its depth has been checked."""
        found: Typed = getattr(self, f"_{tree.data}")(tree)
        return found

    def _typed(self, tree: Any, expression: Expression, shape: Shape) -> Typed:
        return Typed(
            expression, shape, tree.meta.start_pos, tree.meta.end_pos - tree.meta.start_pos
        )

    # Values.

    def _start(self, tree: Any) -> Typed:
        return self._value(tree.children[0])

    def _bracket(self, tree: Any) -> Typed:
        inside = self.build(tree.children[0])
        return self._typed(tree, inside.expression, inside.shape)

    def _literal(self, tree: Any) -> Typed:
        token = tree.children[0]
        value: Scalar = None
        try:
            match token.type:
                case "INTEGER":
                    value = self._whole(token)
                case "FLOAT":
                    value = reading.fraction(token)
                case "TEXT":
                    value = reading.text(token)
                case "RAW":
                    value = reading.raw_text(token)
                case "TRUE" | "FALSE":
                    value = token.type == "TRUE"
        except reading.Unreadable as error:
            at, length = token.start_pos + error.at, error.length or len(token)
            self.mistakes.found.append(Mistake("D060", error.text, at, length, error.hint))
            return self._typed(tree, Literal(None), Sort.UNKNOWN)
        return self._typed(tree, Literal(value), _LITERALS[token.type])

    def _whole(self, token: Any) -> int:
        """Read a whole number; 2^63 only behind a minus that `_minus` takes with it."""
        value = reading.whole_number(token)
        if value > reading.INT_MAX and not self._text[: token.start_pos].rstrip().endswith("-"):
            raise reading.Unreadable(reading.TOO_LARGE, hint=reading.TOO_LARGE_HINT)
        return value

    def _name(self, tree: Any) -> Typed:
        token = tree.children[0]
        name = reading.bare(token)
        if self._scope.stream is not None and name == Measure.FRESHNESS.value:
            return self._typed(tree, self._freshness(token, self._scope.stream), Sort.DURATION)
        shape: Shape = Sort.UNKNOWN
        if self._scope.sorts is not None:
            found = self._scope.sorts.get(name)
            if found is None:
                self._unknown_name(token, name)
            shape = found if found is not None else Sort.UNKNOWN
        return self._typed(tree, Name(name), shape)

    def _freshness(self, token: Any, stream: Scope) -> Expression:
        """Return how old the newest of a stream is, by its event time."""
        field = event_time(stream)
        if isinstance(field, str):
            return Figure(Measure.FRESHNESS, field)
        self.mistakes.wrong("D064", field.text, token, field.hint)
        return Literal(None)

    def _unknown_name(self, token: Any, name: str) -> None:
        scope = self._scope
        assert scope.sorts is not None
        whose = f"{scope.whose} has" if scope.whose else "there is"
        hint = near(name, scope.sorts) or listed(scope.sorts)
        if scope.stream is None and name in FIGURES:
            hint = f'the figure of a whole run stands in @assert("{name} …")'
        self.mistakes.wrong("D061", f"{whose} no {scope.what} {name}", token, hint)

    def _member(self, tree: Any) -> Typed:
        inner, token = tree.children
        if self._is_record_alias(inner):
            found = self._name(_Alone(token))
            return self._typed(tree, found.expression, found.shape)
        operand = self._value(inner)
        name = reading.bare(token)
        shape: Shape = Sort.UNKNOWN
        match operand.shape:
            case RecordOf(fields, whose):
                if name not in fields:
                    text = f"{whose} has no field {name}"
                    self.mistakes.wrong("D061", text, token, near(name, fields) or listed(fields))
                shape = fields.get(name, Sort.UNKNOWN)
            case Sort.UNKNOWN:
                pass
            case _:
                text = (
                    f"{self.mistakes.said(operand)} is {told(operand.shape)}, which has no fields"
                )
                self.mistakes.wrong(
                    "D063", text, token, "a function is called by brackets: x.size()"
                )
        return self._typed(tree, Member(operand.expression, name), shape)

    def _is_record_alias(self, tree: Any) -> bool:
        """Say whether this is the `record` of `record.x`, which means x: unless a field is called so."""
        is_named = tree.data == "name" and str(tree.children[0]) == "record"
        return is_named and "record" not in (self._scope.sorts or {})

    def _index(self, tree: Any) -> Typed:
        operand, place = self._value(tree.children[0]), self.build(tree.children[1])
        at = place.expression.value if isinstance(place.expression, Literal) else None
        if type(at) is not int or not 0 <= at <= ITEM_INDEX_MAX:
            self.mistakes.wrong(
                "D060", "an item is asked for by its number", place, "the first is x[0]"
            )
            at = 0
        shape: Shape = Sort.UNKNOWN
        if isinstance(operand.shape, ListOf):
            shape = operand.shape.items
        elif operand.shape is not Sort.UNKNOWN:
            text = f"{self.mistakes.said(operand)} is {told(operand.shape)}, which has no items"
            self.mistakes.wrong("D063", text, operand)
        return self._typed(tree, Index(operand.expression, at), shape)

    def _items(self, tree: Any) -> Typed:
        items = [self.build(child) for child in tree.children]
        values: list[Scalar] = []
        shape: Shape = Sort.NOTHING
        for item in items:
            if not isinstance(item.expression, Literal):
                self.mistakes.wrong("D060", "a list holds plain values", item)
                continue
            values.append(item.expression.value)
            wider = united(shape, item.shape)
            if wider is None:
                text = f"this list holds {told(shape)} and {told(item.shape)}"
                self.mistakes.wrong("D063", text, item, "values of a list are of one kind")
            shape = wider or Sort.UNKNOWN
        if shape is Sort.NUMBER:
            values = [float(one) if type(one) is int else one for one in values]
        return self._typed(tree, Items(tuple(values)), ListOf(shape))

    # Operators.

    def _value(self, tree: Any) -> Typed:
        """Build what must be one value: a list that is written out is none."""
        found = self.build(tree)
        if isinstance(found.expression, Items):
            hint = "as in x in ['a', 'b']"
            self.mistakes.wrong("D060", "a list stands only to the right of in", found, hint)
            return replace(found, expression=Literal(None), shape=Sort.UNKNOWN)
        return found

    def _condition(self, tree: Any) -> Typed:
        found = self._value(tree)
        if found.shape not in {Sort.BOOLEAN, Sort.UNKNOWN, Sort.NOTHING}:
            text = f"{self.mistakes.said(found)} is {told(found.shape)}, not a condition"
            self.mistakes.wrong("D062", text, found, "compare it with something")
        return found

    def _either(self, tree: Any) -> Typed:
        return self._logical(tree, Operator.OR)

    def _both(self, tree: Any) -> Typed:
        return self._logical(tree, Operator.AND)

    def _logical(self, tree: Any, operator: Operator) -> Typed:
        left, right = self._condition(tree.children[0]), self._condition(tree.children[2])
        found = Binary(operator, left.expression, right.expression)
        return self._typed(tree, found, Sort.BOOLEAN)

    def _negation(self, tree: Any) -> Typed:
        operand = self._condition(tree.children[1])
        return self._typed(tree, Not(operand.expression), Sort.BOOLEAN)

    def _minus(self, tree: Any) -> Typed:
        operand = self._value(tree.children[1])
        value = operand.expression.value if isinstance(operand.expression, Literal) else None
        if isinstance(value, float) or (type(value) is int and -value <= reading.INT_MAX):
            return self._typed(tree, Literal(-value), operand.shape)
        shape = operand.shape
        if not (shape in NUMBERS or shape is Sort.UNKNOWN):
            self.mistakes.no_number(operand)
            shape = Sort.UNKNOWN
        return self._typed(tree, Binary(Operator.SUB, Literal(0), operand.expression), shape)

    def _sum(self, tree: Any) -> Typed:
        return self._reckoned(tree)

    def _product(self, tree: Any) -> Typed:
        return self._reckoned(tree)

    def _reckoned(self, tree: Any) -> Typed:
        token = tree.children[1]
        left, right = self._value(tree.children[0]), self._value(tree.children[2])
        operator = Operator(str(token))
        for one in (left, right):
            if _is_beyond(one.expression):
                self.mistakes.wrong("D060", reading.TOO_LARGE, one, reading.TOO_LARGE_HINT)
        shape = reckoned(operator, left.shape, right.shape)
        if shape is None:
            self.mistakes.does_not_reckon(operator, left, right)
        found = Binary(operator, left.expression, right.expression)
        return self._typed(tree, found, shape or Sort.UNKNOWN)

    def _comparison(self, tree: Any) -> Typed:
        token = tree.children[1]
        if token.type == "IN":
            return self._among(tree)
        left, right = self._value(tree.children[0]), self._value(tree.children[2])
        if Sort.NOTHING in {left.shape, right.shape}:
            asked = right if left.shape is Sort.NOTHING else left
            hint = NULL_HINTS.get(str(token), "has(x) says whether there is anything").format(
                self.mistakes.said(asked)
                if isinstance(asked.expression, Name | Member | Index)
                else "x"
            )
            text = f"a comparison with null is never true: {token} null"
            self.mistakes.wrong("D063", text, token, hint)
        else:
            self.mistakes.check_comparable(left, right)
        found = Binary(Operator(str(token)), left.expression, right.expression)
        return self._typed(tree, found, Sort.BOOLEAN)

    def _among(self, tree: Any) -> Typed:
        left = self._value(tree.children[0])
        told_before = len(self.mistakes.found)
        right = self.build(tree.children[2])
        match right.expression, right.shape:
            case Items(), _:
                if len(self.mistakes.found) == told_before:
                    self._check_items(left, tree.children[2])
            case _, ListOf(items):
                self.mistakes.check_comparable(left, replace(right, shape=items))
            case _, Sort.UNKNOWN:
                pass
            case _:
                hint = "as in x in ['a', 'b']"
                self.mistakes.wrong("D060", "in is followed by a list", right, hint)
        found = Binary(Operator.IN, left.expression, right.expression)
        return self._typed(tree, found, Sort.BOOLEAN)

    def _check_items(self, left: Typed, tree: Any) -> None:
        """Compare the left side with each item, by its own place. Nothing is wrong with the items themselves."""
        for item in map(self.build, tree.children):
            if item.shape is not Sort.NOTHING:
                self.mistakes.check_comparable(left, item)

    def _choice(self, tree: Any) -> Typed:
        condition = self._condition(tree.children[0])
        yes, no = self._value(tree.children[1]), self._value(tree.children[2])
        (one, other), shape = self.unite([yes, no])
        return self._typed(tree, Choice(condition.expression, one, other), shape)

    def unite(self, branches: list[Typed]) -> tuple[tuple[Expression, ...], Shape]:
        """Bring values that stand for each other to one sort."""
        shape = branches[0].shape
        for before, branch in pairwise(branches):
            wider = united(shape, branch.shape)
            if wider is None:
                self.mistakes.do_not_go_together(before, branch)
            shape = wider or Sort.UNKNOWN
        if isinstance(shape, ListOf | RecordOf):
            text = f"one of several values may be chosen, but not {told(shape)}"
            self.mistakes.wrong("D063", text, branches[0], "choose what is in it")
        return tuple(_widened(one, shape) for one in branches), shape

    # Functions.

    def _call(self, tree: Any) -> Typed:
        token, _, *arguments = tree.children
        if str(token) in MEASURES:
            return self._figure(tree, token, arguments)
        return self._called(tree, token, arguments, is_method=False)

    def _figure(self, tree: Any, token: Any, arguments: list[Any]) -> Typed:
        """Build what is asked of a field over a whole stream; the field's name is one of the stream's."""
        measure = MEASURES[str(token)]
        gives, takes = MEASURED[measure]
        stream = self._scope.stream
        if stream is None:
            hint = 'it stands in @assert, as in @assert("null_ratio(tailnum) < 0.1")'
            self.mistakes.wrong("D061", f"{token}() is of a whole stream", token, hint)
            return self._typed(tree, Literal(None), Sort.UNKNOWN)
        outer, self._scope = self._scope, stream
        fields = [self._value(one) for one in arguments]
        self._scope = outer
        field = fields[0].expression if len(fields) == 1 else None
        if not isinstance(field, Name):
            self.mistakes.wrong("D063", f"{token}() takes the name of one field", token)
            return self._typed(tree, Literal(None), gives)
        shape = fields[0].shape
        if takes is not None and shape not in takes:
            text = f"{token}() does not take {told(shape)}; {self.mistakes.said(fields[0])} is that"
            self.mistakes.wrong("D063", text, fields[0])
        return self._typed(tree, Figure(measure, field.name), gives)

    def _method(self, tree: Any) -> Typed:
        operand, token, _, *arguments = tree.children
        return self._called(tree, token, [operand, *arguments], is_method=True)

    def _called(self, tree: Any, token: Any, given: list[Any], *, is_method: bool) -> Typed:
        # Of a function that there is not, nobody knows what its arguments would be.
        arguments = [self._value(one) for one in given] if str(token) in BY_NAME else []
        function, values, shape = call(self, token, arguments, is_method=is_method)
        if function is None:
            return self._typed(tree, Literal(None), Sort.UNKNOWN)
        return self._typed(tree, Call(function, values), shape)


class _Alone:
    """A token as the tree that it would be by itself."""

    def __init__(self, token: Any) -> None:
        self.children = [token]
        self.meta = token


_LITERALS: Final = {
    "INTEGER": Sort.INT,
    "FLOAT": Sort.NUMBER,
    "TEXT": Sort.TEXT,
    "RAW": Sort.TEXT,
    "TRUE": Sort.BOOLEAN,
    "FALSE": Sort.BOOLEAN,
    "NULL": Sort.NOTHING,
}


def _is_beyond(expression: Expression) -> bool:
    """Say whether this is 2^63, which only a sign before it makes a whole number of 64 bits."""
    value = expression.value if isinstance(expression, Literal) else None
    return type(value) is int and value > reading.INT_MAX


def _widened(branch: Typed, shape: Shape) -> Expression:
    if shape is Sort.NUMBER and branch.shape is Sort.INT:
        if isinstance(branch.expression, Literal) and isinstance(branch.expression.value, int):
            return Literal(float(branch.expression.value))
        return Call(Function.DOUBLE, (branch.expression,))
    if shape is Sort.TIME and branch.shape is Sort.DATE:
        return Call(Function.TIMESTAMP, (branch.expression,))
    return branch.expression
