"""Golden files: what is written is read back, in the output's types, and what cannot be read says so."""

from __future__ import annotations

import decimal
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from runink.contracts.golden import Comparison, compare
from runink.errors import Invalid, NotFound, Refused
from runink.steps import golden_files
from runink.steps.golden_files import read_golden, write_golden

TABLE = pa.table(
    {
        "airline": pa.array(["UA", "", None, 'say "so",\nthen'], pa.string()),
        "month": pa.array([1, 2, None, -4], pa.int8()),
        "delay": pa.array([0.1, 1e300, None, -0.0], pa.float64()),
        "late": pa.array([True, False, None, True]),
        "day": pa.array([date(2013, 1, 1), date(1969, 12, 31), None, date(2024, 2, 29)]),
        "at": pa.array(
            [datetime(2013, 1, 1, 5, 15, tzinfo=UTC), None, None, datetime(1900, 1, 1, tzinfo=UTC)],
            pa.timestamp("us", "UTC"),
        ),
        "price": pa.array(
            [decimal.Decimal("1.50"), decimal.Decimal("-0.01"), None, decimal.Decimal(7)],
            pa.decimal128(10, 2),
        ),
    }
)
NESTED = pa.table({"tags": pa.array([["a", "b"], [], None], pa.list_(pa.string()))})


def written(folder: Path, name: str, body: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(body if isinstance(body, bytes) else body.encode())
    return path


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "ndjson", "parquet", "PARQUET"])
def test_what_is_written_is_read_back_in_the_types_of_the_output(tmp_path, suffix) -> None:
    name = f"golden/out.{suffix}"
    write_golden(tmp_path / name, TABLE, shown=name, key=(), is_ordered=True)
    assert read_golden(tmp_path / name, shown=name, like=TABLE.schema).equals(TABLE)
    assert [path.name for path in (tmp_path / "golden").iterdir()] == [f"out.{suffix}"]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_lists_are_read_back_where_the_form_knows_them(tmp_path, suffix) -> None:
    path = tmp_path / f"out.{suffix}"
    write_golden(path, NESTED, shown=path.name, key=(), is_ordered=True)
    assert read_golden(path, shown=path.name, like=NESTED.schema).equals(NESTED)


def test_a_form_that_does_not_know_a_type_is_refused_and_writes_nothing(tmp_path) -> None:
    path = written(tmp_path, "out.csv", "tags\nold\n")
    with pytest.raises(Refused) as caught:
        write_golden(path, NESTED, shown="out.csv", key=())
    assert caught.value.code == "golden_format"
    assert ".parquet" in caught.value.hint
    assert path.read_text() == "tags\nold\n"


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_an_output_without_rows_makes_a_golden_without_rows(tmp_path, suffix) -> None:
    path = tmp_path / f"out.{suffix}"
    empty = TABLE.slice(0, 0)
    write_golden(path, empty, shown=path.name, key=("airline",))
    assert read_golden(path, shown=path.name, like=TABLE.schema).equals(empty)


def test_rows_are_written_in_the_order_of_their_key(tmp_path) -> None:
    path = tmp_path / "out.csv"
    table = pa.table({"a": ["y", "x", "x"], "n": [1, 3, 2]})
    write_golden(path, table, shown="out.csv", key=("a", "n"))
    assert path.read_text() == '"a","n"\n"x",2\n"x",3\n"y",1\n'


def test_a_missing_golden_says_how_to_make_one(tmp_path) -> None:
    with pytest.raises(NotFound, match=r"no golden file golden/x\.csv") as caught:
        read_golden(tmp_path / "golden/x.csv", shown="golden/x.csv", like=TABLE.schema)
    assert caught.value.code == "golden_missing"
    assert "runi test --update" in caught.value.hint


@pytest.mark.parametrize("name", ["out", "out.xlsx", "out.csv.gz", ".csv"])
def test_a_name_that_does_not_say_its_form_is_refused(tmp_path, name) -> None:
    with pytest.raises(Invalid) as caught:
        read_golden(tmp_path / name, shown=name, like=TABLE.schema)
    assert caught.value.code == "golden_format"


