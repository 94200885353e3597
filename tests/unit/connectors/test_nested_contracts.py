"""Records and lists on their way: read from JSON lines and CSV under a contract, written to Parquet, JSON lines and CSV, and read again the same."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from connector_world import batches, sink, source, write_and_publish
from runink.contracts.fields import Coercion, ContractSpec, FieldSpec, Kind
from runink.contracts.plan import compile_plan
from runink.dag import Format
from runink.pipes.batch import Batch

PRICE = FieldSpec("price", Kind.FLOAT, ge=0.0)
ORDER = ContractSpec(
    "Order",
    "1.0.0",
    (
        FieldSpec("id", Kind.INT),
        FieldSpec(
            "to",
            Kind.RECORD,
            nullable=True,
            fields=(FieldSpec("zip", Kind.STR), FieldSpec("floor", Kind.INT, nullable=True)),
        ),
        FieldSpec("items", Kind.LIST, items=FieldSpec("item", Kind.RECORD, fields=(PRICE,))),
        FieldSpec("tags", Kind.LIST, nullable=True, items=FieldSpec("item", Kind.STR)),
    ),
)
ROWS = [
    {"id": 1, "to": {"zip": "0150", "floor": 2}, "items": [{"price": 1.5}], "tags": ["a", "b"]},
    {"id": 2, "to": None, "items": [], "tags": None},
]


def checked(came, spec=ORDER):
    """Return the good rows and the (field, rule)s of the others."""
    plan = compile_plan(spec)
    good, reasons = [], []
    for batch in came:
        result = plan.check(batch.data)
        good += result.good.to_pylist()
        if result.rejected is not None:
            reasons += [
                [(one["field"], one["rule"]) for one in listed]
                for listed in result.rejected.reasons.to_pylist()
            ]
    return good, reasons


def test_json_lines_are_read_straight_to_records_and_lists(tmp_path):
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    came = batches(source("a.jsonl", Format.JSONL, contract=ORDER), tmp_path)
    assert came[0].data.schema.field("items").type == pa.list_(pa.struct([("price", pa.float64())]))
    assert checked(came) == (ROWS, [])


@pytest.mark.parametrize(
    ("wrong", "reasons"),
    [
        ({"to": {"zip": "1", "floor": "x"}}, [[("to.floor", "type")]]),
        ({"to": "nowhere"}, [[("to", "type")]]),
        ({"items": {"price": 1}}, [[("items", "type")]]),
        ({"items": [{"price": -1}, {"price": "-2"}]}, [[("items[0].price", "ge"), ("items[1].price", "ge")]]),
        ({"items": [1]}, [[("items[0]", "type")]]),
        ({"tags": ["a", None]}, [[("tags[1]", "missing")]]),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_rejected_with_the_way_to_it_and_nothing_else_is(
    tmp_path, wrong, reasons
):
    lines = [ROWS[0], ROWS[0] | wrong, ROWS[1]]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    came = batches(source("a.jsonl", Format.JSONL, contract=ORDER), tmp_path)
    assert checked(came) == (ROWS, reasons)


@pytest.mark.parametrize("kind", [Format.PARQUET, Format.ARROW, Format.JSONL, Format.JSON, Format.CSV])  # fmt: skip
def test_what_was_written_is_read_again_the_same(tmp_path, kind):
    plan = compile_plan(ORDER)
    good = plan.check(pa.RecordBatch.from_pylist(ROWS)).good
    path = f"out.{kind.value}"
    write_and_publish(sink(path, kind), tmp_path, Batch(good, "x", 0))
    came = batches(source(path, kind, contract=ORDER), tmp_path)
    rows, reasons = checked(came)
    assert reasons == []
    assert rows == ROWS


def test_parquet_has_the_columns_of_the_contract(tmp_path):
    good = compile_plan(ORDER).check(pa.RecordBatch.from_pylist(ROWS)).good
    write_and_publish(sink("out.parquet", Format.PARQUET), tmp_path, Batch(good, "x", 0))
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == ROWS


def test_a_csv_value_that_is_no_json_is_rejected(tmp_path):
    (tmp_path / "a.csv").write_text('id,to,items,tags\n1,nowhere,[],"[""a""]"\n2,,[],\n')
    node = source("a.csv", contract=ORDER, nulls=("",))
    assert checked(batches(node, tmp_path)) == ([ROWS[1]], [[("to", "type")]])


def test_a_strict_contract_takes_only_canonical_text_from_csv(tmp_path):
    spec = ContractSpec(
        "T",
        "1.0.0",
        (FieldSpec("n", Kind.INT), FieldSpec("f", Kind.BOOL)),
        coercion=Coercion.STRICT,
    )
    (tmp_path / "a.csv").write_text("n,f\n7,true\n007,true\n7,TRUE\n 7,true\n")
    came = batches(source("a.csv", contract=spec), tmp_path)
    good, reasons = checked(came, spec)
    assert good == [{"n": 7, "f": True}]
    assert reasons == [[("n", "type")], [("f", "type")], [("n", "type")]]


def test_only_a_lenient_field_takes_a_number_of_a_csv_file_for_a_truth(tmp_path):
    fields = (FieldSpec("a", Kind.BOOL), FieldSpec("b", Kind.BOOL, coercion=Coercion.LENIENT))
    spec = ContractSpec("T", "1.0.0", fields)
    (tmp_path / "a.csv").write_text("a,b\ntrue,1\n1,true\nFalse,no\n")
    good, reasons = checked(batches(source("a.csv", contract=spec), tmp_path), spec)
    assert good == [{"a": True, "b": True}, {"a": False, "b": False}]
    assert reasons == [[("a", "type")]]
