"""The main job on its real input: every flight that left New York in 2013, and what people ask about the run afterwards.

The input is fetched by `make test`; the example is copied, so that a test's outputs are not the user's.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest
from runi_project import Project, Said

EXAMPLE = Path(__file__).parents[2] / "examples/flights"


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Project:
    root = tmp_path_factory.mktemp("flights") / "flights"
    ignored = shutil.ignore_patterns("out", ".runink")
    shutil.copytree(EXAMPLE, root, ignore=ignored)
    assert (root / "data/flights.csv").exists(), "make test fetches it"
    return Project(root)


@pytest.fixture(scope="module")
def ran(flights: Project) -> Said:
    return flights.run("features/flights.dsl")


def test_the_counts_are_those_of_the_real_flights(ran: Said):
    assert ran.code == 0, ran
    steps = {step["name"]: step for step in ran.document["steps"]}
    assert (steps["bronze"]["rows_in"], steps["bronze"]["rows_out"]) == (336_776, 328_521)
    assert steps["bronze"]["rejected"] == 8_255
    assert (steps["silver"]["rows_in"], steps["silver"]["rows_out"]) == (328_521, 328_521)
    assert (steps["gold"]["rows_in"], steps["gold"]["rows_out"]) == (328_521, 185)


def test_what_was_published_holds_those_rows(flights: Project, ran: Said):
    def count(path: str, what: str = "count(*)") -> int:
        with duckdb.connect() as connection:
            rows = connection.execute(f"SELECT {what} FROM '{flights.root / path}'").fetchall()
        return rows[0][0]

    assert count("out/bronze/flights.parquet") == 328_521
    assert count("out/silver/flights.parquet") == 328_521
    assert count("out/gold/delays.parquet") == 185
    assert count("out/gold/delays.parquet", "sum(flights)") == 328_521
    assert count("out/gold/delays.parquet", "count(DISTINCT airline)") == 16
    assert count("out/dead/flights.jsonl") == 8_255


def test_a_rerun_gives_the_same_bytes(flights: Project, ran: Said):
    again = flights.run("features/flights.dsl")
    first = {one["uri"]: one["sha256"] for one in ran.document["outputs"]}
    second = {one["uri"]: one["sha256"] for one in again.document["outputs"]}
    dead = "jsonl://out/dead/flights.jsonl"  # it names its run
    assert {uri for uri in first if first[uri] != second[uri]} <= {dead}


def test_the_terminal_shows_what_came_of_it(flights: Project, ran: Said):
    said = flights.runi("run", "features/flights.dsl")
    assert said.code == 0
    for words in (
        "flights · herd analytics · run ",
        "336,776 in",
        "328,521 out",
        "8,255 rejected: ",
        "dep_time is missing 8,255",
        "dep_delay is missing 8,255",
        "out/gold/delays.parquet",
        "185 rows",
        "next: runi lineage ",
    ):
        assert words in said.out, said.out


def test_lineage_logs_and_explain_work_on_the_run_just_made(flights: Project, ran: Said):
    run = ran.document["run"]
    lineage = flights.runi("lineage", run)
    assert lineage.code == 0
    assert "336,776" in lineage.out
    assert "Flight 1.0.0" in lineage.out
    assert "staged in this run" in lineage.out
    assert flights.runi("logs", run[:12]).code == 0
    explained = flights.runi("explain", "features/flights.dsl")
    assert explained.code == 0
    assert "the airport's own schedule" in explained.out
    assert "not enforced" in explained.out


def test_the_rejected_rows_are_shown_with_their_reasons_and_their_place(
    flights: Project, ran: Said
):
    shown = flights.runi("dead", "show", ran.document["run"], "--limit", "2")
    assert shown.code == 0, shown
    assert "data/flights.csv" in shown.out
    assert "dep_time is missing" in shown.out


def test_the_goldens_hold(flights: Project, ran: Said):
    said = flights.runi("test", "features/flights.dsl")
    assert said.code == 0, said
    assert "ok" in said.out


def test_a_golden_that_differs_is_told_by_its_rows(flights: Project, ran: Said):
    golden = flights.root / "golden/delays.csv"
    kept = golden.read_text()
    lines = kept.splitlines(keepends=True)
    try:
        golden.write_text("".join(lines[:-1]))
        said = flights.runi("test", "features/flights.dsl")
        assert said.code == 1, said
        assert "golden/delays.csv" in said.out
        assert flights.runi("test", "features/flights.dsl", "--update").code == 0
        assert flights.runi("test", "features/flights.dsl").code == 0
    finally:
        golden.write_text(kept)
