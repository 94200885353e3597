"""What stands at the end of a run: lines for people, a document for programs."""

from __future__ import annotations

import pytest
from cli_world import FIGURES, PREPARED, a_dag, a_failure, a_run, a_slice, a_view, said
from msgspec.structs import replace as changed
from runink.cli.summary import failure_lines, summary
from runink.clients.run_documents import run_document as document
from runink.dag import Limit, Limits
from runink.errors import WireError
from runink.runs.figures import Figures
from runink.runs.records import Exit, Printed, RunState, SliceState


def test_a_run_that_succeeded_names_what_came_in_and_what_was_written():
    assert said(a_view()).splitlines() == [
        "p · herd default · run 01M8945NT298" + "succeeded in 2.5 s".rjust(65),
        "  one     csv → Row → parquet                          3 in           2 out         1 rejected     0.7 s",
        "  second  csv                                          2 in           2 out                        0.0 s",
        "  1 rejected: a is missing 1",
        "  out/o.parquet                             2 rows, 9 KB",
        "  out/second.csv                            1 row, 1 B",
        "  out/dead.jsonl                            1 row    look at them: runi dead show 01M8945NT298",
        "next: runi lineage 01M8945NT298 · runi explain features/p.dsl · runi logs 01M8945NT298",
    ]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140])
def test_lines_fit_the_terminal(width: int):
    assert all(len(line) <= max(width, 52) for line in said(a_view(), width).splitlines())


def test_in_a_narrow_terminal_a_scenario_has_two_lines():
    lines = said(a_view(), 60).splitlines()
    assert lines[1:3] == [
        "  one  csv → Row → parquet",
        "    3 in · 2 out · 1 rejected · 0.7 s",
    ]


def test_the_commands_to_go_on_with_can_be_copied_into_a_shell():
    dag = changed(a_dag(), file="features/my flights.dsl")
    lines = "\n".join(summary(a_view(), dag, width=140))
    assert "runi explain 'features/my flights.dsl'" in lines


def test_the_rate_is_told_from_a_thousand_rows_a_second_on():
    def rate(rows: int) -> str:
        return said(a_view(figures=(Figures("one", rows, rows, 0, 1.0),))).splitlines()[1]

    assert rate(999).endswith("1.0 s")
    assert rate(480_000).endswith("1.0 s   480k rows/s")
    assert rate(1_500_000).endswith("1.0 s   1.5M rows/s")


def test_the_commonest_reasons_come_first_and_the_rest_is_counted():
    reason = FIGURES[0].reasons[0]
    reasons = tuple(changed(reason, text=f"r{n}", rows=n) for n in range(1, 9))
    figures = (changed(FIGURES[0], rejected=36, reasons=reasons),)
    assert "  36 rejected: r8 8 · r7 7 · r6 6 · r5 5 · r4 4 · r3 3 · 2 more reasons\n" in said(
        a_view(figures=figures)
    )


def test_a_dead_letter_without_rows_is_nothing_to_look_at():
    record = a_run(prepared=(changed(PREPARED[0], rows=0),))
    assert "look at them" not in said(a_view(record))
    assert "out/dead.jsonl" in said(a_view(record))


def test_a_run_that_failed_says_why_and_names_no_output():
    failure = a_failure(
        traceback=('File "steps/s.py", line 3', "    raise ValueError"), position="in.csv row 7"
    )
    text = said(a_view(a_run(RunState.FAILED, prepared=PREPARED, failure=failure)))
    assert "out/o.parquet" not in text
    assert text.splitlines()[-8:] == [
        "",
        "  error[step_raised]: step work raised ValueError: no",
        "    at in.csv row 7",
        '    File "steps/s.py", line 3',
        "        raise ValueError",
        "  help: mend it",
        "",
        "next: runi logs 01M8945NT298 · runi lineage 01M8945NT298",
    ]


def test_the_last_words_of_a_slice_are_told_where_there_is_no_traceback():
    lines = failure_lines(a_failure(log_tail=("one", "two")))
    assert lines[-4:] == ["  last lines of one:", "    one", "    two", ""]
    assert "    one" not in failure_lines(a_failure(log_tail=("one",), traceback=("here",)))


def test_a_text_that_holds_the_traceback_is_not_followed_by_it_again():
    error = WireError("Refused", "step_import_failed", "cannot be imported\n  NameError: pa")
    lines = failure_lines(a_failure(error=error, traceback=("NameError: pa",)))
    assert sum("NameError" in line for line in lines) == 1


def test_a_run_that_was_cancelled_says_that_nothing_was_published():
    error = WireError("Refused", "cancelled", "cancelled", "")
    record = a_run(RunState.CANCELLED, failure=a_failure(error=error))
    text = said(a_view(record, figures=(FIGURES[0], Figures("second", 0, 0, 0, 0.0))))
    assert "  nothing was published\n" in text
    assert "error[" not in text
    assert "not begun" in text


def test_the_document_has_the_promised_keys():
    slices = (
        a_slice("one", SliceState.SUCCEEDED, pid=7, exit=Exit("exited", cpu_s=0.5)),
        a_slice("second", SliceState.PENDING),
    )
    found = document(a_view(slices=slices))
    assert list(found) == [
        "run",
        "pipeline",
        "herd",
        "state",
        "seconds",
        "isolation",
        "steps",
        "outputs",
        "slices",
        "error",
        "resumes",
        "kept_until_ms",
    ]
    assert found["seconds"] == 2.5
    assert found["steps"][0] == {
        "name": "one",
        "rows_in": 3,
        "rows_out": 2,
        "rejected": 1,
        "seconds": 0.7,
        "drifts": [],
    }
    assert found["outputs"][1] == {
        "uri": "parquet://out/o.parquet",
        "rows": 2,
        "bytes": 9_000,
        "sha256": "ab" * 32,
    }
    assert [one["pid"] for one in found["slices"]] == [7, 0]
    assert found["error"] is None


def test_the_document_of_a_failed_run_has_its_error_and_no_outputs():
    record = a_run(RunState.FAILED, prepared=PREPARED, failure=a_failure(position="in.csv row 7"))
    found = document(a_view(record))
    assert found["outputs"] == []
    assert found["error"]["code"] == "step_raised"
    assert found["error"]["position"] == "in.csv row 7"


def test_the_pipeline_of_these_tests_has_two_scenarios():
    assert [one.id for one in a_dag().scenarios] == ["one", "second"]


def test_a_run_that_succeeded_says_which_of_its_slices_waited_and_for_what():
    slow = a_slice(
        "one",
        SliceState.SUCCEEDED,
        exit=Exit("exited", wall_s=10.0, throttled_s=5.0),
        limits=Limits(cpu=Limit(500, 3)),
        printed=Printed(900_000, slowed_s=2.0),
    )
    found = said(a_view(slices=(slow,))).splitlines()
    assert [line for line in found if "waited" in line] == [
        "  slice one waited 5.0 s of 10.0 s for its 0.5 of a core, limit from @requires in line 3",
        "  slice one waited 2.0 s of 10.0 s to print: 900,000 lines were more than its log takes at a time",
    ]
