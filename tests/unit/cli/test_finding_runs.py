"""Which run is meant, which are forgotten, and how they are listed."""

from __future__ import annotations

import pytest
from cli_world import RUN, a_failure, a_run
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as changed
from runink.cli.client import chosen_run, cut_line
from runink.cli.runs import lines_of, summary_by_record, summary_line
from runink.cli.summary import SHORT_ID, told_apart
from runink.errors import Invalid, NotFound
from runink.names import HerdName, PipelineName, RunId
from runink.runs.records import Occasion, RunRecord, RunState
from runink.runs.retention import forgettable


def named(*names: str, state: RunState = RunState.SUCCEEDED) -> list[RunRecord]:
    return [a_run(state, run=RunId(name.ljust(26, "0"))) for name in names]


def test_a_run_is_named_by_the_beginning_of_its_id_in_any_case():
    records = named("01AB", "01AC", "02")
    assert chosen_run(records, "01ab") is records[0]
    assert chosen_run(records, "02") is records[2]
    assert chosen_run(records, records[1].run) is records[1]


def test_last_is_the_newest_in_whatever_order_they_come():
    records = named("02", "03", "01")
    assert chosen_run(records, "last") is records[1]


def test_a_run_for_a_tick_of_the_past_is_as_new_as_it_is_whatever_its_id_says():
    now, past = a_run(submitted_ms=1, run=RunId("02")), a_run(submitted_ms=2, run=RunId("01"))
    assert chosen_run([now, past], "last") is past
    assert forgettable([past, now], keep=1) == [now]


def test_a_beginning_that_several_have_is_refused_with_their_names():
    records = named(*(f"01{n}" for n in range(7)))
    with pytest.raises(Invalid) as caught:
        chosen_run(records, "01")
    assert caught.value.code == "ambiguous_run"
    assert "7 runs begin with 01" in caught.value.text
    assert records[6].run[:12] in caught.value.text, "the newest are the likeliest"
    assert records[0].run[:12] not in caught.value.text
    assert caught.value.text.endswith("…")


def test_runs_of_one_moment_are_listed_with_as_much_of_their_ids_as_tells_them_apart() -> None:
    tick = "01M8945NT2"
    runs = named(f"{tick}98A", f"{tick}98B", f"{tick}77", "01")
    names = told_apart(one.run for one in runs)
    assert [names[one.run] for one in runs] == [
        f"{tick}98A",
        f"{tick}98B",
        f"{tick}77",
        "010000000000",
    ]
    for one in runs:
        assert chosen_run(runs, names[one.run]) is one
    lines = list(lines_of([summary_by_record(one) for one in runs]))
    assert {line.index(" default ") for line in lines} == {lines[0].index(" default ")}
    assert lines[2].startswith(f"{tick}77   ")


@given(st.lists(st.text("01A", min_size=1, max_size=20), min_size=1, max_size=12, unique=True))
def test_what_a_run_is_listed_as_names_it_and_no_other(beginnings: list[str]) -> None:
    runs = [name.ljust(26, "Z") for name in beginnings]
    for run, name in told_apart(runs).items():
        assert [one for one in runs if one.startswith(name)] == [run]
        assert len(name) >= SHORT_ID


def test_a_beginning_that_runs_of_one_tick_have_is_told_with_what_tells_them_apart() -> None:
    first, second = named("01M8945NT298A", "01M8945NT298B")
    runs = [first, changed(second, pipeline=PipelineName("other"))]
    with pytest.raises(Invalid) as caught:
        chosen_run(runs, "01m8945nt298")
    assert caught.value.text == (
        "2 runs begin with 01m8945nt298: 01M8945NT298B (other of herd default), 01M8945NT298A (p of herd default)"
    )


@pytest.mark.parametrize("beginning", ["ZZ", "", "la"])
def test_a_run_that_is_not_there_is_told(beginning: str):
    with pytest.raises(NotFound) as caught:
        chosen_run(named("01"), beginning)
    assert caught.value.code == "no_such_run"


def test_where_there_are_no_runs_that_is_told():
    with pytest.raises(NotFound) as caught:
        chosen_run([], "last")
    assert caught.value.code == "no_runs"


def test_the_newest_runs_that_are_over_are_kept_and_those_under_way_are_no_matter():
    over = named("01", "03", "05", "07")
    living = named("02", "06", state=RunState.RUNNING)
    assert [one.run[:2] for one in forgettable(living + over, keep=2)] == ["01", "03"]
    assert forgettable(over, keep=4) == []
    assert forgettable(over, keep=0) == over
    assert forgettable(living, keep=0) == []


def test_a_herd_that_keeps_runs_for_a_time_has_them_forgotten_by_age_and_not_by_number() -> None:
    old, young, other = named("01", "02", "03")
    old, young = changed(old, ended_ms=100), changed(young, ended_ms=200)
    other = changed(other, herd=HerdName("other"), ended_ms=1)
    records, kept_ms = [old, young, other], {old.herd: 50}
    assert forgettable(records, keep=0, kept_ms=kept_ms, now_ms=149) == [other]
    assert forgettable(records, keep=1, kept_ms=kept_ms, now_ms=150) == [old]
    assert forgettable(records, keep=9, kept_ms=kept_ms, now_ms=250) == [old, young]
    assert forgettable(records, keep=1, kept_ms={old.herd: 0}, now_ms=250) == [old, young]


def test_a_run_is_not_forgotten_while_one_that_goes_on_from_it_may_still_need_what_it_had() -> None:
    first, second, third = named("01", "02", "03", state=RunState.FAILED)
    second, third = changed(second, resumes=first.run), changed(third, resumes=second.run)
    assert forgettable([first, second, changed(third, state=RunState.RUNNING)], keep=0) == []
    keeps = changed(third, kept_until_ms=1)
    assert forgettable([first, second, keeps], keep=1) == []
    assert forgettable([first, second, keeps], keep=0) == [first, second, keeps]
    assert forgettable([first, second, third], keep=1) == [first, second]


def test_a_run_is_one_line_of_the_list():
    line = told(a_run())
    assert line.startswith(RUN[:12])
    assert line.endswith("succeeded     2.5 s  p · default · features/p.dsl")
    assert told(a_run(RunState.FAILED, failure=a_failure())).endswith("  step_raised")
    waiting = told(a_run(RunState.SUBMITTED, waits_for="a place"))
    assert waiting.endswith("p · default · features/p.dsl  a place")


def test_a_run_that_was_cut_is_told_with_what_became_of_it():
    assert cut_line(a_run(RunState.FAILED, failure=a_failure())) == (
        "run 01M8945NT298 of features/p.dsl: step work raised ValueError: no"
    )
    assert cut_line(a_run()).endswith("was cut, and succeeded now")


def test_a_run_that_a_schedule_made_tells_its_tick():
    line = told(a_run(occasion=Occasion(1_000, 0)))
    assert " · tick 1970-01-01" in line


def test_the_list_says_which_run_goes_on_from_which_and_until_when_one_can_be():
    kept = a_run(RunState.FAILED, kept=("one",), kept_until_ms=1_000)
    assert "can be resumed until 1970-01-01" in told(kept)
    assert "goes on from it" in told(changed(kept, resumed_by=RunId("02".ljust(26, "0"))))
    again = changed(kept, resumes=RunId("02".ljust(26, "0")), restarted="one.clean")
    assert "goes on from 020000000000, again from one.clean" in told(again)


def told(record: RunRecord) -> str:
    return summary_line(summary_by_record(record))
