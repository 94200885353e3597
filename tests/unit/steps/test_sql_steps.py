"""SQL over a stream: one query, streamed where it can be, seeing nothing but its tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from runink.errors import Refused
from runink.pipes.batch import Batch
from runink.steps.sql import MEMORY_BYTES_MIN, Limits, SqlRun

ROWS = 20_000
FLIGHTS = pa.table(
    {
        "n": pa.array(range(ROWS), pa.int32()),
        "carrier": pa.array([("UA", "DL", "B6")[n % 3] for n in range(ROWS)]),
        "delay": pa.array([None if n % 50 == 0 else n % 90 for n in range(ROWS)], pa.int16()),
    }
)
AIRLINES = pa.table({"carrier": ["UA", "DL"], "airline": ["United", "Delta"]})


def stream(size: int, *, fails_at: int = -1) -> Iterator[Batch]:
    for number, batch in enumerate(FLIGHTS.to_batches(max_chunksize=size)):
        if number == fails_at:
            raise LookupError("the source broke")
        yield Batch(batch, "data/flights.csv", number * size)


def started(query: str, scratch: Path, threads: int = 1) -> SqlRun:
    return SqlRun(query, what="step gold", limits=Limits(threads, 0, scratch))


def answer(query: str, scratch: Path, *, size: int = 1000, threads: int = 1) -> pa.Table:
    run = started(query, scratch, threads)
    return pa.Table.from_batches(run.batches(stream(size), {"airlines": AIRLINES}))


@pytest.mark.parametrize(
    "query",
    [
        "SELECT carrier, count(*) AS flights, sum(delay) AS delay FROM input GROUP BY ALL ORDER BY ALL",
        "SELECT n, airline FROM input LEFT JOIN airlines USING (carrier) WHERE delay > 60",
        "SELECT count(*) AS pairs FROM input a JOIN input b ON a.n = b.n + 1",
        "SELECT n, lag(delay) OVER (ORDER BY n) AS earlier FROM input ORDER BY n",
        "PIVOT input ON carrier USING count(*) GROUP BY delay ORDER BY delay",
        "FROM input;",
        "SELECT max(n) AS last FROM input -- a remark",
    ],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_tiny_batches_give_the_answer_of_one(query: str, threads: int, tmp_path: Path) -> None:
    tiny = answer(query, tmp_path, size=1000, threads=threads)
    whole = answer(query, tmp_path, size=ROWS)
    assert tiny.num_rows > 0
    assert tiny.schema == whole.schema
    if threads == 1 or "ORDER BY" in query:
        assert tiny.equals(whole)
    else:  # two threads give the rows in any order, as SQL allows
        assert sorted(map(str, tiny.to_pylist())) == sorted(map(str, whole.to_pylist()))


def test_a_query_without_a_sort_streams(tmp_path: Path) -> None:
    pulled: list[int] = []

    def watched() -> Iterator[Batch]:
        for number in range(300):
            pulled.append(number)
            yield Batch(pa.record_batch({"n": pa.array(range(10_000))}), "f", number * 10_000)

    output = started("SELECT n + 1 AS n FROM input", tmp_path).batches(watched(), {})
    next(output)
    assert len(pulled) < 150
    output.close()


def test_sums_of_whole_numbers_are_whole_numbers(tmp_path: Path) -> None:
    assert answer("SELECT sum(n) AS total FROM input", tmp_path).schema.types == [pa.int64()]


def test_a_sum_beyond_64_bits_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="beyond 64 bits") as caught:
        answer("SELECT sum(n::HUGEINT * 1000000000000000000) AS total FROM input", tmp_path)
    assert caught.value.hint == "choose a type for it: CAST(total AS DOUBLE)"


def test_an_empty_result_has_its_columns(tmp_path: Path) -> None:
    empty = answer("SELECT carrier, sum(n) AS total FROM input WHERE false GROUP BY ALL", tmp_path)
    assert empty.num_rows == 0
    assert empty.schema == pa.schema([("carrier", pa.string()), ("total", pa.int64())])


def test_an_empty_input_is_a_table_without_rows(tmp_path: Path) -> None:
    empty = Batch(FLIGHTS.to_batches()[0].slice(0, 0), "data/flights.csv", 0)
    run = started("SELECT count(*) AS n FROM input", tmp_path)
    assert pa.Table.from_batches(run.batches([empty], {})).to_pylist() == [{"n": 0}]


def test_an_error_of_the_stream_comes_as_it_was(tmp_path: Path) -> None:
    for query in ("SELECT count(*) AS n FROM input", "SELECT * FROM input"):
        for fails_at in (0, 5):
            with pytest.raises(LookupError, match="the source broke"):
                list(started(query, tmp_path).batches(stream(1000, fails_at=fails_at), {}))


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("SELEC 1", "Parser Error"),
        ("SELECT nope FROM input", "nope"),
        ("SELECT carrier::INT FROM input", "Could not convert"),
        ("SELECT n, n FROM input", "two columns called 'n'"),
        ("SELECT 1; SELECT 2", "SELECT, SELECT"),
        ("CREATE TABLE t AS SELECT 1", "CREATE"),
        ("SET threads = 9", "SET"),
        ("", "nothing"),
    ],
)
def test_a_bad_query_is_refused_with_the_engines_message(query, told, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"^step gold") as caught:
        answer(query, tmp_path)
    assert told in caught.value.text
    assert "EXPLAIN" not in caught.value.text


def test_the_error_shows_the_query(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="in the query: SELECT nope FROM input"):
        answer("SELECT nope FROM input", tmp_path)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('{file}')",
        "SELECT * FROM '{file}'",
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM AIRLINES_OF_PYTHON",
    ],
)
def test_a_query_sees_no_files_and_no_variables(query: str, tmp_path: Path) -> None:
    AIRLINES_OF_PYTHON = AIRLINES  # noqa: F841, N806 - DuckDB would find it if it were let
    file = tmp_path / "secret.csv"
    file.write_text("a\n1\n")
    with pytest.raises(Refused):
        answer(query.format(file=file), tmp_path)


def test_a_query_spills_to_the_scratch_folder(tmp_path: Path) -> None:
    run = started("SELECT value FROM duckdb_settings() WHERE name = 'temp_directory'", tmp_path)
    assert pa.Table.from_batches(run.batches(None, {})).to_pylist() == [
        {"value": str(tmp_path / "duckdb")}
    ]


def test_an_engine_that_is_held_to_its_memory_leaves_room_for_what_it_does_not_count(
    tmp_path: Path,
) -> None:
    assert Limits(1, 400 << 20, tmp_path, is_hard=True).engine_bytes == 200 << 20
    assert Limits(1, 400 << 20, tmp_path).engine_bytes == 400 << 20
    assert Limits(1, 64 << 20, tmp_path).engine_bytes == MEMORY_BYTES_MIN


def test_a_query_without_memory_is_refused_as_that(tmp_path: Path) -> None:
    limits = Limits(1, 4 << 20, tmp_path, is_hard=True)
    query = "SELECT list(number) AS all_of_them FROM range(10_000_000) t(number), input"
    run = SqlRun(query, what="step gold", limits=limits)
    with pytest.raises(Refused) as caught:
        list(run.batches(stream(1000), {"airlines": AIRLINES}))
    assert caught.value.code == "out_of_memory"
    assert "@requires(memory=" in caught.value.hint
