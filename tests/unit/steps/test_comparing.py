"""The end of a rehearsal: outputs that were written aside against their golden files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from chain_world import TICKET, MemorySource, World, sink
from msgspec.structs import replace as changed
from runink.contracts.expected import Golden
from runink.dag import Source
from runink.errors import NotFound
from runink.jobs import CompareJob, Done, Failed, Prepared
from runink.steps import comparing
from runink.steps.chain import Cancelled
from runink.steps.comparing import run_compare

ROWS = [{"airline": "AA", "flights": 3}, {"airline": "UA", "flights": 5}]


def prepared(name: str) -> Prepared:
    return Prepared(name, f"parquet://{name}", "file", f"/p/.{name}", f"/p/{name}", "overwrite", 1, 1, "")  # fmt: skip


class Aside(World):
    """Reads what was prepared, and remembers how it was asked for it."""

    def __init__(self, **rows: list[dict[str, Any]]) -> None:
        super().__init__(sources={name: MemorySource(table, 1) for name, table in rows.items()})
        self.asked: list[tuple[Source, tuple[str, ...]]] = []

    def source(
        self, node: Source, *, root: Path, staged: tuple[str, ...], stdin_fd: int | None
    ) -> MemorySource:
        self.asked.append((node, staged))
        return self.sources[node.id]


def job(folder: Path, *goldens: Golden, update: bool = False, without: str = "") -> CompareJob:
    names = dict.fromkeys(golden.sink for golden in goldens)
    kept = tuple(prepared(name) for name in names if name != without)
    return CompareJob(TICKET, str(folder), kept, tuple(map(sink, names)), goldens, update)


def golden(name: str = "out", path: str = "golden/out.csv", **more: Any) -> Golden:
    return Golden("s", name, path, **more)


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_an_output_that_is_its_golden_is_done_and_read_where_it_was_prepared(tmp_path) -> None:
    put(tmp_path, "golden/out.csv", "airline,flights\nAA,3\nUA,5\n")
    world = Aside(out=ROWS)
    assert run_compare(job(tmp_path, golden()), doors=world) == Done()
    node, staged = world.asked[0]
    assert (node.uri, node.format, staged) == ("parquet://out", sink("out").format, ("/p/.out",))
    assert world.sources["out"].closed


def test_a_key_makes_the_order_of_rows_nothing_to_fail_for(tmp_path) -> None:
    put(
        tmp_path,
        "golden/out.jsonl",
        '{"flights": 5, "airline": "UA"}\n{"airline": "AA", "flights": 3}\n',
    )
    by_key = golden(path="golden/out.jsonl", key=("airline",))
    assert run_compare(job(tmp_path, by_key), doors=Aside(out=ROWS)) == Done()


def test_numbers_within_the_tolerance_are_equal(tmp_path) -> None:
    put(tmp_path, "golden/out.csv", "airline,mean\nAA,0.3\n")
    world = Aside(out=[{"airline": "AA", "mean": 0.1 + 0.2}])
    near = golden(key=("airline",), tolerance=1e-9)
    assert run_compare(job(tmp_path, near), doors=world) == Done()
    exact = golden(key=("airline",))
    assert isinstance(run_compare(job(tmp_path, exact), doors=world), Failed)


def test_all_goldens_that_differ_are_told_at_once(tmp_path) -> None:
    put(tmp_path, "golden/out.csv", "airline,flights\nAA,4\nUA,5\n")
    put(tmp_path, "golden/more.csv", "airline,flights\nAA,3\n")
    goldens = (golden(key=("airline",)), golden("more", "golden/more.csv", key=("airline",)))
    failed = run_compare(job(tmp_path, *goldens), doors=Aside(out=ROWS, more=ROWS))
    assert isinstance(failed, Failed)
    assert (failed.step, failed.error.kind, failed.error.code) == (
        "out",
        "Refused",
        "golden_differs",
    )
    for told in ("golden/out.csv", "golden/more.csv", "AA", "UA", "flights"):
        assert told in failed.error.text
    assert "runi test --update" in failed.error.hint


def test_many_differences_are_counted_not_listed(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(comparing, "LINES_MAX", 2)
    put(tmp_path, "golden/out.csv", "airline,flights\nAA,0\nUA,0\nDL,1\n")
    failed = run_compare(job(tmp_path, golden(key=("airline",))), doors=Aside(out=ROWS))
    assert isinstance(failed, Failed)
    assert len(failed.error.text.splitlines()) == 3
    assert "more lines" in failed.error.text


def test_update_writes_the_golden_and_the_next_rehearsal_is_done(tmp_path) -> None:
    by_key = golden(key=("airline",))
    assert run_compare(job(tmp_path, by_key, update=True), doors=Aside(out=ROWS[::-1])) == Done()
    assert (tmp_path / "golden/out.csv").read_text() == '"airline","flights"\n"AA",3\n"UA",5\n'
    assert run_compare(job(tmp_path, by_key), doors=Aside(out=ROWS)) == Done()


def test_a_missing_golden_says_how_to_make_it(tmp_path) -> None:
    failed = run_compare(job(tmp_path, golden()), doors=Aside(out=ROWS))
    assert isinstance(failed, Failed)
    assert (failed.error.code, failed.step) == ("golden_missing", "out")
    assert "runi test --update" in failed.error.hint


def test_a_golden_that_is_missing_hides_no_difference_of_another(tmp_path) -> None:
    put(tmp_path, "golden/more.csv", "airline,flights\nAA,3\n")
    goldens = (golden(), golden("more", "golden/more.csv", key=("airline",)))
    failed = run_compare(job(tmp_path, *goldens), doors=Aside(out=ROWS, more=ROWS))
    assert isinstance(failed, Failed)
    assert failed.error.code == "golden_differs"
    assert "golden/out.csv cannot be compared" in failed.error.text
    missing, differing = failed.goldens
    assert missing.error is not None
    assert (missing.path, missing.error.code) == ("golden/out.csv", "golden_missing")
    assert differing.differences is not None
    assert (differing.sink, differing.differences.unexpected) == ("more", 1)


def test_what_no_two_runs_have_alike_is_left_out_of_the_golden_of_a_dead_letter(tmp_path) -> None:
    letter = changed(sink("out"), dead_letter=True)
    rows = [{"id": 1, "dead_run": "A"}]
    update = changed(job(tmp_path, golden(), update=True), sinks=(letter,))
    assert run_compare(update, doors=Aside(out=rows)) == Done()
    assert (tmp_path / "golden/out.csv").read_text() == '"id"\n1\n'
    again = changed(job(tmp_path, golden()), sinks=(letter,))
    assert run_compare(again, doors=Aside(out=[{"id": 1, "dead_run": "B"}])) == Done()


def test_fields_that_are_ignored_are_neither_compared_nor_written(tmp_path) -> None:
    ignoring = golden(ignore=("at",))
    stamped = [{"airline": "AA", "at": 1}]
    assert run_compare(job(tmp_path, ignoring, update=True), doors=Aside(out=stamped)) == Done()
    assert (tmp_path / "golden/out.csv").read_text() == '"airline"\n"AA"\n'
    later = [{"airline": "AA", "at": 2}]
    assert run_compare(job(tmp_path, ignoring), doors=Aside(out=later)) == Done()


def test_an_output_that_keeps_nothing_cannot_be_compared(tmp_path) -> None:
    failed = run_compare(job(tmp_path, golden(), without="out"), doors=Aside(out=ROWS))
    assert isinstance(failed, Failed)
    assert failed.error.code == "golden_no_output"


def test_an_output_too_large_to_hold_is_refused_and_its_reader_closed(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(comparing, "ROWS_MAX", 1)
    world = Aside(out=ROWS)
    failed = run_compare(job(tmp_path, golden()), doors=world)
    assert isinstance(failed, Failed)
    assert failed.error.code == "golden_too_large"
    assert world.sources["out"].closed


@pytest.mark.parametrize("interrupt", [Cancelled("SIGTERM"), KeyboardInterrupt()])
def test_a_cancelled_comparison_says_so(tmp_path, interrupt) -> None:
    world = Aside(out=ROWS)

    def cancel(number: int) -> None:
        raise interrupt

    world.sources["out"].on_batch = cancel
    failed = run_compare(job(tmp_path, golden()), doors=world)
    assert isinstance(failed, Failed)
    assert failed.error.code == "cancelled"


def test_an_output_that_has_gone_is_told(tmp_path) -> None:
    world = Aside(out=ROWS)

    def gone(number: int) -> None:
        raise NotFound("out is gone", code="source_not_found")

    world.sources["out"].on_batch = gone
    failed = run_compare(job(tmp_path, golden()), doors=world)
    assert isinstance(failed, Failed)
    assert (failed.error.code, failed.step) == ("source_not_found", "out")
