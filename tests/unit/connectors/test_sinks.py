"""Sinks: what they write, aside and whole, and what they refuse."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from connector_world import MODES, TICKET, batch, names, rows, sink, source, write
from runink.connectors.local_files import told
from runink.connectors.sinks import open_sink
from runink.dag import Format, Mode
from runink.errors import Conflict, Forbidden, Refused, RuninkError, Unavailable
from runink.jobs import Ticket
from runink.names import SliceId

ROWS = batch(a=[1, 2, None], s=["x", 'a "quote"', ""])
FORMATS = [
    (Format.CSV, "a.csv"),
    (Format.CSV, "a.csv.gz"),
    (Format.CSV, "a.csv.zst"),
    (Format.JSONL, "a.jsonl"),
    (Format.JSONL, "a.jsonl.zst"),
    (Format.JSON, "a.json"),
    (Format.PARQUET, "a.parquet"),
    (Format.ARROW, "a.arrow"),
]


def refusal(root: Path, path: str, mode: Mode = Mode.OVERWRITE) -> RuninkError:
    with pytest.raises(RuninkError) as caught:
        open_sink(sink(path, mode=mode), root=root, ticket=TICKET, stdout_fd=None)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(("kind", "name"), FORMATS)
def test_nothing_is_visible_before_it_is_published(tmp_path: Path, kind: Format, name: str) -> None:
    prepared = write(sink(f"out/{name}", kind), tmp_path, ROWS)
    (aside,) = names(tmp_path)
    assert aside.startswith("out/.runink-")
    assert str(tmp_path / aside) == prepared.aside
    assert prepared.target == str(tmp_path / "out" / name)
    assert prepared.rows == 3
    assert prepared.bytes == (tmp_path / aside).stat().st_size


@pytest.mark.parametrize(("kind", "name"), FORMATS)
def test_what_is_prepared_can_be_read_as_staged(tmp_path: Path, kind: Format, name: str) -> None:
    prepared = write(sink(name, kind), tmp_path, ROWS)
    staged = rows(source(name, kind), tmp_path, staged=(prepared.aside,))
    assert [row["a"] for row in staged] == [1, 2, None]


@pytest.mark.parametrize(("kind", "name"), FORMATS)
def test_equal_rows_give_equal_bytes_however_they_come(
    tmp_path: Path, kind: Format, name: str
) -> None:
    whole = batch(a=list(range(100)), f=[at / 4 for at in range(100)], s=["x\n"] * 100)
    parts = [batch(**whole.data.slice(at, 7).to_pydict()) for at in range(0, 100, 7)]
    first = write(sink(name, kind), tmp_path, whole)
    second = write(
        sink(name, kind), tmp_path, *parts, ticket=Ticket(TICKET.run, SliceId("bronze"), 2)
    )
    assert first.sha256 == second.sha256
    assert first.aside != second.aside


@pytest.mark.parametrize(("kind", "name"), FORMATS)
def test_an_aborted_sink_leaves_nothing(tmp_path: Path, kind: Format, name: str) -> None:
    writer = open_sink(sink(name, kind), root=tmp_path, ticket=TICKET, stdout_fd=None)
    writer.write(ROWS)
    writer.abort()
    writer.abort()
    assert names(tmp_path) == []


@pytest.mark.parametrize(("kind", "name"), FORMATS)
def test_no_rows_at_all_make_a_file_too(tmp_path: Path, kind: Format, name: str) -> None:
    assert write(sink(name, kind), tmp_path).rows == 0


def test_csv_is_written_as_people_expect_it(tmp_path: Path) -> None:
    prepared = write(sink("a.csv"), tmp_path, ROWS)
    assert Path(prepared.aside).read_text() == 'a,s\n1,x\n2,"a ""quote"""\n,""\n'


def test_json_lines_are_written_as_people_expect_them(tmp_path: Path) -> None:
    prepared = write(sink("a.jsonl", Format.JSONL), tmp_path, ROWS)
    assert Path(prepared.aside).read_text() == (
        '{"a":1,"s":"x"}\n{"a":2,"s":"a \\"quote\\""}\n{"a":null,"s":""}\n'
    )


@pytest.mark.parametrize("sizes", [[], [0], [3], [1, 0, 2], [0, 3]])
def test_json_is_one_array(tmp_path: Path, sizes: list[int]) -> None:
    given = [batch(a=pa.array(range(size), pa.int64())) for size in sizes]
    prepared = write(sink("a.json", Format.JSON), tmp_path, *given)
    found = json.loads(Path(prepared.aside).read_text())
    assert found == [{"a": at} for size in sizes for at in range(size)]


def test_parquet_has_row_groups_of_a_bounded_size(tmp_path: Path) -> None:
    given = [batch(a=list(range(50_000))) for _ in range(6)]
    prepared = write(sink("a.parquet", Format.PARQUET), tmp_path, *given)
    metadata = pq.read_metadata(prepared.aside)
    groups = [metadata.row_group(at).num_rows for at in range(metadata.num_row_groups)]
    assert groups == [131_072, 131_072, 37_856]


