"""Columns of numbers that hold a few texts of another kind: each text is taken for what it is taken for alone, wherever it stands."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest
from contract_cases import TEXTS
from hypothesis import given, settings
from hypothesis import strategies as st
from runink.contracts import scalars
from runink.contracts.coercion import coerce
from runink.contracts.digits import ODD_FEW, WHOLE, odd_texts
from runink.contracts.fields import Coercion, Kind

PARSERS = {
    (Kind.INT, Coercion.SAFE): scalars.int_of,
    (Kind.INT, Coercion.LENIENT): scalars.lenient_int_of,
    (Kind.FLOAT, Coercion.SAFE): scalars.float_of,
    (Kind.FLOAT, Coercion.LENIENT): scalars.lenient_float_of,
}
TYPES = {Kind.INT: pa.int64(), Kind.FLOAT: pa.float64()}
NUMBERS = {
    Kind.INT: st.integers(-(10**18), 10**18).map(str),
    Kind.FLOAT: st.one_of(st.integers(-100, 100), st.floats(-1e9, 1e9)).map(str),
}
ROWS_MAX = 400


def over_garbage(texts, nulls):
    """Return texts as a column in which some rows are null, though their bytes are there."""
    column = pa.array(texts, pa.string())
    there = pa.array([row not in nulls for row in range(len(texts))])
    return pa.Array.from_buffers(
        pa.string(), len(texts), [there.buffers()[1], *column.buffers()[1:]]
    )


@st.composite
def columns(draw, kind):
    """Draw a column, most of whose texts are numbers, cut out of a longer one."""
    numbers = draw(st.lists(NUMBERS[kind], min_size=1, max_size=5))
    length = draw(st.integers(1, ROWS_MAX))
    texts = [numbers[row % len(numbers)] for row in range(length)]
    rows = st.integers(0, length - 1)
    odd = st.one_of(st.sampled_from(["", "-", "5-5", "x", "7."]), TEXTS[kind])
    for row, text in draw(st.dictionaries(rows, odd, max_size=ODD_FEW)).items():
        texts[row] = text
    column = over_garbage(texts, draw(st.sets(rows, max_size=4)))
    begin, end = sorted((draw(st.integers(0, length)), draw(st.integers(0, length))))
    return column.slice(begin, end - begin)


def same(one, other):
    if isinstance(one, float) and math.isnan(one):
        return isinstance(other, float) and math.isnan(other)
    return type(one) is type(other) and one == other


@pytest.mark.parametrize(("kind", "policy"), PARSERS)
@given(data=st.data())
@settings(max_examples=150)
def test_a_text_among_numbers_is_taken_for_what_it_is_alone(kind, policy, data):
    column = data.draw(columns(kind))
    coerced = coerce(column, kind, TYPES[kind], policy)
    coerced.values.validate(full=True)
    failed = [None] * len(column)
    for failure in coerced.failures:
        assert failure.mask.null_count == 0
        for row, is_broken in enumerate(failure.mask.to_pylist()):
            failed[row] = failure.rule if is_broken else failed[row]
    for text, value, rule in zip(
        column.to_pylist(), coerced.values.to_pylist(), failed, strict=True
    ):
        alone = None if text is None else PARSERS[kind, policy](text)
        if isinstance(alone, scalars.Failed):
            assert (value, rule) == (None, alone.value), text
        else:
            assert same(value, alone), text
            assert rule is None, text


@given(columns(Kind.INT))
@settings(max_examples=200)
def test_odd_texts_are_those_with_another_byte_than_a_number_has(column):
    mask = odd_texts(column, WHOLE, 18)
    assert mask is not None, "so few are told"
    for text, is_odd in zip(column.to_pylist(), mask.to_pylist(), strict=True):
        if text is not None:
            assert is_odd is (
                not text or len(text.encode()) > 18 or bool(text.strip("0123456789-"))
            )
