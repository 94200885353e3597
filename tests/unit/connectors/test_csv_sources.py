"""CSV in: what it takes, and where rows come from."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pyarrow as pa
import pytest
from connector_world import FLIGHT, batches, in_blocks, rows, source, table


def write(root: Path, text: str | bytes, name: str = "a.csv") -> None:
    (root / name).write_bytes(text.encode() if isinstance(text, str) else text)


def test_rows_know_their_file_and_their_place_in_it(tmp_path: Path) -> None:
    write(tmp_path, "n\n" + "1\n" * 70_000, "a.csv")
    write(tmp_path, "n\n2\n3\n", "b.csv")
    found = [
        (batch.origin, batch.row, batch.data.num_rows)
        for batch in batches(source("*.csv"), tmp_path)
    ]
    assert found == [("a.csv", 0, 65_536), ("a.csv", 65_536, 4_464), ("b.csv", 0, 2)]


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,x\n2,y\n",
        "a,b\n1,x\n2,y",
        "a,b\r\n1,x\r\n2,y\r\n",
        "\ufeffa,b\n1,x\n2,y\n",
        "\n\na,b\n1,x\n\n2,y\n\n",
        '"a","b"\n"1","x"\n"2",y\n',
        '\ufeff"a",b\n1,x\n2,y\n',
    ],
)
def test_line_ends_quotes_a_mark_and_empty_lines_change_nothing(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    assert rows(source("a.csv"), tmp_path) == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


def test_a_quoted_value_may_hold_line_ends_quotes_and_delimiters(tmp_path: Path) -> None:
    write(tmp_path, 'a,b\n"one\ntwo, ""three""\r\n",1\n6" pipe,2\n')
    assert rows(source("a.csv"), tmp_path) == [
        {"a": 'one\ntwo, "three"\r\n', "b": 1},
        {"a": '6" pipe', "b": 2},
    ]


def test_a_header_alone_gives_its_columns_and_no_rows(tmp_path: Path) -> None:
    write(tmp_path, "a,b\n")
    found = table(source("a.csv"), tmp_path)
    assert (found.num_rows, found.column_names) == (0, ["a", "b"])


def test_a_file_without_rows_among_others_is_nothing(tmp_path: Path) -> None:
    write(tmp_path, "a\n", "a.csv")
    write(tmp_path, "a\n1\n", "b.csv")
    assert [batch.origin for batch in batches(source("*.csv"), tmp_path)] == ["b.csv"]
    assert table(source("*.csv"), tmp_path).schema.types == [pa.int64()]


def test_null_tokens_mean_nothing_in_every_column(tmp_path: Path) -> None:
    write(tmp_path, 'a,b\n1,NA\nNA,x\n"NA",\n')
    assert rows(source("a.csv", nulls=("NA",)), tmp_path) == [
        {"a": 1, "b": None},
        {"a": None, "b": "x"},
        {"a": None, "b": ""},
    ]


def test_without_the_empty_token_an_empty_value_is_text(tmp_path: Path) -> None:
    write(tmp_path, "a,b\n1,x\n,y\n")
    assert rows(source("a.csv", nulls=("NA",)), tmp_path) == [
        {"a": "1", "b": "x"},
        {"a": "", "b": "y"},
    ]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_any_character_may_separate_values(tmp_path: Path, delimiter: str) -> None:
    write(tmp_path, delimiter.join("ab") + "\n" + delimiter.join(["1,5", "x"]) + "\n")
    assert rows(source("a.csv", delimiter=delimiter), tmp_path) == [{"a": "1,5", "b": "x"}]


def test_files_of_a_glob_may_order_their_columns_differently(tmp_path: Path) -> None:
    write(tmp_path, "a,b\n1,x\n", "1.csv")
    write(tmp_path, "b,a\ny,2\n", "2.csv")
    assert rows(source("?.csv"), tmp_path) == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


def test_blocks_of_any_size_give_the_same_rows(tmp_path: Path) -> None:
    write(tmp_path, "a,b\n" + "".join(f'{at},"x\n{at}"\n' for at in range(200)))
    whole = in_blocks(source("a.csv"), tmp_path)[0]
    for size in (8, 17, 64, 500):
        assert pa.concat_tables(in_blocks(source("a.csv"), tmp_path, size)).equals(
            whole.combine_chunks()
        )


def test_members_that_follow_each_other_in_an_archive_are_one_file(tmp_path: Path) -> None:
    write(tmp_path, gzip.compress(b"a\n1\n") + gzip.compress(b"2\n"), "a.csv.gz")
    assert rows(source("a.csv.gz"), tmp_path) == [{"a": 1}, {"a": 2}]


def test_standard_input_is_read_once_through(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"a\n1\n2\n")
    os.close(writer)
    try:
        found = batches(source("-"), tmp_path, stdin_fd=reader)
    finally:
        os.close(reader)
    assert [(one.origin, one.data.num_rows) for one in found] == [("standard input", 2)]


class TestWithoutAContract:
    @pytest.mark.parametrize(
        ("values", "kind"),
        [
            (["1", "-2"], pa.int64()),
            (["1", "2.5"], pa.float64()),
            (["1e3", "2"], pa.float64()),
            (["true", "false"], pa.bool_()),
            (["2013-01-01", ""], pa.date32()),
            (["2013-01-01T05:00:00", "2013-01-01 06:00:00.5"], pa.timestamp("us")),
            (["2013-01-01T05:00:00Z"], pa.timestamp("us", "UTC")),
            (["007", "8"], pa.string()),
            (["-01.5", "8"], pa.string()),
            (["12345678901234567890"], pa.string()),
            (["05:15"], pa.string()),
            (["", ""], pa.string()),
            (["1", "x"], pa.string()),
            (["0", "true"], pa.string()),
        ],
    )
    def test_a_type_is_guessed_only_where_it_loses_nothing(
        self, tmp_path: Path, values: list[str], kind: pa.DataType
    ) -> None:
        write(tmp_path, "a,b\n" + "".join(f"{value},x\n" for value in values))
        assert table(source("a.csv"), tmp_path).schema.field("a").type == kind


class TestWithAContract:
    def test_columns_have_the_contracts_narrow_types(self, tmp_path: Path) -> None:
        write(tmp_path, "number,carrier,more\n1,UA,7\n")
        found = table(source("a.csv", contract=FLIGHT), tmp_path)
        assert found.schema.types == [pa.int8(), pa.string(), pa.string()]

    def test_a_column_that_does_not_parse_is_text_in_its_block_only(self, tmp_path: Path) -> None:
        write(tmp_path, "number,carrier\n" + "1,UA\n" * 40 + "x,UA\n" + "2,AA\n" * 200)
        found = in_blocks(source("a.csv", contract=FLIGHT), tmp_path, 100)
        kinds = [one.schema.field("number").type for one in found]
        assert kinds.count(pa.string()) < len(kinds) / 2
        assert sum(one.num_rows for one in found) == 241
        values = [value for one in found for value in one["number"].to_pylist()]
        assert "x" in values
        assert [int(value) for value in values if value != "x"] == [1] * 40 + [2] * 200

    def test_what_a_narrow_type_cannot_hold_stays_as_it_was_written(self, tmp_path: Path) -> None:
        write(tmp_path, "number,carrier\n300,UA\n 5,AA\n")
        assert rows(source("a.csv", contract=FLIGHT), tmp_path) == [
            {"number": "300", "carrier": "UA"},
            {"number": " 5", "carrier": "AA"},
        ]

    def test_a_number_in_base_16_is_no_number(self, tmp_path: Path) -> None:
        write(tmp_path, "number,carrier\n0x1F,UA\n")
        assert rows(source("a.csv", contract=FLIGHT), tmp_path)[0]["number"] == "0x1F"

    def test_more_columns_in_a_later_file_do_not_matter(self, tmp_path: Path) -> None:
        write(tmp_path, "number,carrier\n1,UA\n", "1.csv")
        write(tmp_path, "more,carrier,number\n9,AA,2\n", "2.csv")
        assert rows(source("?.csv", contract=FLIGHT), tmp_path) == [
            {"number": 1, "carrier": "UA"},
            {"number": 2, "carrier": "AA"},
        ]