@pytest.mark.parametrize("kind", [Format.PARQUET, Format.ARROW])
def test_a_later_batch_of_another_type_is_fitted_or_told(tmp_path: Path, kind: Format) -> None:
    writer = open_sink(sink("a", kind), root=tmp_path, ticket=TICKET, stdout_fd=None)
    writer.write(batch(a=pa.array([1], pa.int64()), b=["x"]))
    writer.write(batch(b=["x"], a=pa.array([2], pa.int8())))
    for wrong in (batch(a=["z"], b=["x"]), batch(a=[1])):
        with pytest.raises(Refused) as caught:
            writer.write(wrong)
        assert caught.value.code == "sink_schema_changed"
    writer.abort()
    assert names(tmp_path) == []


def test_csv_takes_the_same_columns_in_another_order_and_no_others(tmp_path: Path) -> None:
    writer = open_sink(sink("a.csv"), root=tmp_path, ticket=TICKET, stdout_fd=None)
    writer.write(batch(a=[1], b=["x"]))
    writer.write(batch(b=["y"], a=["text"]))
    with pytest.raises(Refused, match="rows came with the columns a, c"):
        writer.write(batch(a=[1], c=[2]))
    writer.abort()


@pytest.mark.parametrize("mode", MODES)
def test_a_directory_is_told_and_a_folder_that_is_missing_is_made(
    tmp_path: Path, mode: Mode
) -> None:
    (tmp_path / "here").mkdir()
    if mode is Mode.APPEND:
        open_sink(sink("here", mode=mode), root=tmp_path, ticket=TICKET, stdout_fd=None).abort()
    else:
        assert refusal(tmp_path, "here", mode).code in ("sink_is_directory", "sink_exists")
    deep = sink("x/y/z.csv", mode=mode)
    open_sink(deep, root=tmp_path, ticket=TICKET, stdout_fd=None).abort()
    assert (tmp_path / "x" / "y").is_dir()


def test_a_file_is_no_folder_to_append_to(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n")
    assert refusal(tmp_path, "a.csv", Mode.APPEND).code == "sink_is_file"
    assert (tmp_path / "a.csv").read_text() == "a\n1\n"


def test_mode_error_refuses_at_once_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("old")
    assert isinstance(refusal(tmp_path, "a.csv", Mode.ERROR), Conflict)
    assert names(tmp_path) == ["a.csv"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("file/a.csv", "sink_no_folder"),
        ("x" * 300 + ".csv", "sink_name"),
        ("/dev/null", "sink_is_special"),
        ("/dev/full", "sink_is_special"),
    ],
)
def test_a_place_that_takes_no_file_is_told(tmp_path: Path, path: str, code: str) -> None:
    (tmp_path / "file").touch()
    assert refusal(tmp_path, path).code == code
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (errno.ENOSPC, Unavailable, "disk_full"),
        (errno.EDQUOT, Unavailable, "disk_full"),
        (errno.EACCES, Forbidden, "sink_forbidden"),
        (errno.EROFS, Forbidden, "sink_forbidden"),
        (errno.EFBIG, Refused, "sink_too_large"),
        (errno.EIO, Unavailable, "sink_unwritable"),
        (errno.EISDIR, Refused, "sink_is_directory"),
    ],
)
def test_what_the_disk_says_becomes_what_to_do(
    number: int, kind: type[RuninkError], code: str
) -> None:
    error = told(OSError(number, os.strerror(number)), "csv://a.csv")
    assert isinstance(error, kind)
    assert error.code == code
    assert error.hint
    assert error.text == f"csv://a.csv cannot be written: {os.strerror(number)}"


@pytest.fixture
def small_files() -> Iterator[int]:
    """Let this process write files of 64 KiB at most."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, limits[1]))
    yield 65_536
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize(("kind", "name"), FORMATS)
def test_a_file_that_grows_too_large_is_told_and_leaves_nothing(
    tmp_path: Path, small_files: int, kind: Format, name: str
) -> None:
    writer = open_sink(sink(name, kind), root=tmp_path, ticket=TICKET, stdout_fd=None)
    noise = batch(a=[os.urandom(2 * small_files)])

    def fill() -> None:
        writer.write(noise)
        writer.prepare()

    with pytest.raises(RuninkError) as caught:
        fill()
    assert caught.value.code == "sink_too_large"
    writer.abort()
    assert names(tmp_path) == []


class TestStandardOutput:
    @pytest.mark.parametrize("kind", list(Format))
    def test_rows_are_shown_and_nothing_is_to_be_published(
        self, tmp_path: Path, kind: Format
    ) -> None:
        path = tmp_path / "stdout"
        with path.open("wb") as file:
            writer = open_sink(
                sink("-", kind), root=tmp_path, ticket=TICKET, stdout_fd=file.fileno()
            )
            writer.write(ROWS)
            prepared = writer.prepare()
        assert (prepared.kind, prepared.aside, prepared.rows) == ("stream", "", 3)
        assert prepared.bytes == path.stat().st_size
        assert [row["a"] for row in rows(source("stdout", kind), tmp_path)] == [1, 2, None]

    def test_a_reader_that_stopped_is_told(self, tmp_path: Path) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        out = open_sink(sink("-"), root=tmp_path, ticket=TICKET, stdout_fd=writer)
        try:
            with pytest.raises(Refused) as caught:
                out.write(ROWS)
        finally:
            os.close(writer)
        assert caught.value.code == "sink_stdout_closed"

    def test_a_run_without_standard_output_is_told(self, tmp_path: Path) -> None:
        assert refusal(tmp_path, "-").code == "sink_no_stdout"
