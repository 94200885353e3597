"""Values as text: JSON that any reader takes, and CSV that gives back what was written."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from runink.connectors.csv_text import header_of, lines_of
from runink.connectors.json_text import objects_of

NOTHING = float("nan")


def written(values: Any, kind: pa.DataType | None = None) -> str:
    """Return a column's JSON texts, one behind the other."""
    column = pa.array(values, kind)
    texts = objects_of(pa.record_batch({"a": column})).to_pylist()
    for text in texts:
        json.loads(text)
    return " ".join(text.removeprefix('{"a":').removesuffix("}") for text in texts)


@pytest.mark.parametrize(
    ("values", "kind", "text"),
    [
        ([True, False, None], None, "true false null"),
        ([-(2**63), 2**63 - 1], pa.int64(), "-9223372036854775808 9223372036854775807"),
        ([2**64 - 1], pa.uint64(), "18446744073709551615"),
        ([1.0, -0.5, 1e300, 1e-7, 0.1], None, "1.0 -0.5 1e+300 1e-7 0.1"),
        ([0.1, 3.0], pa.float32(), "0.1 3.0"),
        ([NOTHING, float("inf"), -float("inf"), None], None, "null null null null"),
        ([Decimal("1.50"), None], None, '"1.50" null'),
        (
            [Decimal(0), Decimal("-1e-9"), Decimal(12), None],
            pa.decimal128(38, 9),
            '"0.000000000" "-0.000000001" "12.000000000" null',
        ),
        ([0, None], pa.date32(), '"1970-01-01" null'),
        ([86_400_000], pa.date64(), '"1970-01-02"'),
        ([18_900], pa.time32("s"), '"05:15:00"'),
        ([1_500_000, 2_000_000], pa.time64("us"), '"00:00:01.500000" "00:00:02"'),
        ([0, 1_500], pa.timestamp("ms"), '"1970-01-01T00:00:00" "1970-01-01T00:00:01.500"'),
        ([-1_500, None], pa.timestamp("ms", "UTC"), '"1969-12-31T23:59:58.500Z" null'),
        ([3_600], pa.timestamp("s", "Europe/Paris"), '"1970-01-01T01:00:00Z"'),
        ([1_500, -1], pa.duration("ms"), '"PT1.500S" "PT-0.001S"'),
        ([60], pa.duration("s"), '"PT60S"'),
        ([b"a\x00", b"", None], pa.binary(), '"YQA=" "" null'),
        ([b"ab"], pa.binary(2), '"YWI="'),
        ([None], pa.null(), "null"),
        (["x", None], pa.large_string(), '"x" null'),
        (["x", None], pa.string_view(), '"x" null'),
        (["x", None], pa.dictionary(pa.int8(), pa.string()), '"x" null'),
        ([[1, None], [], None], None, "[1,null] [] null"),
        ([[1, 2], None], pa.list_(pa.int8(), 2), "[1,2] null"),
        ([{"x": 1, "y": None}, None], None, '{"x":1,"y":null} null'),
        ([{}, None], pa.struct([]), "{} null"),
        ([[("k", 1)], [], None], pa.map_(pa.string(), pa.int8()), '{"k":1} {} null'),
        ([[(7, 1)]], pa.map_(pa.int8(), pa.int8()), '{"7":1}'),
        (
            [[{"field": "a", "rule": "missing"}], None],
            None,
            '[{"field":"a","rule":"missing"}] null',
        ),
    ],
)
def test_json_has_a_text_for_every_type(values: Any, kind: pa.DataType | None, text: str) -> None:
    assert written(values, kind) == text


def test_every_character_comes_back_from_json() -> None:
    value = "".join(map(chr, range(0x250))) + "\u2028\u2029\ufeff\U0001f600"
    text = objects_of(pa.record_batch({value: [value, "plain"]})).to_pylist()
    assert json.loads(text[0]) == {value: value}


def test_a_part_of_a_batch_is_written_as_such() -> None:
    column = pa.array([[1], [2, 3], None, [4]])
    batch = pa.record_batch({"a": column, "b": pa.array([{"c": at} for at in "wxyz"])})
    assert objects_of(batch.slice(1, 2)).to_pylist() == [
        '{"a":[2,3],"b":{"c":"x"}}',
        '{"a":null,"b":{"c":"y"}}',
    ]


@pytest.mark.parametrize(
    "value", ["", " x", "x\t", "a,b", 'a "b"', "a\nb", "a\r\nb", "\ufeffx", "é", "\\", "\x01"]
)
def test_every_text_comes_back_from_csv(value: str) -> None:
    batch = pa.record_batch({value: [value], "other": ["y"]})
    text = header_of(batch.schema.names).decode() + "".join(lines_of(batch).to_pylist())
    assert list(csv.reader(io.StringIO(text, newline=""))) == [[value, "other"], [value, "y"]]


def test_csv_tells_nothing_from_an_empty_text() -> None:
    batch = pa.record_batch({"a": ["", None], "b": pa.array([None, 1.0])})
    assert lines_of(batch).to_pylist() == ['"",\n', ",1.0\n"]


def test_a_single_column_with_nothing_in_it_is_still_a_row() -> None:
    assert lines_of(pa.record_batch({"a": pa.array([None, 1])})).to_pylist() == ['""\n', "1\n"]


def test_csv_holds_lists_and_structs_as_json() -> None:
    batch = pa.record_batch({"a": [[{"field": "x", "rule": "missing"}], None], "b": [1, 2]})
    assert lines_of(batch).to_pylist() == [
        '"[{""field"":""x"",""rule"":""missing""}]",1\n',
        ",2\n",
    ]
