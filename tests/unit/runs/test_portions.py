"""Decisions on large runs, as much at a time as a transaction takes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as changed
from run_world import NODE, RUN, RunWorld, staged_dag
from runink.barn.checks import TXN_OPERATIONS_MAX
from runink.dag import Resources
from runink.names import HerdName, SliceId
from runink.runs.clearing import Decision
from runink.runs.portions import portion
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


def test_a_decision_that_fits_is_left_as_it_is() -> None:
    records = tuple(slices_of([3, 2]))
    decision = Decision(RECORD, slices=tuple(changed(one, attempt=2) for one in records))
    assert portion(decision) is decision
