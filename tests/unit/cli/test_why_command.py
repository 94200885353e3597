"""What `runi why` prints: of what waits, of what has its node, of what would be if, and of a decision made again."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner
from msgspec.structs import replace as changed
from runink.cli.why import lines_of, replay_lines, why
from runink.names import HerdName, NodeId, RunId
from runink.scheduling.answers import (
    Candidate,
    Difference,
    GangAnswer,
    MovedFrom,
    MovedUnit,
    PartAnswer,
    PlacedUnit,
    Replayed,
    StoppedUnit,
    WaitingUnit,
    WhyAnswer,
)

RUN = RunId("01KB8Y6ZQ4M8V2N0T5R7W9X1A3")
W1, W2, W3 = NodeId("w1"), NodeId("w2"), NodeId("w3")
MOMENT_MS = 1_796_000_000_000

WAITS = GangAnswer(
    gang="gold",
    slices=("gold.source", "gold.train"),
    stands="waiting",
    text="w1 lacks the label gpu; w2 has cpu 1 of 4 left",
    priority=5,
    counts={"label": 3, "cpu": 2},
    position=2,
    queue=7,
    ahead=("01KA/silver",),
    kept=(W2,),
    kept_ms=MOMENT_MS,
    stops=("01KC/bronze",),
    parts=(PartAnswer({"label": 3, "cpu": 2}, 0, (), ("cpu 1 more free on w2",)),),
    decision=41,
    decided_ms=MOMENT_MS,
)
PLACED = GangAnswer(
    gang="silver",
    slices=("silver",),
    stands="placed",
    nodes=(W1,),
    parts=(
        PartAnswer(
            {"label": 1},
            2,
            (Candidate(W1, 120, {"fit": 120}), Candidate(W2, 720, {"fit": 120, "opening": 600})),
        ),
    ),
    decision=17,
    decided_ms=MOMENT_MS,
)
HELD = GangAnswer("publish", ("@publish",), "held", "it is held back until it is due")


def answer(*gangs: GangAnswer, **fields: Any) -> WhyAnswer:
    return WhyAnswer(RUN, HerdName("analytics"), "running", "", 5, 42, gangs, **fields)


def test_what_a_person_reads_of_gangs_that_wait_have_a_node_or_are_held() -> None:
    assert "\n".join(lines_of(answer(WAITS, PLACED, HELD))) == (
        """\
run 01KB8Y6ZQ4M8 of herd analytics: running
  gold (gold.source, gold.train) waits: w1 lacks the label gpu; w2 has cpu 1 of 4 left
    place 2 of 7 in the queue, behind 01KA/silver, priority 5
    of 5 nodes: label 3, cpu 2
    it would fit with cpu 1 more free on w2
    kept for it: w2, from about 2026-11-30 00:53:20 UTC
    stopped for it: 01KC/bronze
  silver is placed on w1
    decided on revision 17, 2026-11-30 00:53:20 UTC, priority 0
    of 3 nodes: label 1, fits 2
      w1 costs 120 (fit 120), taken
      w2 costs 720 (fit 120, opening 600)
  publish (@publish): it is held back until it is due"""
    )


def test_what_a_solver_has_moved_says_so() -> None:
    moved = MovedFrom((W2, W3), "solver", 900, 1100, more=2)
    *_, last = lines_of(answer(changed(PLACED, moved=moved)))
    assert last == (
        "    it was first to go to w2, then to w3, and the solver moved it before that was done:"
        " what was moved with it cost 900 and costs 1100, and 2 more find a place"
    )


def test_a_run_without_slices_says_what_it_waits_for_itself() -> None:
    found = WhyAnswer(RUN, HerdName("h"), "submitted", "herd h has 10 runs", 5, 42, ())
    assert list(lines_of(found))[1] == "  it has no slices yet: herd h has 10 runs"


def test_what_would_change_is_told_unit_by_unit() -> None:
    changes = (Difference("01KA/silver", "waits: no room", "placed on w9"),)
    told = list(lines_of(answer(if_=("node w9 cpu=8",), differences=changes)))
    assert told[1] == "if node w9 cpu=8"
    assert told[-3:] == ["  01KA/silver", "    now   waits: no room", "    then  placed on w9"]
    told = list(lines_of(answer(if_=("node w9 cpu=8",))))
    assert told[-1] == "  nothing that waits would get another place"


def test_a_decision_made_again_is_printed_whole_and_says_whether_it_is_the_same() -> None:
    found = Replayed(
        revision=17,
        decided_ms=MOMENT_MS,
        seed=0,
        digest="abc",
        stored="abc",
        placed=(PlacedUnit("01KA/a", (W1, W2)),),
        waiting=(WaitingUnit("01KB/b", 1, {"cpu": 2}, "no room"),),
        stopped=(StoppedUnit("01KC/c", "01KB/b"),),
        finish="packed, 256 tries at most",
        moved=(MovedUnit("01KA/a", MovedFrom((W3,), "packing", 1700, 546)),),
    )
    assert list(replay_lines(found)) == [
        "decision on revision 17, 2026-11-30 00:53:20 UTC",
        "  placed   01KA/a on w1, w2",
        "  moved    01KA/a: it was first to go to w3, and packing moved it before that was done: what was moved with it cost 1700 and costs 546",
        "  stopped  01KC/c for 01KB/b",
        "  waits    01KB/b, place 1: cpu 2",
        "finished: packed, 256 tries at most",
        "digest abc, as it was then",
    ]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "name a run, or a revision"),
        (["--replay"], "name a run, or a revision"),
        (["last", "--replay", "x"], "a revision is a number"),
        (["last", "--replay", "--if", "drain w1"], "--if is about now"),
    ],
)
def test_what_cannot_be_meant_is_refused(words: list[str], text: str) -> None:
    done = CliRunner().invoke(why, words)
    assert done.exit_code == 2
    assert text in done.output
