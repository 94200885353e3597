"""Expressions as SQL, in DuckDB's dialect: for pushing conditions down to where rows are read, and for people who ask what a condition says.

Names and texts are quoted, so no text of a pipeline ever becomes SQL.  The sorts of fields must be known, because SQL's own rules differ from ours by type:

    whole numbers   BIGINT, reckoned in HUGEINT and nothing where the result has no 64 bits
    fractions       DOUBLE, NaN is nothing
    times           microseconds since 1970 as BIGINT within an expression; TIMESTAMP (UTC), DATE and INTERVAL as its result

Every operand stands in the text once, so it is as long as the expression is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from runink.errors import Invalid
from runink.expressions import times
from runink.expressions.functions import SIGNATURES
from runink.expressions.kinds import midnight, shape_of
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
    Member,
    Name,
    Not,
    Operator,
    Scalar,
    said,
)
from runink.expressions.typing import (
    COMPARE,
    INSTANTS,
    NUMBERS,
    TIMES,
    ListOf,
    RecordOf,
    Scope,
    Shape,
    Sort,
    comparable,
    reckoned,
    told,
    united,
)
from runink.expressions.value_functions import BLANKS, DOUBLE_TEXT, EPOCH, INT_TEXT
from runink.expressions.values import times_of

_MICROSECOND: Final = timedelta(microseconds=1)
_YEARS: Final = tuple(
    (one.replace(tzinfo=UTC) - EPOCH) // _MICROSECOND
    for one in (datetime.min, datetime.max)  # noqa: DTZ901 - the zone follows
)
_DURATIONS: Final = (-times.DURATION_MAX // _MICROSECOND, times.DURATION_MAX // _MICROSECOND)
_NAN: Final = "'nan'::DOUBLE"


@dataclass(frozen=True, slots=True)
class Sql:
    """A text of SQL and what it gives."""

    text: str
    shape: Shape


def as_sql(expression: Expression, scope: Scope) -> str:
    """Return the expression as SQL over columns of these names. Raises Invalid where a field's sort is not known, or does not fit."""
    found = _Writer(scope).written(expression)
    match found.shape:
        case Sort.TIME:
            return f"make_timestamp({found.text})"
        case Sort.DATE:
            return f"CAST(make_timestamp({found.text}) AS DATE)"
        case Sort.DURATION:
            return f"to_microseconds({found.text})"
        case Sort.CLOCK:
            return f"(TIME '00:00' + to_microseconds({found.text}))"
        case _:
            return found.text


def quoted_name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def quoted_text(text: str) -> str:
    """Return a text literal; a NUL, which ends a query for some clients, is spelled out."""
    parts = ["'" + part.replace("'", "''") + "'" for part in text.split("\0")]
    return parts[0] if len(parts) == 1 else f"({' || chr(0) || '.join(parts)})"


def _invalid(text: str) -> Invalid:
    return Invalid(text, code="invalid_expression")


