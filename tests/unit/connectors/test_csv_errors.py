"""CSV that is wrong: each mistake is told with its file and line, and a way to mend it."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import pytest
from connector_world import FLIGHT, error_of, in_blocks, rows, source
from runink.connectors import blocks
from runink.errors import Invalid, RuninkError


def failure(root: Path, text: str | bytes, **more: object) -> RuninkError:
    (root / "a.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    error = error_of(source("a.csv", **more), root)
    assert isinstance(error, Invalid)
    assert error.hint
    return error


def test_a_file_of_no_bytes_lacks_its_header(tmp_path: Path) -> None:
    error = failure(tmp_path, "")
    assert error.code == "source_empty"
    assert error.text == "a.csv is empty: a CSV file begins with the names of its columns"


def test_a_file_of_empty_lines_lacks_its_header(tmp_path: Path) -> None:
    assert failure(tmp_path, "\n\n\n").code == "source_empty"


@pytest.mark.parametrize(
    ("record", "columns"), [("3", "1 column"), ("3,4,5", "3 columns"), ('"3\n",4,5', "3 columns")]
)
def test_a_ragged_row_is_told_with_its_line(tmp_path: Path, record: str, columns: str) -> None:
    error = failure(tmp_path, f'a,b\n1,"x\ny"\n\n{record}\n5,6\n')
    assert error.code == "source_ragged"
    assert error.text.startswith(f"a.csv line 5 has {columns}, its header 2: ")


def test_a_ragged_row_behind_a_huge_value_is_told_with_its_line(tmp_path: Path) -> None:
    error = failure(tmp_path, f"a,b\n1,{'x' * 200_000}\n3\n")
    assert error.text.startswith("a.csv line 3 has 1 column, its header 2: ")


def test_a_header_with_a_huge_name_is_read(tmp_path: Path) -> None:
    name = "n" * 200_000
    (tmp_path / "a.csv").write_text(f"{name}\n1\n")
    assert rows(source("a.csv"), tmp_path) == [{name: 1}]


def test_a_ragged_row_in_a_later_block_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n" + "1,2\n" * 500 + "3\n")
    with pytest.raises(Invalid, match=r"a\.csv line 502 has 1 column"):
        in_blocks(source("a.csv"), tmp_path, 64)


def test_a_quote_that_stays_open_swallows_nothing(tmp_path: Path) -> None:
    error = failure(tmp_path, 'a,b\n1,x\n2,"y\n3,z\n')
    assert error.code == "source_open_quote"
    assert "begins in line 3" in error.text


def test_a_quote_that_stays_open_in_the_header_is_told(tmp_path: Path) -> None:
    assert failure(tmp_path, 'a,"b\n1,x\n').code == "source_open_quote"


def test_a_wrong_encoding_is_told_with_line_and_byte(tmp_path: Path) -> None:
    error = failure(tmp_path, "a,b\n1,x\n2,é\n".encode("latin1"))
    assert error.code == "source_not_utf8"
    assert error.text == "a.csv line 3 is no text in UTF-8: byte 0xE9 at byte 10 of the file"
    assert "iconv" in error.hint


def test_a_wrong_encoding_is_told_with_a_contract_too(tmp_path: Path) -> None:
    text = "number,carrier\n1,é\n".encode("latin1")
    assert failure(tmp_path, text, contract=FLIGHT).code == "source_not_utf8"


def test_a_wrong_encoding_in_the_header_is_told(tmp_path: Path) -> None:
    assert failure(tmp_path, "é,b\n1,2\n".encode("latin1")).code == "source_not_utf8"


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (b"a,b\n1,\x00\n", "damaged"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        (b"PK\x03\x04\x14\x00\x00\x00", "zip"),
        (b"PAR1\x15\x00\x15\x00", "parquet://"),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", ".gz"),
        (b"ARROW1\x00\x00", "arrow://"),
    ],
)
def test_what_is_no_text_is_recognised(tmp_path: Path, data: bytes, hint: str) -> None:
    error = failure(tmp_path, data)
    assert error.code == "source_not_text"
    assert hint in error.hint


def test_a_nul_byte_is_told_with_its_line(tmp_path: Path) -> None:
    assert "a.csv line 3 holds a NUL byte" in failure(tmp_path, b"a\n1\n\x002\n").text


def test_a_line_of_200_mb_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    with (tmp_path / "a.csv").open("wb") as file:
        file.write(b"a,b\n1,2\n")
        for _ in range(200):
            file.write(b"x" * (1 << 20))
    tracemalloc.start()
    try:
        error = error_of(source("a.csv"), tmp_path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert error.code == "source_record_too_long"
    assert "line 3" in error.text
    assert peak < 4 * blocks.RECORD_BYTES_MAX


def test_a_column_name_that_stands_twice_is_told(tmp_path: Path) -> None:
    error = failure(tmp_path, "a,b,a\n1,2,3\n")
    assert error.code == "source_columns_twice"
    assert "'a'" in error.text


def test_another_delimiter_is_guessed_for_the_hint(tmp_path: Path) -> None:
    assert "delimiter=';'" in failure(tmp_path, "a;b\n1;2\n").hint


@pytest.mark.parametrize("delimiter", ["", ",,", '"', "\n", "é"])
def test_a_delimiter_that_can_be_none_is_refused(tmp_path: Path, delimiter: str) -> None:
    assert failure(tmp_path, "a,b\n", delimiter=delimiter).code == "source_delimiter"


def test_lines_that_end_with_cr_alone_are_told(tmp_path: Path) -> None:
    assert failure(tmp_path, "a,b\r1,2\r").code == "source_line_ends"


def test_a_column_that_the_contract_needs_is_told_with_what_is_near(tmp_path: Path) -> None:
    error = failure(tmp_path, "Number,carrier\n1,UA\n", contract=FLIGHT)
    assert error.code == "source_columns"
    assert "no column 'number', which contract Flight 1.0.0 needs" in error.text
    assert error.hint == "it has 'Number': is that 'number'?"


def test_a_file_of_a_glob_without_a_column_is_told(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("a,b\n1,2\n")
    (tmp_path / "2.csv").write_text("a,c\n1,2\n")
    error = error_of(source("?.csv"), tmp_path)
    assert error.text == (
        "2.csv has no column 'b' and has the column 'c' besides; 1.csv has 'a', 'b'"
    )


def test_a_later_value_of_another_type_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n" + "1,2\n" * 500 + "1,x\n")
    with pytest.raises(Invalid) as caught:
        in_blocks(source("a.csv"), tmp_path, 64)
    assert caught.value.code == "source_type_changed"
    assert caught.value.text == (
        "a.csv line 502: b is 'x'; in the rows before it was int64 throughout"
    )
    assert "@contract" in caught.value.hint


def test_rows_before_a_mistake_have_been_given(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    assert rows(source("a.csv"), tmp_path) == [{"a": 1, "b": 2}]


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv.zst"])
def test_an_archive_that_is_none_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"a,b\n1,2\n" * 100)
    error = error_of(source(name), tmp_path)
    assert error.code == "source_damaged"
    assert error.text.startswith(f"{name} cannot be decompressed")


def test_an_archive_that_is_cut_is_told(tmp_path: Path) -> None:
    data = gzip.compress(b"a,b\n" + b"1,2\n" * 1000)
    (tmp_path / "a.csv.gz").write_bytes(data[: len(data) // 2])
    assert error_of(source("a.csv.gz"), tmp_path).code == "source_damaged"