@pytest.mark.parametrize(
    ("name", "body", "told"),
    [
        ("x.csv", "", "empty"),
        ("x.csv", "\n\n", "empty"),
        ("x.csv", "airline,month\nUA\n", "Expected 2 columns"),
        ("x.csv", b"airline\n\xff\xfe\n", "UTF8"),
        ("x.jsonl", '{"month": 1\n', "truncated"),
        ("x.jsonl", "[1]\n", "Expected `object`"),
        ("x.jsonl", b'{"airline": "\xff"}\n', "cannot be read"),
        ("x.parquet", b"PAR1", "cannot be read"),
        ("x.parquet", b"PAR1 and something that is none PAR1", "cannot be read"),
    ],
)
def test_what_cannot_be_read_says_what_is_wrong(tmp_path, name, body, told) -> None:
    path = written(tmp_path, name, body)
    with pytest.raises(Invalid, match=told) as caught:
        read_golden(path, shown=name, like=TABLE.schema)
    assert caught.value.code == "golden_unreadable"
    assert "runi test --update" in caught.value.hint


def test_a_directory_is_no_golden(tmp_path) -> None:
    (tmp_path / "x.csv").mkdir()
    with pytest.raises(Invalid, match="directory"):
        read_golden(tmp_path / "x.csv", shown="x.csv", like=TABLE.schema)


def test_a_huge_golden_is_refused_before_it_is_read(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(golden_files, "GOLDEN_BYTES_MAX", 10)
    path = written(tmp_path, "x.csv", "month\n1234567890\n")
    with pytest.raises(Refused) as caught:
        read_golden(path, shown="x.csv", like=TABLE.schema)
    assert caught.value.code == "golden_too_large"
    with pytest.raises(Refused):
        write_golden(path, TABLE, shown="x.csv", key=())


def test_columns_that_the_output_has_not_stay_what_they_look_like(tmp_path) -> None:
    path = written(tmp_path, "x.csv", "month,other\n1,7\n")
    table = read_golden(path, shown="x.csv", like=TABLE.schema)
    assert table.schema == pa.schema([("month", pa.int8()), ("other", pa.string())])
    path = written(tmp_path, "x.jsonl", '{"other": 7}\n{"month": 1}\n')
    table = read_golden(path, shown="x.jsonl", like=TABLE.schema)
    assert table.to_pylist() == [{"other": 7, "month": None}, {"other": None, "month": 1}]


def test_a_full_disk_leaves_the_old_golden(tmp_path) -> None:
    path = written(tmp_path, "x.csv", "month\n1\n")
    (tmp_path / ".x.csv.new").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        write_golden(path, TABLE, shown="x.csv", key=())
    assert path.read_text() == "month\n1\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.csv"]


def rewritten(path: Path, table: pa.Table, *, key: tuple[str, ...] = ()) -> str:
    write_golden(path, table, shown=path.name, key=key)
    return path.read_text()


def test_a_golden_that_is_written_anew_keeps_the_order_of_its_columns(tmp_path) -> None:
    table = pa.table({"new": [1], "b": ["x"], "a": [2]})
    csv = written(tmp_path, "x.csv", '"a","gone","b"\n')
    assert rewritten(csv, table) == '"a","b","new"\n2,"x",1\n'
    lines = written(tmp_path, "x.jsonl", '{"a":1,"b":"y"}\n')
    assert rewritten(lines, table) == '{"a":2,"b":"x","new":1}\n'
    parquet = tmp_path / "x.parquet"
    write_golden(parquet, table.select(["a", "b"]), shown="x.parquet", key=())
    write_golden(parquet, table, shown="x.parquet", key=())
    assert read_golden(parquet, shown="x.parquet", like=table.schema).column_names == [
        "a",
        "b",
        "new",
    ]


def test_csv_that_people_wrote_without_quotes_stays_without_where_none_are_needed(tmp_path) -> None:
    path = written(tmp_path, "x.csv", "airline,month\n")
    body = rewritten(path, TABLE.select(["airline", "month"]))
    assert body == 'airline,month\n"",2\nUA,1\n"say ""so"",\nthen",-4\n,\n'
    back = read_golden(path, shown="x.csv", like=TABLE.schema)
    assert sorted(map(str, back.to_pylist())) == sorted(
        map(str, TABLE.select(["airline", "month"]).to_pylist())
    )
    path.write_text("airline,month,delay,late,day,at,price\n")
    write_golden(path, TABLE, shown="x.csv", key=(), is_ordered=True)
    assert read_golden(path, shown="x.csv", like=TABLE.schema).equals(TABLE)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_equal_rows_give_equal_files_in_whatever_order_they_come(tmp_path, suffix) -> None:
    one, other = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    write_golden(one, TABLE, shown=one.name, key=())
    write_golden(other, TABLE.take([2, 0, 3, 1]), shown=other.name, key=())
    assert one.read_bytes() == other.read_bytes()