class _Writer:
    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def written(self, expression: Expression) -> Sql:
        match expression:
            case Literal(value):
                return _literal(value)
            case Name() | Member() | Index():
                path = self._path(expression)
                return Sql(_form(path.text, path.shape), path.shape)
            case Not(operand):
                return Sql(f"(NOT {self.written(operand).text})", Sort.BOOLEAN)
            case Choice():
                return self._choice(expression)
            case Call(function, arguments):
                return self._call(function, arguments)
            case Binary(Operator.IN, left, right):
                return self._among(left, right)
            case Binary(Operator.AND | Operator.OR as operator, left, right):
                word = "AND" if operator is Operator.AND else "OR"
                text = f"({self.written(left).text} {word} {self.written(right).text})"
                return Sql(text, Sort.BOOLEAN)
            case Binary():
                return self._binary(expression)
            case Figure():
                raise _invalid(f"{said(expression)} is of a whole stream, not of a row")
            case Items():
                raise _invalid("a list stands only to the right of `in`")

    def _path(self, expression: Expression) -> Sql:
        """Return a field, or what is in it, as it is stored."""
        match expression:
            case Name(name):
                found = (self._scope.sorts or {}).get(name, Sort.UNKNOWN)
                if found is Sort.UNKNOWN:
                    raise _invalid(
                        f"SQL needs to know what {name} is: give it its type by a contract"
                    )
                return Sql(quoted_name(name), found)
            case Member(operand, name):
                record = self._path(operand)
                if not isinstance(record.shape, RecordOf) or name not in record.shape.fields:
                    raise _invalid(f"{said(operand)} has no field {name}")
                text = f"struct_extract({record.text}, {quoted_text(name)})"
                return Sql(text, record.shape.fields[name])
            case Index(operand, at):
                items = self._path(operand)
                if not isinstance(items.shape, ListOf):
                    raise _invalid(f"{said(operand)} has no items")
                return Sql(f"{items.text}[{at + 1}]", items.shape.items)
            case _:
                raise _invalid(f"{said(expression)} is no field")

    def _choice(self, choice: Choice) -> Sql:
        condition = self.written(choice.condition).text
        (yes, no), shape = _united([self.written(choice.yes), self.written(choice.no)])
        return Sql(f"(CASE {condition} WHEN TRUE THEN {yes} WHEN FALSE THEN {no} END)", shape)

    def _call(self, function: Function, arguments: tuple[Expression, ...]) -> Sql:
        if function is Function.HAS:
            return Sql(f"({self.written(arguments[0]).text} IS NOT NULL)", Sort.BOOLEAN)
        values = [self.written(one) for one in arguments]
        if function is Function.COALESCE:
            texts, shape = _united(values)
            return Sql(f"coalesce({', '.join(texts)})", shape)
        gives = SIGNATURES[function].gives
        if isinstance(values[0].shape, ListOf):
            return Sql(f"CAST(len({values[0].text}) AS BIGINT)", gives)
        if function in _READERS and isinstance(arguments[0], Literal):
            return _literal(_READERS[function](str(arguments[0].value)))
        write = _FUNCTIONS.get((function, values[0].shape)) or _FUNCTIONS.get((function, None))
        if write is None:
            raise _invalid(f"{function.value}() does not take {told(values[0].shape)}")
        return Sql(write(*(one.text for one in values)), gives)

    def _binary(self, expression: Binary) -> Sql:
        operator = expression.operator
        left, right = self._together(expression.left, expression.right)
        if operator in COMPARE:
            if not comparable(left.shape, right.shape):
                raise _mismatch(expression, left, right)
            a, b = _compared(left, right)
            sign = {"==": "=", "!=": "<>"}.get(operator.value, operator.value)
            return Sql(f"({a} {sign} {b})", Sort.BOOLEAN)
        gives = reckoned(operator, left.shape, right.shape)
        if gives is None:
            raise _mismatch(expression, left, right)
        return Sql(_reckoned(operator, left, right, gives), gives)

    def _together(self, left: Expression, right: Expression) -> tuple[Sql, Sql]:
        a, b = self.written(left), self.written(right)
        return _as_time(left, a, b.shape), _as_time(right, b, a.shape)

    def _among(self, left: Expression, right: Expression) -> Sql:
        value = self.written(left)
        if isinstance(right, Items):
            return _among_items(value, right)
        lists = self._path(right)
        if not isinstance(lists.shape, ListOf):
            raise _invalid(f"{said(right)} is {told(lists.shape)}, not a list")
        item = Sql(_form("i", lists.shape.items), lists.shape.items)
        sought, found = _compared(_as_time(left, value, item.shape), item)
        known = f"list_transform({lists.text}, lambda i: {found})"
        text = (
            f"list_transform([{sought}], lambda v: CASE WHEN v IS NULL OR {lists.text} IS NULL THEN NULL"
            f" WHEN list_contains({known}, v) THEN TRUE WHEN list_count({known}) < len({lists.text}) THEN NULL ELSE FALSE END)[1]"
        )
        return Sql(f"({text})", Sort.BOOLEAN)


