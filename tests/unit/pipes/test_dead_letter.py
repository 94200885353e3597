"""What the dead letter holds of a rejected row, and that it can be replayed."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.json as pa_json
import pyarrow.parquet as pq
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.contracts.plan import compile_plan
from runink.dag import Check
from runink.jobs import Ticket
from runink.names import RunId, SliceId
from runink.pipes.batch import Batch
from runink.pipes.dead_letter import COLUMNS, dead_batch

FIELDS = (FieldSpec("month", Kind.INT, le=12), FieldSpec("origin", Kind.STR))
CHECK = Check("bronze.check", "bronze", ContractSpec("Flight", "1.2.0", FIELDS))
TICKET = Ticket(RunId("0" * 26), SliceId("bronze"), 1)


def dead(data, row=0):
    batch = Batch(pa.record_batch(data), "data/in.csv", row)
    rejected = compile_plan(CHECK.contract).check(batch.data).rejected
    assert rejected is not None
    return dead_batch(rejected, batch=batch, check=CHECK, ticket=TICKET)


def test_a_dead_row_is_as_it_came_with_all_that_is_known():
    batch = dead({"month": ["1", " 13"], "origin": ["EWR", None], "extra": ["a", "b"]}, row=100)
    assert (batch.origin, batch.row) == ("data/in.csv", 100)
    assert batch.data.to_pylist() == [
        {
            "month": " 13",
            "origin": None,
            "extra": "b",
            "dead_reasons": [
                {"field": "month", "rule": "le", "message": "month is 13, not at most 12"},
                {"field": "origin", "rule": "missing", "message": "origin is missing"},
            ],
            "dead_contract": "Flight",
            "dead_version": "1.2.0",
            "dead_run": "0" * 26,
            "dead_step": "bronze.check",
            "dead_origin": "data/in.csv",
            "dead_row": 101,
        }
    ]


def test_one_dead_letter_has_one_schema_whatever_a_column_was_taken_for():
    text = dead({"month": ["13"], "origin": ["EWR"]})
    typed = dead({"month": pa.array([13], pa.int8()), "origin": ["EWR"]})
    encoded = dead({"month": pa.array([13]), "origin": pa.array(["EWR"]).dictionary_encode()})
    assert text.data.equals(typed.data)
    assert text.data.equals(encoded.data)
    assert text.data.schema.names[2:] == COLUMNS.names


def test_values_of_any_type_are_told_in_text_where_they_can_be():
    batch = dead(
        {
            "month": [13],
            "origin": ["EWR"],
            "when": [datetime(2013, 1, 1, 10, tzinfo=UTC)],
            "price": [Decimal("1.50")],
            "flag": [True],
            "blob": [b"\xff"],
            "list": [[1]],
            "view": pa.array(["v"], pa.string_view()),
            "none": pa.nulls(1),
        }
    )
    row = batch.data.to_pylist()[0]
    assert row["when"] == "2013-01-01 10:00:00.000000Z"
    assert (row["price"], row["flag"], row["view"], row["none"]) == ("1.50", "true", "v", None)
    assert (row["blob"], row["list"]) == (b"\xff", [1])


def test_a_row_that_is_rejected_again_has_its_latest_reasons_only():
    first = dead({"month": ["13"], "origin": ["EWR"]}).data
    again = dead(dict(zip(first.schema.names, first.columns, strict=True)))
    assert again.data.schema == first.schema


def test_a_dead_letter_is_replayed_as_a_source_of_the_same_contract():
    lines = "\n".join(
        json.dumps(row)
        for row in dead({"month": ["13", "x"], "origin": ["EWR", "JFK"]}).data.to_pylist()
    )
    table = pa_json.read_json(io.BytesIO(lines.replace('"13"', '"12"').encode()))
    result = compile_plan(CHECK.contract).check(table.to_batches()[0])
    assert result.good.to_pylist() == [{"month": 12, "origin": "EWR"}]
    assert result.rejected is not None
    assert len(result.rejected.rows) == 1


def test_a_dead_letter_goes_into_parquet():
    data = dead({"month": ["13"], "origin": ["EWR"]}).data
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_batches([data]), buffer)
    assert pq.read_table(io.BytesIO(buffer.getvalue())).to_pylist() == data.to_pylist()


def test_reasons_name_the_way_into_records_and_show_nothing_of_personal_data():
    inner = (FieldSpec("zip", Kind.STR, max_length=4), FieldSpec("ssn", Kind.INT, pii="ssn"))
    items = FieldSpec("item", Kind.INT, le=5)
    spec = ContractSpec("Order", "1.0.0", (FieldSpec("to", Kind.RECORD, fields=inner), FieldSpec("n", Kind.LIST, items=items)))  # fmt: skip
    data = pa.record_batch({"to": [{"zip": "01500", "ssn": "secret"}], "n": [[1, 7]]})
    rejected = compile_plan(spec).check(data).rejected
    assert rejected is not None
    check = Check("bronze.check", "bronze", spec)
    letter = dead_batch(rejected, batch=Batch(data, "in", 0), check=check, ticket=TICKET)
    (row,) = letter.data.to_pylist()
    assert [(one["field"], one["rule"]) for one in row["dead_reasons"]] == [
        ("to.zip", "max_length"),
        ("to.ssn", "type"),
        ("n[1]", "le"),
    ]
    assert "secret" not in str(row["dead_reasons"])
    assert row["to"] == {"zip": "01500", "ssn": "secret"}, "the row itself is kept as it came"
    assert set(rejected.counts) == {("to.zip", "max_length"), ("to.ssn", "type"), ("n[]", "le")}
