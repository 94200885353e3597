"""What a CSV reader parses straight to a contract's types is what the contract takes from text."""

from __future__ import annotations

import io
import re

import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from runink.contracts import physical
from runink.contracts.fields import Coercion, ContractSpec, FieldSpec, Kind
from runink.contracts.plan import column_types, compile_plan, may_hold_hexadecimal

FIELDS = (
    FieldSpec("x", Kind.INT, nullable=True, ge=-5, le=100),
    FieldSpec("x", Kind.INT, nullable=True),
    FieldSpec("x", Kind.FLOAT, nullable=True),
    FieldSpec("x", Kind.BOOL, nullable=True),
    FieldSpec("x", Kind.STR, nullable=True),
    FieldSpec("x", Kind.BYTES, nullable=True),
    FieldSpec("x", Kind.DATE, nullable=True),
    FieldSpec("x", Kind.DATETIME, nullable=True),
    FieldSpec("x", Kind.TIME, nullable=True),
    FieldSpec("x", Kind.DECIMAL, nullable=True, digits=6, scale=2),
)
CSV_VALUES = (
    "12", " 12 ", "007", "-3", "300", "12.0", "1.5", "1e3", "nan", "inf", "1e400", "true", "1", "0", "TRUE", "yes",
    "2013-01-31", " 2013-01-31", "2013-02-30", "0000-01-01", "2013-01-31T10:00:00Z", "2013-01-31T10:00:00+02:00",
    "2013-01-31 10:00:00.123Z", "2013-01-31T10:00:00", "10:00", " 10:00:30.5", "24:00", "1.25", "1.255", "x", "NA", "+5", "99999999999999999999",
)  # fmt: skip


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: f"{field.kind.value}-{field.le}")
@pytest.mark.parametrize("text", CSV_VALUES)
@pytest.mark.parametrize("policy", Coercion)
def test_what_a_csv_reader_parses_straight_is_what_the_contract_takes_from_text(
    field, text, policy
):
    spec = ContractSpec("Flight", "1.0.0", (field,), coercion=policy)
    file = f"x\n{text}\n".encode()
    assert not may_hold_hexadecimal(file)

    def read(kind):
        options = pa_csv.ConvertOptions(
            column_types={"x": kind},
            null_values=["NA"],
            strings_can_be_null=True,
            true_values=list(physical.TRUE_WORDS),
            false_values=list(physical.FALSE_WORDS),
        )
        return pa_csv.read_csv(io.BytesIO(file), convert_options=options).to_batches()[0]

    try:
        straight = read(column_types(spec)["x"])
    except pa.ArrowInvalid:
        return  # the reader falls back to text
    plan = compile_plan(spec)
    one, other = plan.check(straight), plan.check(read(pa.string()))
    assert one.good.equals(other.good)
    counts = [checked.rejected.counts if checked.rejected else {} for checked in (one, other)]
    assert counts[0] == counts[1]


def test_what_may_be_hexadecimal_is_seen():
    assert may_hold_hexadecimal(b"a,b\n1,0x1F\n")
    assert may_hold_hexadecimal(bytearray(b"0XFF"))
    assert may_hold_hexadecimal(b'1,"0x1F"')
    assert may_hold_hexadecimal(b"1, 0x1F")
    assert may_hold_hexadecimal(b"1z0x1F", delimiter="z")
    assert not may_hold_hexadecimal(b"1,0x1F", end=2)


def test_what_stands_in_the_middle_of_a_word_is_no_hexadecimal_number():
    """Arrow reads it as none, and tail numbers are full of it: they made text of every number beside them."""
    assert not may_hold_hexadecimal(b"a,b\n1,N390XA\n2,N0XYZ\n")
    assert may_hold_hexadecimal(b"N390XA\n" * 1000 + b"0x1\n")
    assert may_hold_hexadecimal(b"N390XA\n" * 50_000), "too many to look at"


@pytest.mark.parametrize("letters_max", [0, 1, 3, 10_000])
@given(text=st.text('0xX1,N "\n', max_size=40).map(str.encode), end=st.none() | st.integers(0, 40))
@example(text=b"X,0X", end=None)
def test_hexadecimal_is_seen_however_dense_its_letters_are(letters_max, text, end):
    expected = re.search(rb"(?<![0-9A-Za-z])0[xX]", text[:end]) is not None
    end = None if end is None else min(end, len(text))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(physical, "LETTERS_MAX", letters_max)
        assert may_hold_hexadecimal(text, end=end) == expected