def _mismatch(expression: Binary, left: Sql, right: Sql) -> Invalid:
    sides = f"{said(expression.left)} is {told(left.shape)} and {said(expression.right)} is {told(right.shape)}"
    return _invalid(f"{said(expression)}: {sides}")


# Values.


def _literal(value: Any) -> Sql:
    shape = shape_of(value)
    match value:
        case None:
            return Sql("NULL", shape)
        case bool():
            return Sql("TRUE" if value else "FALSE", shape)
        case int():
            return Sql(f"({value})::BIGINT", shape)
        case float():
            text = repr(value)
            return Sql(f"({text if 'e' in text else text + 'e0'})", shape)
        case str():
            return Sql(quoted_text(value), shape)
        case date():
            return Sql(f"({(midnight(value) - EPOCH) // _MICROSECOND})::BIGINT", Sort.TIME)
        case time():
            since = datetime.combine(EPOCH, value, UTC) - EPOCH
            return Sql(f"({since // _MICROSECOND})::BIGINT", shape)
        case timedelta():
            return Sql(f"({value // _MICROSECOND})::BIGINT", shape)
    raise _invalid(f"{value!r} is no literal")


def _form(text: str, shape: Shape) -> str:
    """Return what is stored in the form that is reckoned with."""
    match shape:
        case Sort.NUMBER:
            return f"nullif(CAST({text} AS DOUBLE), {_NAN})"
        case Sort.DATE | Sort.TIME | Sort.CLOCK | Sort.DURATION:
            return f"epoch_us({text})"
        case _:
            return text


def _as_time(expression: Expression, value: Sql, other: Shape) -> Sql:
    """Read a text that is written out as the time that it is compared with. Raises Invalid if it is none."""
    if other in TIMES and isinstance(expression, Literal) and isinstance(expression.value, str):
        return _literal(times_of(expression.value, other))
    return value


def _compared(left: Sql, right: Sql) -> tuple[str, str]:
    """Return both sides in one type: a whole number beside a fraction is a double."""
    if {left.shape, right.shape} == NUMBERS:
        return _double(left), _double(right)
    return left.text, right.text


def _double(value: Sql) -> str:
    return value.text if value.shape is Sort.NUMBER else f"CAST({value.text} AS DOUBLE)"


def _united(values: list[Sql]) -> tuple[list[str], Shape]:
    shape: Shape = Sort.NOTHING
    for value in values:
        wider = united(shape, value.shape)
        if wider is None:
            raise _invalid(f"{told(shape)} and {told(value.shape)} cannot stand for each other")
        shape = wider
    if shape is not Sort.NUMBER:
        return [one.text for one in values], shape
    return [_double(one) for one in values], shape


def _among_items(value: Sql, items: Items) -> Sql:
    present: list[Scalar] = [one for one in items.values if one is not None]
    if not present:
        unsure = " OR TRUE" if items.values else ""
        return Sql(f"(({value.text} IS NULL{unsure}) AND NULL)", Sort.BOOLEAN)
    written = [_as_time(Literal(one), _literal(one), value.shape) for one in present]
    is_double = Sort.NUMBER in {value.shape, *(one.shape for one in written)}
    texts = [_double(one) if is_double else one.text for one in written]
    sought = _double(value) if is_double else value.text
    texts += ["NULL"] * (len(present) < len(items.values))
    return Sql(f"({sought} IN ({', '.join(texts)}))", Sort.BOOLEAN)


# Reckoning.


def _reckoned(operator: Operator, left: Sql, right: Sql, gives: Shape) -> str:
    sign = operator.value
    if gives is Sort.TEXT:
        return f"({left.text} || {right.text})"
    if operator is Operator.DIV:
        return f"nullif({_double(left)} / nullif({_double(right)}, 0e0), {_NAN})"
    if gives is Sort.NUMBER:
        return f"nullif({_double(left)} {sign} {_double(right)}, {_NAN})"
    a, b = (f"CAST({one.text} AS HUGEINT)" for one in (left, right))
    if operator is Operator.MOD:
        b = f"nullif({b}, 0)"
    if gives is Sort.INT:
        return f"TRY_CAST({a} {sign} {b} AS BIGINT)"
    low, high = _DURATIONS if gives is Sort.DURATION else _YEARS
    bounded = f"greatest({low - 1}, least({high + 1}, {a} {sign} {b}))"
    return f"CAST(nullif(nullif({bounded}, {low - 1}), {high + 1}) AS BIGINT)"


