"""What is called impossible never happens: where two contracts are said not to fit, no row that keeps the one passes the other, in memory and through a file."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from runink.connectors.encoders import encoder_of
from runink.contracts.fields import Coercion, ContractSpec, FieldSpec, Kind
from runink.contracts.physical import physical_type
from runink.contracts.plan import compile_plan
from runink.dag import Format
from runink.dsl.fitting import fit
from runink.errors import Refused

SCALARS = [kind for kind in Kind if kind not in {Kind.RECORD, Kind.LIST}]
DAYS = st.sampled_from(["2013-01-01", "2013-06-30", "2014-01-01"])
INSTANTS = DAYS.map(lambda day: f"{day}T00:00:00+00:00")
BOUNDS = {
    Kind.INT: st.integers(-3, 3),
    Kind.FLOAT: st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0]),
    Kind.DECIMAL: st.sampled_from(["-1", "0", "0.5", "1", "2"]),
    Kind.DATE: DAYS,
    Kind.DATETIME: INSTANTS,
    Kind.TIME: st.sampled_from(["00:00:00", "10:00:00", "12:30:00"]),
}
VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.INT: st.integers(-4, 4),
    Kind.FLOAT: st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0, float("nan"), float("inf")]),
    Kind.BOOL: st.booleans(),
    Kind.STR: st.sampled_from(["", "1", "0", "2013-01-01", "10:00", "A", "AB", "true", "0.5"]),
    Kind.BYTES: st.sampled_from([b"", b"1", b"2013-01-01", b"AB"]),
    Kind.DATE: DAYS.map(lambda day: datetime.fromisoformat(day).date()),
    Kind.DATETIME: DAYS.map(lambda day: datetime.fromisoformat(day).replace(tzinfo=UTC)),
    Kind.TIME: st.sampled_from(["00:00:00", "10:00:00", "12:30:00"]).map(
        lambda at: datetime.fromisoformat(f"2013-01-01T{at}").time()
    ),
    Kind.DECIMAL: st.sampled_from([Decimal(-1), Decimal(0), Decimal("0.5"), Decimal(2)]),
}


@st.composite
def fields(draw: st.DrawFn) -> FieldSpec:
    kind = draw(st.sampled_from(SCALARS))
    rules: dict[str, Any] = {}
    if kind in BOUNDS:
        low, high = sorted((draw(BOUNDS[kind]), draw(BOUNDS[kind])), key=str)
        if kind in {Kind.INT, Kind.FLOAT, Kind.DECIMAL}:
            low, high = sorted((low, high), key=float)
        ranges = [{}, {"ge": low}, {"gt": low}, {"le": high}]
        rules |= draw(
            st.sampled_from([*ranges, {"ge": low, "lt": high}] if low != high else ranges)
        )
    if kind is Kind.STR:
        rules |= draw(
            st.sampled_from(
                [
                    {},
                    {"choices": ("A", "1")},
                    {"choices": ("AB",)},
                    {"max_length": 1},
                    {"min_length": 2},
                ]
            )
        )
    if kind is Kind.INT and draw(st.booleans()):
        rules = {"choices": tuple(draw(st.sets(st.integers(-3, 3), min_size=1, max_size=3)))}
    if kind is Kind.FLOAT:
        rules["allow_inf_nan"] = draw(st.booleans())
    return FieldSpec("x", kind, nullable=draw(st.booleans()), **rules)  # fmt: skip


def contract(field: FieldSpec, name: str, coercion: Coercion = Coercion.SAFE) -> ContractSpec:
    return ContractSpec(name, "1.0.0", (field,), coercion=coercion)


def read_back(batch: pa.RecordBatch, form: Format) -> pa.RecordBatch:
    """Return what a reader sees of rows that a sink wrote as text."""
    file = io.BytesIO()
    encoder = encoder_of(form, file, uri="x")
    encoder.write(batch)
    encoder.finish()
    text = file.getvalue().decode()
    if form is Format.CSV:
        # With no other field to tell it from, csv leaves out a line that is empty: it is nothing, too.
        values = [row["x"] or None for row in csv.DictReader(io.StringIO(text))]
        return pa.record_batch([pa.array(values, pa.string())], names=["x"])
    found = [json.loads(line)["x"] for line in text.splitlines()]
    return pa.record_batch([pa.array(found)], names=["x"])


@settings(max_examples=500)
@given(fields(), fields(), st.sampled_from([None, *Format]), st.data())
def test_no_row_passes_where_contracts_are_said_not_to_fit(
    ours: FieldSpec, theirs: FieldSpec, by: Format | None, data: st.DataObject
) -> None:
    writer = contract(ours, "Writer")
    reader = contract(theirs, "Reader", data.draw(st.sampled_from(Coercion)))
    if not fit(writer, reader, by=by).misfits:
        return
    values = data.draw(st.lists(st.one_of(VALUES[ours.kind], st.none()), max_size=12))
    column = pa.array(values, pa.decimal128(38, 9) if ours.kind is Kind.DECIMAL else None)
    if pa.types.is_null(column.type):
        column = column.cast(physical_type(ours))
    good = compile_plan(writer).check(pa.record_batch([column], names=["x"])).good
    if by in {Format.CSV, Format.JSON, Format.JSONL}:
        good = read_back(good, Format.CSV if by is Format.CSV else Format.JSONL)
    assert compile_plan(reader).check(good).good.num_rows == 0


@settings(max_examples=200)
@given(fields(), st.sampled_from([None, *Format]))
def test_a_contract_fits_itself(field: FieldSpec, by: Format | None) -> None:
    found = fit(contract(field, "One"), contract(field, "Other"), by=by)
    assert not found.misfits
    is_lost = field.allow_inf_nan and by in {Format.JSON, Format.JSONL}  # nan becomes nothing
    assert bool(found.doubts) == (is_lost and not field.nullable)


@given(fields(), fields())
def test_a_field_that_is_not_there_is_a_misfit_exactly_if_the_plan_refuses_the_batch(
    ours: FieldSpec, theirs: FieldSpec
) -> None:
    reader = ContractSpec("Reader", "1.0.0", (theirs, FieldSpec("y", Kind.INT)))
    found = fit(contract(ours, "Writer"), reader)
    assert "y" in {one.field for one in found.misfits}
    batch = pa.record_batch([pa.array([], physical_type(ours))], names=["x"])
    try:
        compile_plan(reader).check(batch)
    except Refused as error:
        assert "y" in error.text  # noqa: PT017 - what is refused is what matters, not that it is
    else:
        raise AssertionError("the plan takes a batch without y")
