"""Decisions on large runs, as much at a time as a transaction takes."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as changed
from run_world import NODE, RUN, RunWorld, staged_dag
from runink.barn.checks import TXN_OPERATIONS_MAX
from runink.dag import Resources
from runink.jobs import Done
from runink.names import HerdName, SliceId
from runink.runs.clearing import Decision
from runink.runs.portions import REPORTS_BYTES_MAX, portion
from runink.runs.records import SliceRecord, SliceState

RECORD = RunWorld(staged_dag("a")).record


def slices_of(gangs: list[int]) -> list[SliceRecord]:
    return [
        SliceRecord(
            SliceId(f"g{gang}-{number}"),
            RUN,
            HerdName("default"),
            f"g{gang}",
            SliceState.PLACED,
            Resources(),
            node=NODE,
        )
        for gang, size in enumerate(gangs)
        for number in range(size)
    ]


@given(
    st.lists(st.integers(1, 400), max_size=12),
    st.sampled_from(["begin", "cancel", "stop"]),
)
def test_portions_are_all_of_it_gangs_whole_and_none_too_much(gangs: list[int], what: str) -> None:
    left = slices_of(gangs)
    done = []
    while left:
        slices = () if what == "stop" else tuple(left)
        stop = () if what == "begin" else tuple(left)
        part = portion(Decision(RECORD, slices=slices, stop=stop))
        assert len(part.slices) + len(part.stop) + 8 <= TXN_OPERATIONS_MAX
        chosen = {one.slice for one in (*part.slices, *part.stop)}
        assert chosen, "it goes on"
        if what == "cancel":
            assert {one.slice for one in part.slices} == {one.slice for one in part.stop}
        if what != "stop":
            for gang in {one.gang for one in left}:
                of_gang = {one.slice for one in left if one.gang == gang}
                assert of_gang <= chosen or not of_gang & chosen
        done += [one for one in left if one.slice in chosen]
        left = [one for one in left if one.slice not in chosen]
    assert len(done) == sum(gangs)


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 700_000)), min_size=1, max_size=8))
def test_portions_have_no_more_bytes_of_reports_than_fit_and_make_up_the_whole(
    gangs: list[tuple[int, int]],
) -> None:
    left = [
        changed(one, report=Done(schemas={"x" * gangs[int(one.gang[1:])][1]: ()}))
        for one in slices_of([size for size, _ in gangs])
    ]
    while left:
        part = portion(Decision(RECORD, slices=tuple(left)))
        bytes_ = sum(len(msgspec.json.encode(one.report)) for one in part.slices)
        assert bytes_ <= REPORTS_BYTES_MAX or len({one.gang for one in part.slices}) == 1
        chosen = {one.slice for one in part.slices}
        assert chosen, "it goes on"
        left = [one for one in left if one.slice not in chosen]


def test_a_decision_that_fits_is_left_as_it_is() -> None:
    records = tuple(slices_of([3, 2]))
    decision = Decision(RECORD, slices=tuple(changed(one, attempt=2) for one in records))
    assert portion(decision) is decision