# Functions, by the sort of their first argument where that counts.

_Write = Callable[..., str]


def _of_date(part: str, shift: int = 0) -> _Write:
    back = f" - {shift}" if shift else ""
    return lambda at: f"CAST({part}(make_timestamp({at})){back} AS BIGINT)"


def _extracted(pattern: str, kind: str) -> _Write:
    whole = quoted_text(rf"\A{pattern}\z")
    return lambda text: f"TRY_CAST(nullif(regexp_extract({text}, {whole}), '') AS {kind})"


def _itself(text: str) -> str:
    return text


_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_DOWN: Final = (
    -_YEARS[0] // 1_000_000
)  # seconds by which every instant is moved above 0, so that division cuts downwards
_FUNCTIONS: Final[dict[tuple[Function, Shape | None], _Write]] = {
    (Function.SIZE, Sort.TEXT): lambda text: f"CAST(length({text}) AS BIGINT)",
    (Function.MATCHES, Sort.TEXT): lambda text, part: f"regexp_matches({text}, {part})",
    (Function.STARTS_WITH, Sort.TEXT): lambda text, part: f"starts_with({text}, {part})",
    (Function.ENDS_WITH, Sort.TEXT): lambda text, part: f"ends_with({text}, {part})",
    (Function.CONTAINS, Sort.TEXT): lambda text, part: f"contains({text}, {part})",
    (Function.LOWER, Sort.TEXT): lambda text: (
        f"translate({text}, '{_LETTERS.upper()}', '{_LETTERS}')"
    ),
    (Function.UPPER, Sort.TEXT): lambda text: (
        f"translate({text}, '{_LETTERS}', '{_LETTERS.upper()}')"
    ),
    (Function.TRIM, Sort.TEXT): lambda text: f"trim({text}, {quoted_text(BLANKS)})",
    (Function.INT, Sort.INT): _itself,
    (Function.INT, Sort.NUMBER): lambda value: f"TRY_CAST(trunc({value}) AS BIGINT)",
    (Function.INT, Sort.TEXT): _extracted(INT_TEXT, "BIGINT"),
    (Function.DOUBLE, Sort.INT): lambda value: f"CAST({value} AS DOUBLE)",
    (Function.DOUBLE, Sort.NUMBER): _itself,
    (Function.DOUBLE, Sort.TEXT): _extracted(DOUBLE_TEXT, "DOUBLE"),
    (Function.STRING, Sort.TEXT): _itself,
    (Function.STRING, None): lambda value: f"CAST({value} AS VARCHAR)",
    (Function.DURATION, Sort.DURATION): _itself,
    **{
        (function, sort): write
        for sort in INSTANTS
        for function, write in {
            Function.TIMESTAMP: _itself,
            Function.INT: lambda at: f"((({at}) + {_DOWN * 1_000_000}) // 1000000 - {_DOWN})",
            Function.FULL_YEAR: _of_date("year"),
            Function.MONTH: _of_date("month", 1),
            Function.DAY_OF_MONTH: _of_date("day"),
            Function.DAY_OF_WEEK: _of_date("dayofweek"),
            Function.DAY_OF_YEAR: _of_date("dayofyear", 1),
            Function.HOURS: _of_date("hour"),
            Function.MINUTES: _of_date("minute"),
            Function.SECONDS: _of_date("second"),
            Function.MILLISECONDS: lambda at: (
                f"CAST(millisecond(make_timestamp({at})) % 1000 AS BIGINT)"
            ),
        }.items()
    },
}
_READERS: Final[dict[Function, Callable[[str], Any]]] = {
    Function.TIMESTAMP: times.instant,
    Function.DURATION: times.duration,
}
