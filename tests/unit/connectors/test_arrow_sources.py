"""Parquet and Arrow in: plain types, batches of a bounded size, damage told."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from connector_world import batches, error_of, source, table
from runink.connectors.compression import compressed
from runink.connectors.endings import Compression
from runink.dag import Format
from runink.errors import Invalid

DATA = pa.table({"a": list(range(100)), "s": ["x"] * 100})


def arrow_bytes(data: pa.Table, *, stream: bool = False) -> bytes:
    sink = pa.BufferOutputStream()
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(sink, data.schema) as writer:
        writer.write_table(data)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("stream", [False, True])
def test_an_arrow_file_and_a_stream_are_read_alike(tmp_path: Path, *, stream: bool) -> None:
    (tmp_path / "a.arrow").write_bytes(arrow_bytes(DATA, stream=stream))
    assert table(source("a.arrow", Format.ARROW), tmp_path).equals(DATA)


@pytest.mark.parametrize("stream", [False, True])
def test_arrow_is_read_from_a_pipe(tmp_path: Path, *, stream: bool) -> None:
    reader, writer = os.pipe()
    os.write(writer, arrow_bytes(DATA, stream=stream))
    os.close(writer)
    try:
        assert table(source("-", Format.ARROW), tmp_path, stdin_fd=reader).equals(DATA)
    finally:
        os.close(reader)


def test_arrow_is_read_compressed(tmp_path: Path) -> None:
    with (tmp_path / "a.arrow.zst").open("wb") as file:
        packed = compressed(file, Compression.ZSTD)
        packed.write(arrow_bytes(DATA))
        packed.close()
    assert table(source("a.arrow.zst", Format.ARROW), tmp_path).equals(DATA)


@pytest.mark.parametrize("name", ["a.arrow", "a.arrow.zst"])
def test_a_file_that_was_cut_between_two_batches_is_told(tmp_path: Path, name: str) -> None:
    twice = pa.concat_tables([DATA, DATA])
    whole, half = (arrow_bytes(data, stream=True) for data in (twice, DATA))
    assert whole.startswith(half[:-8])
    with (tmp_path / name).open("wb") as file:
        packed = compressed(file, Compression.ZSTD) if name.endswith(".zst") else file
        packed.write(half[:-8])
        packed.close()
    assert error_of(source(name, Format.ARROW), tmp_path).code == "source_damaged"


def test_what_engines_like_best_becomes_plain(tmp_path: Path) -> None:
    fancy = pa.table(
        {
            "view": pa.array(["x", None], pa.string_view()),
            "large": pa.array(["x", None], pa.large_string()),
            "coded": pa.array(["x", None]).dictionary_encode(),
            "when": pa.array([0, None], pa.timestamp("us", "Etc/UTC")),
            "lists": pa.array([["x"], None], pa.large_list(pa.large_string())),
            "half": pa.array([1.5, None], pa.float32()).cast(pa.float16()),
        }
    ).replace_schema_metadata({"pandas": "{}"})
    (tmp_path / "a.arrow").write_bytes(arrow_bytes(fancy))
    found = table(source("a.arrow", Format.ARROW), tmp_path)
    text = pa.string()
    assert found.schema.types == [
        text,
        text,
        text,
        pa.timestamp("us", "UTC"),
        pa.list_(text),
        pa.float32(),
    ]
    assert found.schema.metadata is None
    assert found.to_pylist() == fancy.to_pylist()


def test_large_row_groups_come_in_small_batches(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": list(range(200_000))}), tmp_path / "a.parquet")
    found = batches(source("a.parquet", Format.PARQUET), tmp_path)
    assert max(one.data.num_rows for one in found) <= 65_536
    assert [one.row for one in found] == [0, 65_536, 131_072, 196_608]


@pytest.mark.parametrize("kind", [Format.PARQUET, Format.ARROW])
def test_wide_rows_come_in_batches_of_a_few_megabytes(tmp_path: Path, kind: Format) -> None:
    wide = pa.table({"a": [os.urandom(1 << 20) for _ in range(24)]})
    if kind is Format.PARQUET:
        pq.write_table(wide, tmp_path / "a")
    else:
        (tmp_path / "a").write_bytes(arrow_bytes(wide))
    found = batches(source("a", kind), tmp_path)
    assert max(one.data.num_rows for one in found) <= 8
    assert sum(one.data.num_rows for one in found) == 24


@pytest.mark.parametrize("kind", [Format.PARQUET, Format.ARROW])
def test_no_rows_have_their_columns(tmp_path: Path, kind: Format) -> None:
    if kind is Format.PARQUET:
        pq.write_table(DATA.slice(0, 0), tmp_path / "a")
    else:
        (tmp_path / "a").write_bytes(arrow_bytes(DATA.slice(0, 0)))
    assert table(source("a", kind), tmp_path).schema.names == ["a", "s"]


@pytest.mark.parametrize("kind", [Format.PARQUET, Format.ARROW])
@pytest.mark.parametrize("data", [b"", b"a,b\n1,2\n" * 50, b"PAR1", b"ARROW1\0\0\xff\xff\xff\xff"])
def test_what_is_no_such_file_is_told(tmp_path: Path, kind: Format, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    error = error_of(source("a", kind), tmp_path)
    assert error.code == ("source_damaged" if data else "source_empty")
    assert error.hint


@pytest.mark.parametrize("kind", [Format.PARQUET, Format.ARROW])
def test_a_file_that_is_damaged_anywhere_is_read_or_told(tmp_path: Path, kind: Format) -> None:
    if kind is Format.PARQUET:
        pq.write_table(DATA, tmp_path / "a")
    else:
        (tmp_path / "a").write_bytes(arrow_bytes(DATA))
    whole = (tmp_path / "a").read_bytes()
    told = 0
    for place in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        (tmp_path / "a").write_bytes(bytes(damaged))
        with suppress(Invalid):  # and nothing else
            batches(source("a", kind), tmp_path)
            continue
        told += 1
    assert told


def test_parquet_is_no_pipe_and_not_compressed_again(tmp_path: Path) -> None:
    pq.write_table(DATA, tmp_path / "a.parquet.gz")
    assert error_of(source("a.parquet.gz", Format.PARQUET), tmp_path).code == "source_not_seekable"
    reader, writer = os.pipe()
    os.close(writer)
    try:
        error = error_of(source("-", Format.PARQUET), tmp_path, stdin_fd=reader)
    finally:
        os.close(reader)
    assert error.code == "source_not_seekable"


@pytest.mark.parametrize("kind", [Format.PARQUET, Format.ARROW])
def test_files_of_a_glob_have_one_schema(tmp_path: Path, kind: Format) -> None:
    def put(name: str, data: pa.Table) -> None:
        if kind is Format.PARQUET:
            pq.write_table(data, tmp_path / name)
        else:
            (tmp_path / name).write_bytes(arrow_bytes(data))

    put("1", pa.table({"a": pa.array([1], pa.int64()), "b": ["x"]}))
    put("2", pa.table({"b": ["y"], "a": pa.array([2], pa.int32())}))
    found = table(source("[0-9]", kind), tmp_path)
    assert found.to_pylist() == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    put("3", pa.table({"a": ["z"], "b": ["y"]}))
    error = error_of(source("[0-9]", kind), tmp_path)
    assert error.code == "source_type_changed"
    assert "'a'" in error.text
    put("3", pa.table({"a": [1], "c": ["y"]}))
    assert error_of(source("[0-9]", kind), tmp_path).code == "source_columns"
