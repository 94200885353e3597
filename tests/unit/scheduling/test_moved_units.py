"""What the finish of a plan has moved: told of a gang and of a decision that is made again; and decisions that were finished by a solver that is not here."""

from __future__ import annotations

import sys

import pytest
from msgspec.structs import replace as changed
from runink.errors import Refused
from runink.names import NodeId
from runink.placement.plans import Finish, Plan, Policy, Solver
from runink.placement.solver import decide
from runink.runs.records import SliceRecord, SliceState
from runink.scheduling.decisions import DecisionRecord, recorded
from runink.scheduling.snapshots import POLICY, Tables, policy_for, snapshot_of
from runink.scheduling.why import (
    answer_in_part,
    decided_again,
    decided_in_part,
    decided_now,
    replayed,
)
from slice_tables import N1, N2, RUN, node, one_slice

# The small ones come first and go to n1, the large one to n2; then all of them fit on n2.
SLICES = (one_slice("a", cpu_m=300), one_slice("b", cpu_m=300), one_slice("c", cpu_m=500))
TABLES = Tables((node("n1", cpu_m=1000), node("n2", cpu_m=1100)), slices=SLICES)
UNFINISHED = changed(POLICY, finish=Finish())
SOLVED = changed(POLICY, finish=Finish(256, Solver("1.2.3", rounds=2)))


def made(policy: Policy) -> tuple[Plan, DecisionRecord]:
    plan = decide(snapshot_of(TABLES, now_ms=7, policy=policy))
    return plan, recorded(plan, now_ms=7, policy=policy)


def nodes(plan: Plan) -> set[NodeId]:
    return {node for one in plan.placed for node in one.nodes}


def test_a_gang_that_was_moved_says_where_it_was_to_go_and_what_was_won() -> None:
    decided = decided_now(TABLES, now_ms=7)
    answer = decided.answer(RUN, "a", ["a"])
    assert answer is not None
    assert (answer.stands, answer.nodes) == ("placed", (N2,))
    moved = answer.moved
    assert moved is not None
    assert (moved.nodes, moved.by, moved.more) == ((N1,), "packing", 0)
    assert moved.cost_after < moved.cost_before
    stayed = decided.answer(RUN, "c", ["c"])
    assert stayed is not None
    assert (stayed.nodes, stayed.moved) == ((N2,), None)


def test_a_decision_made_again_is_finished_as_it_was() -> None:
    plan, record = made(POLICY)
    assert nodes(plan) == {N2}
    again = replayed(TABLES, record)
    assert again.digest == again.stored
    assert again.finish == "packed, 256 tries at most"
    assert {one.unit for one in again.moved} == {"r1/a", "r1/b"}
    assert all(one.moved.nodes == (N1,) for one in again.moved)


def test_a_decision_from_before_plans_were_packed_comes_out_as_then() -> None:
    plan, record = made(UNFINISHED)
    assert nodes(plan) == {N1, N2}
    again = replayed(TABLES, record)
    assert again.digest == again.stored
    assert (again.finish, again.moved) == ("as each had its turn", ())


@pytest.fixture
def no_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ortools", None)


def on(one: SliceRecord, name: NodeId) -> SliceRecord:
    return changed(one, state=SliceState.RUNNING, node=name)


def test_a_decision_that_needed_a_solver_is_not_made_up_where_there_is_none(
    no_solver: None,
) -> None:
    _, record = made(POLICY)
    record = changed(record, policy=SOLVED)
    with pytest.raises(Refused) as caught:
        replayed(TABLES, record)
    assert caught.value.code == "solver_missing"
    assert "OR-tools 1.2.3, and here is none" in str(caught.value)
    with pytest.raises(Refused):
        decided_again(TABLES, record)


def test_where_a_slice_stands_is_told_without_the_solver_by_its_own_record(
    no_solver: None,
) -> None:
    _, record = made(POLICY)
    then = decided_in_part(TABLES, changed(record, policy=SOLVED))
    answer = answer_in_part(then, [on(SLICES[0], N1)], "no solver")
    assert answer is not None
    assert (answer.stands, answer.nodes) == ("placed", (N1,))
    assert (answer.moved, answer.parts[0].fitting) == (None, 2)
    assert "no solver" in answer.remark


def test_a_scheduler_packs_and_asks_a_solver_only_where_it_was_told_to(no_solver: None) -> None:
    assert policy_for(0) == POLICY
    with pytest.raises(Refused) as caught:
        policy_for(4)
    assert caught.value.code == "solver_missing"
