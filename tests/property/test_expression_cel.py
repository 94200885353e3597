"""Our part of CEL means what CEL means: the oracle is the PyPI package common-expression-language, which is the Rust implementation.

What differs, and is left out here (docs/reference/expressions.md says so):
- nothing: CEL fails where a field is missing, we go on with nothing; so there is none in these rows. Where CEL fails we give nothing.
- `/` of whole numbers: CEL cuts off, ours is a fraction. By 0.0 CEL's is infinite, ours is nothing.
- A whole number beside a fraction: CEL refuses to reckon with both, and compares exactly; ours are doubles then.
- The oracle counts bytes in `size`, where CEL's definition counts characters as we do; the texts here are ASCII.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import cel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runink.expressions import evaluate
from runink.expressions.parsing import parse
from runink.expressions.typing import ListOf, RecordOf, Scope, Sort

SCOPE = Scope(
    {
        "a": Sort.INT, "b": Sort.INT, "x": Sort.NUMBER, "s": Sort.TEXT, "r": Sort.TEXT, "t": Sort.BOOLEAN, "at": Sort.TIME, "since": Sort.TIME,
        "lasts": Sort.DURATION, "tags": ListOf(Sort.TEXT), "counts": ListOf(Sort.INT), "user": RecordOf({"country": Sort.TEXT, "age": Sort.INT}, "user"),
    }
)  # fmt: skip
INTS = st.one_of(st.integers(-5, 5), st.integers(-(2**63), 2**63 - 1))
FLOATS = st.floats(-1e6, 1e6)
TEXTS = st.one_of(
    st.text("aAbB12.-+e _", max_size=4), st.sampled_from(["12", "-0012", "+7", "1.5", ".5", "1e3"])
)
TIMES = st.datetimes(
    datetime(1900, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    datetime(2100, 1, 1),  # noqa: DTZ001 - as above
    timezones=st.just(UTC),
)
DURATIONS = st.timedeltas(timedelta(days=-900), timedelta(days=900))
ROWS = st.fixed_dictionaries(
    {
        "a": INTS, "b": INTS, "x": FLOATS, "s": TEXTS, "r": TEXTS, "t": st.booleans(), "at": TIMES, "since": TIMES, "lasts": DURATIONS,
        "tags": st.lists(TEXTS, max_size=3), "counts": st.lists(INTS, max_size=3),
        "user": st.fixed_dictionaries({"country": TEXTS, "age": INTS}),
    }
)  # fmt: skip
FIELDS = {
    "int": ["a", "b", "user.age", "counts[0]", "-7", "0", "3", "0x1F", "9223372036854775807"],
    "number": ["x", "1.5", "-0.25", "1e3", ".5"],
    "text": ["s", "r", "user.country", "tags[1]", "'a'", '"B"', "'''it's'''", "r'\\d'", "'\\101\\x42'"],
    "bool": ["t", "true", "false"],
    "time": ["at", "since", "timestamp('2024-02-29T12:30:15.25Z')"],
    "duration": ["lasts", "duration('1h30m')", "duration('-90s')"],
}  # fmt: skip
COMPARE = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
PATTERNS = st.sampled_from(["'a+'", "'^[aA]'", r"r'\d$'", "'(?i)b'"])
LISTS = st.sampled_from(["tags", "['a', 'B']"])
GETTERS = st.sampled_from(
    ["getFullYear", "getMonth", "getDate", "getDayOfWeek", "getDayOfYear", "getHours", "getMinutes", "getSeconds", "getMilliseconds"]
)  # fmt: skip


@st.composite
def texts_of(draw: st.DrawFn, sort: str, depth: int) -> str:
    def some(inner: str) -> str:
        return draw(texts_of(inner, depth - 1))

    def chosen(of: str) -> str:
        return f"({some('bool')} ? {some(of)} : {some(of)})"

    def compared() -> str:
        of = draw(st.sampled_from(["int", "number", "text", "bool", "time", "duration"]))
        return f"({some(of)} {draw(COMPARE)} {some(of)})"

    if depth <= 0 or draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from(FIELDS[sort]))
    forms = {
        "int": [
            lambda: f"({some('int')} {draw(st.sampled_from('+-*%'))} {some('int')})",
            lambda: f"size({draw(st.sampled_from(['tags', 'counts', some('text')]))})",
            lambda: f"int({some(draw(st.sampled_from(['int', 'number', 'text'])))})",
            lambda: f"{some('time')}.{draw(GETTERS)}()",
            lambda: chosen("int"),
        ],
        "number": [
            lambda: f"({some('number')} {draw(st.sampled_from('+-*'))} {some('number')})",
            lambda: f"({some('number')} / 4.0)",
            lambda: f"double({some(draw(st.sampled_from(['number', 'text'])))})",
            lambda: chosen("number"),
        ],
        "text": [
            lambda: f"({some('text')} + {some('text')})",
            lambda: f"string({some(draw(st.sampled_from(['int', 'text'])))})",
            lambda: chosen("text"),
        ],
        "time": [
            lambda: f"({some('time')} {draw(st.sampled_from('+-'))} {some('duration')})",
            lambda: chosen("time"),
        ],
        "duration": [
            lambda: f"({some('time')} - {some('time')})",
            lambda: f"({some('duration')} {draw(st.sampled_from('+-'))} {some('duration')})",
        ],
        "bool": [
            lambda: f"({some('bool')} {draw(st.sampled_from(['&&', '||']))} {some('bool')})",
            lambda: f"!{some('bool')}",
            compared,
            lambda: f"{some('text')}.{draw(st.sampled_from(['startsWith', 'endsWith', 'contains']))}('a')",
            lambda: f"{some('text')}.matches({draw(PATTERNS)})",
            lambda: f"({some('int')} in [0, 3, -7])",
            lambda: f"({some('text')} in {draw(LISTS)})",
            lambda: "has(user.country)",
            lambda: chosen("bool"),
        ],
    }  # fmt: skip
    return draw(st.sampled_from(forms[sort]))()


FAILED = object()


def by_oracle(text: str, row: dict[str, Any]) -> object:
    """Return CEL's answer, or FAILED where it has none: overflow, a remainder by 0, an index beyond, a text that is no number."""
    try:
        return cel.evaluate(text, row)
    except (OverflowError, ZeroDivisionError, IndexError, RuntimeError, ValueError) as error:
        if "ndefined" in str(error):  # not what it cannot compute, but what it does not know
            raise
        return FAILED


@settings(max_examples=400)
@given(
    st.sampled_from(["bool", "int", "number", "text", "time", "duration"]).flatmap(
        lambda sort: texts_of(sort, 3)
    ),
    ROWS,
)
def test_an_expression_means_what_cel_says(text: str, row: dict[str, Any]) -> None:
    parsed = parse(text, SCOPE)
    assert parsed.expression is not None, (text, parsed.mistakes)
    expected, found = by_oracle(text, row), evaluate(parsed.expression, row)
    if expected is FAILED:
        assert found is None, (text, found)
    else:
        assert type(found) is type(expected), (text, expected, found)
        assert found == expected, (text, expected, found)


@pytest.mark.parametrize(
    ("text", "theirs", "ours"),
    [("7 / 2", 3, 3.5), ("1.0 / 0.0", float("inf"), None), ("size('é')", 2, 1)],
)
def test_what_differs_is_known(text: str, theirs: object, ours: object) -> None:
    parsed = parse(text, SCOPE)
    assert parsed.expression is not None
    assert cel.evaluate(text, {}) == theirs
    assert evaluate(parsed.expression, {}) == ours
