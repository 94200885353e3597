"""One answer everywhere: what an expression says of a row is the same over single values, over Arrow batches and in DuckDB."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from runink.expressions import evaluate, said
from runink.expressions.batches import evaluated
from runink.expressions.parsing import parse
from runink.expressions.sql import as_sql
from runink.expressions.typing import ListOf, RecordOf, Scope, Sort

SCHEMA = pa.schema(
    {
        "a": pa.int64(), "b": pa.int64(), "n": pa.int8(), "x": pa.float64(), "f": pa.float32(), "price": pa.decimal128(10, 2), "share": pa.decimal128(38, 30), "s": pa.string(), "r": pa.string(),
        "t": pa.bool_(), "d": pa.date32(), "at": pa.timestamp("us", "UTC"), "since": pa.timestamp("us", "UTC"), "lasts": pa.duration("us"),
        "clock": pa.time64("us"), "tags": pa.list_(pa.string()), "nums": pa.list_(pa.float64()), "counts": pa.list_(pa.int64()),
        "days": pa.list_(pa.date32()), "user": pa.struct({"country": pa.string(), "age": pa.int64(), "rate": pa.float64()}),
    }
)  # fmt: skip
USER = RecordOf({"country": Sort.TEXT, "age": Sort.INT, "rate": Sort.NUMBER}, "user")
SCOPE = Scope(
    {
        "a": Sort.INT, "b": Sort.INT, "n": Sort.INT, "x": Sort.NUMBER, "f": Sort.NUMBER, "price": Sort.NUMBER, "share": Sort.NUMBER, "s": Sort.TEXT, "r": Sort.TEXT, "t": Sort.BOOLEAN,
        "d": Sort.DATE, "at": Sort.TIME, "since": Sort.TIME, "lasts": Sort.DURATION, "clock": Sort.CLOCK, "tags": ListOf(Sort.TEXT),
        "nums": ListOf(Sort.NUMBER), "counts": ListOf(Sort.INT), "days": ListOf(Sort.DATE), "user": USER,
    }
)  # fmt: skip

INTS = st.one_of(
    st.integers(-3, 3),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([2**53, 2**53 + 1, 2**62, -(2**62), 2**63 - 1, -(2**63), 3037000500]),
)
FLOATS = st.one_of(
    st.floats(),
    st.sampled_from([0.0, -0.0, 0.1, 0.5, 1.0, -2.0, 2.0**53, 2.0**63, 1e308, 5e-324]),
)
PRICES = st.integers(-(10**10) + 1, 10**10 - 1).map(lambda cents: Decimal(cents).scaleb(-2))
SHARES = st.decimals(-(10**8) + 1, 10**8 - 1, places=30)
TEXTS = st.one_of(
    st.text("aAbßé€ \t\0'%_0.1", max_size=4),
    st.text(max_size=3),
    st.sampled_from(["a", "ab", "12", "-0012", "+7", "1.5", ".5", "1e3", "1e999", "9223372036854775808", "-9223372036854775808", "0" * 30 + "5"]),
)  # fmt: skip
DAYS = st.one_of(
    st.dates(date(1, 1, 2), date(9999, 12, 30)),
    st.sampled_from([date(1970, 1, 1), date(1969, 12, 31), date(2024, 2, 29)]),
)
INSTANTS = st.one_of(
    st.datetimes(timezones=st.just(UTC)),
    st.sampled_from([datetime(1970, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC), datetime(2024, 2, 29, tzinfo=UTC)]),
)  # fmt: skip
DURATIONS = st.one_of(
    st.timedeltas(timedelta(days=-3_652_000), timedelta(days=3_652_000)),
    st.sampled_from([timedelta(0), timedelta(seconds=1), timedelta(microseconds=-1)]),
)
ROWS = st.fixed_dictionaries(
    {
        name: st.none() | values
        for name, values in {
            "a": INTS, "b": INTS, "n": st.integers(-128, 127), "x": FLOATS, "f": st.floats(width=32), "price": PRICES, "share": SHARES, "s": TEXTS, "r": TEXTS,
            "t": st.booleans(), "d": DAYS, "at": INSTANTS, "since": INSTANTS, "lasts": DURATIONS, "clock": st.times(),
            "tags": st.lists(st.none() | TEXTS, max_size=3), "nums": st.lists(st.none() | FLOATS, max_size=3),
            "counts": st.lists(st.none() | INTS, max_size=3), "days": st.lists(st.none() | DAYS, max_size=3),
            "user": st.fixed_dictionaries({"country": st.none() | TEXTS, "age": st.none() | INTS, "rate": st.none() | FLOATS}),
        }.items()
    }
)  # fmt: skip


def quoted(text: str) -> str:
    escaped = "".join(f"\\U{ord(one):08x}" for one in text)
    return f"'{escaped}'"


def written(value: float | str) -> str:
    return quoted(value) if isinstance(value, str) else repr(value)


LITERALS = {
    "int": INTS.map(written),
    "number": st.floats(allow_nan=False, allow_infinity=False).map(written),
    "text": TEXTS.map(written),
    "bool": st.sampled_from(["true", "false"]),
    "time": st.datetimes(timezones=st.just(UTC)).map(lambda at: f"timestamp('{at.isoformat()}')"),
    "duration": st.integers(-(10**16), 10**16).map(lambda at: f"duration('{at}us')"),
    "day": DAYS.map(lambda day: f"'{day.isoformat()}'"),
}
FIELDS = {
    "int": ["a", "b", "n", "user.age", "counts[0]", "counts[2]"],
    "number": ["x", "f", "price", "share", "user.rate", "nums[1]"],
    "text": ["s", "r", "user.country", "tags[0]"],
    "bool": ["t"],
    "time": ["at", "since", "d", "days[0]"],
    "duration": ["lasts"],
    "clock": ["clock"],
}
PATTERNS = ["a", "^a", "b$", "[ab]+", "(?i)A", "\\\\d+", "^$", ".", "é|ß", "^.{2}$"]
COMPARE = ["==", "!=", "<", "<=", ">", ">="]


@st.composite
def texts_of(draw: st.DrawFn, sort: str, depth: int) -> str:
    """Return an expression of a sort, as a person could write it."""

    def some(inner: str) -> str:
        return draw(texts_of(inner, depth - 1))

    def number() -> str:
        return some(draw(st.sampled_from(["int", "number"])))

    if depth <= 0 or draw(st.integers(0, 3)) == 0:
        if sort in LITERALS and draw(st.integers(0, 2)) == 0 and sort != "day":
            return draw(LITERALS[sort])
        return draw(st.sampled_from(FIELDS[sort]))
    forms = {
        "int": [
            lambda: f"({some('int')} {draw(st.sampled_from('+-*%'))} {some('int')})",
            lambda: f"size({draw(st.sampled_from(['tags', 'counts', some('text')]))})",
            lambda: f"int({some(draw(st.sampled_from(['int', 'number', 'text', 'time'])))})",
            lambda: f"(-{some('int')})",
            lambda: f"coalesce({some('int')}, {some('int')})",
            lambda: f"({some('time')}).{draw(st.sampled_from(['getFullYear', 'getMonth', 'getDate', 'getDayOfWeek', 'getDayOfYear', 'getHours', 'getMinutes', 'getSeconds', 'getMilliseconds']))}()",
        ],
        "number": [
            lambda: f"({number()} / {number()})",
            lambda: f"({some('number')} {draw(st.sampled_from('+-*'))} {number()})",
            lambda: f"double({some(draw(st.sampled_from(['int', 'number', 'text'])))})",
            lambda: f"({some('bool')} ? {number()} : {some('number')})",
            lambda: f"coalesce({some('number')}, {number()}, {number()})",
        ],
        "text": [
            lambda: f"({some('text')} + {some('text')})",
            lambda: f"({some('text')}).{draw(st.sampled_from(['lower', 'upperAscii', 'trim']))}()",
            lambda: f"string({some(draw(st.sampled_from(['int', 'text', 'bool'])))})",
            lambda: f"({some('bool')} ? {some('text')} : {some('text')})",
        ],
        "time": [
            lambda: f"({some('time')} {draw(st.sampled_from('+-'))} {some('duration')})",
            lambda: f"timestamp({some('time')})",
            lambda: f"({some('bool')} ? {some('time')} : {some('time')})",
        ],
        "duration": [
            lambda: f"({some('time')} - {some('time')})",
            lambda: f"({some('duration')} {draw(st.sampled_from('+-'))} {some('duration')})",
            lambda: f"coalesce({some('duration')}, {some('duration')})",
        ],
        "clock": [lambda: f"coalesce({some('clock')}, clock)"],
        "bool": [
            lambda: f"({some('bool')} {draw(st.sampled_from(['&&', '||']))} {some('bool')})",
            lambda: f"!{some('bool')}",
            lambda: f"({number()} {draw(st.sampled_from(COMPARE))} {number()})",
            lambda: compared(draw, some),
            lambda: f"has({draw(st.sampled_from([one for some in FIELDS.values() for one in some] + ['user', 'tags']))})",
            lambda: f"({some('text')}).{draw(st.sampled_from(['startsWith', 'endsWith', 'contains']))}({draw(LITERALS['text'])})",
            lambda: f"({some('text')}).matches('{draw(st.sampled_from(PATTERNS))}')",
            lambda: listed(draw, some),
            lambda: f"({some('bool')} ? {some('bool')} : {some('bool')})",
            lambda: f"(d {draw(st.sampled_from(COMPARE))} {draw(LITERALS['day'])})",
            lambda: f"(clock {draw(st.sampled_from(COMPARE))} '{draw(st.times()).isoformat()}')",
        ],
    }  # fmt: skip
    return draw(st.sampled_from(forms[sort]))()


def compared(draw: st.DrawFn, some: Any) -> str:
    sort = draw(st.sampled_from(["int", "text", "bool", "time", "duration", "clock"]))
    return f"({some(sort)} {draw(st.sampled_from(COMPARE))} {some(sort)})"


def listed(draw: st.DrawFn, some: Any) -> str:
    sort, lists = draw(
        st.sampled_from(
            [("int", "counts"), ("number", "nums"), ("int", "nums"), ("number", "counts"), ("text", "tags"), ("time", "days")]
        )
    )  # fmt: skip
    if draw(st.booleans()) or sort == "time":
        return f"({some(sort)} in {lists})"
    items = draw(st.lists(st.one_of(LITERALS[sort], st.just("null")), max_size=3))
    return f"({some(sort)} in [{', '.join(items)}])"


def normal(value: object) -> object:
    """Return a result in a form in which those of all engines can be compared."""
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time(), UTC)
    return value


def same(value: object, other: object) -> bool:
    value, other = normal(value), normal(other)
    return type(value) is type(other) and value == other


def by_duckdb(batch: pa.RecordBatch, sql: str) -> list[Any]:
    connection = duckdb.connect(":memory:", config={"threads": 1})
    connection.register("rows", pa.table(batch))
    connection.execute("SET TimeZone='America/New_York'")  # which must make no difference
    found = connection.execute(f"SELECT {sql} AS found FROM rows").fetchall()
    connection.close()
    return [row[0] for row in found]


SORTS = st.sampled_from(["bool", "bool", "int", "number", "text", "time", "duration", "clock"])


@settings(max_examples=150)
@given(
    SORTS.flatmap(lambda sort: texts_of(sort, 3)),
    st.lists(ROWS, min_size=1, max_size=4),
    st.integers(0, 1),
)
def test_values_batches_and_sql_give_one_answer(
    text: str, rows: list[dict[str, Any]], skipped: int
) -> None:
    parsed = parse(text, SCOPE)
    assert parsed.expression is not None, (text, parsed.mistakes)
    assert parse(said(parsed.expression), SCOPE).expression == parsed.expression
    batch = pa.RecordBatch.from_pylist([*rows[:skipped], *rows], SCHEMA).slice(skipped)
    by_row = [evaluate(parsed.expression, row) for row in batch.to_pylist()]
    found = evaluated(batch, parsed.expression)
    by_batch = [found.as_py()] * len(rows) if isinstance(found, pa.Scalar) else found.to_pylist()
    assert len(by_batch) == len(by_row)
    for one, other in zip(by_row, by_batch, strict=True):
        assert same(one, other), (text, "batch", one, other)
    sql = as_sql(parsed.expression, SCOPE)
    for one, other in zip(by_row, by_duckdb(batch, sql), strict=True):
        assert same(one, other), (text, sql, one, other)