def test_nanoseconds_within_lists_have_an_order(tmp_path) -> None:
    path, kind = tmp_path / "golden.parquet", pa.list_(pa.timestamp("ns"))
    write_golden(path, pa.table({"l": pa.array([[2], [1], None], kind)}), shown=path.name, key=())
    written = pq.read_table(path)["l"]
    assert written.cast(pa.list_(pa.int64())).to_pylist() == [[1], [2], None]


def test_times_and_decimals_within_lists_and_records_are_read_back_from_json(tmp_path) -> None:
    path = tmp_path / "golden.jsonl"
    days = [{"day": date(2013, 1, 31), "at": datetime(2013, 1, 31, 10, tzinfo=UTC)}, None]
    prices = [[decimal.Decimal("1.50"), None], []]
    table = pa.table(
        {
            "r": pa.array(days, pa.struct({"day": pa.date32(), "at": pa.timestamp("us", "UTC")})),
            "l": pa.array(prices, pa.list_(pa.decimal128(5, 2))),
        }
    )
    write_golden(path, table, shown=path.name, key=(), is_ordered=True)
    again = read_golden(path, shown=path.name, like=table.schema)
    assert again.equals(table)
    assert compare(again, table, Comparison(ordered=True)).rows == ()


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_nanoseconds_are_written_and_read_back(tmp_path, suffix) -> None:
    path = tmp_path / f"golden.{suffix}"
    table = pa.table({"t": pa.array([1, 1_000_000_002, None], pa.timestamp("ns"))})
    if suffix != "csv":
        table = table.append_column(
            "l", pa.array([[1], [None], None], pa.list_(pa.timestamp("ns")))
        )
    write_golden(path, table, shown=path.name, key=(), is_ordered=True)
    again = read_golden(path, shown=path.name, like=table.schema)
    assert compare(again, table, Comparison(ordered=True)).rows == ()


def test_nested_values_have_an_order_too(tmp_path) -> None:
    one, other = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    write_golden(one, NESTED, shown=one.name, key=())
    write_golden(other, NESTED.take([2, 1, 0]), shown=other.name, key=("no_such",))
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"\0", b"[1]\n"])
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_an_old_golden_that_cannot_be_read_is_replaced_all_the_same(tmp_path, suffix, body) -> None:
    path = written(tmp_path, f"x.{suffix}", body)
    write_golden(path, TABLE, shown=path.name, key=(), is_ordered=True)
    assert read_golden(path, shown=path.name, like=TABLE.schema).equals(TABLE)


@pytest.mark.parametrize("head", ['"a"\n', "a\n"])
def test_a_row_of_nothing_in_one_column_is_a_row(tmp_path, head) -> None:
    path = written(tmp_path, "x.csv", head)
    table = pa.table({"a": ["x", None, ""]})
    write_golden(path, table, shown="x.csv", key=(), is_ordered=True)
    assert read_golden(path, shown="x.csv", like=table.schema).equals(table)


@pytest.mark.parametrize(
    ("name", "body", "value"),
    [
        ("x.csv", "month\n1.5\n", "1.5"),
        ("x.csv", "month\n1000\n", "1000"),
        ("x.jsonl", '{"month": "May"}\n', "May"),
        ("x.jsonl", '{"month": [1]}\n', "[1]"),
    ],
)
def test_a_value_that_the_output_cannot_hold_is_a_difference_and_no_error(
    tmp_path, name, body, value
) -> None:
    path = written(tmp_path, name, body)
    expected = read_golden(path, shown=name, like=TABLE.schema)
    assert expected.to_pylist() == [{"month": value}]
    actual = pa.table({"month": pa.array([1], pa.int8())})
    assert compare(expected, actual, Comparison()).lines == (
        f"missing: month={value!r}",
        "unexpected: month=1",
    )
