"""Counters by labels: a limit on their number, what finds no place is counted all the same, and no sum shrinks."""

from __future__ import annotations

from runink.observe.tallies import HERD_SETS_MAX, IDLE_S, OTHER, VALUE_CHARACTERS_MAX, Tally

NAMES = ("runink_agent_log_lines_total", "runink_agent_log_bytes_total")


def tally(sets_max: int = 4) -> Tally:
    return Tally(NAMES, ("herd", "pipeline"), sets_max=sets_max)


def lines(tally: Tally) -> dict[tuple[str, str], float]:
    return {
        (one.labels["herd"], one.labels["pipeline"]): one.value
        for one in tally.readings()
        if one.name == NAMES[0]
    }


def test_amounts_are_added_by_labels():
    found = tally()
    found.add(("a", "p"), 1, 10, now_s=0.0)
    found.add(("a", "q"), 5, 50, now_s=0.0)
    found.add(("a", "p"), 2, 20, now_s=0.0)
    assert lines(found) == {("a", "p"): 3, ("a", "q"): 5}
    assert [one.value for one in found.readings() if one.name == NAMES[1]] == [50, 30]


def test_what_comes_beyond_the_limit_is_counted_as_other():
    found = tally()
    for number in range(10):
        found.add((f"h{number}", "p"), 1, 1, now_s=0.0)
    found.add(("h0", "p"), 1, 1, now_s=1.0)
    assert lines(found) == {
        ("h0", "p"): 2,
        **{(f"h{number}", "p"): 1 for number in range(1, 4)},
        (OTHER, OTHER): 6,
    }


def test_an_idle_set_is_folded_into_other_and_makes_room():
    found = tally()
    for number in range(4):
        found.add((f"h{number}", "p"), 1, 1, now_s=float(number))
    found.add(("new", "p"), 7, 7, now_s=IDLE_S)
    assert lines(found)["new", "p"] == 7
    assert lines(found)[OTHER, OTHER] == 1
    assert ("h0", "p") not in lines(found)
    found.add(("h0", "p"), 1, 1, now_s=IDLE_S + 0.5)  # h1 is not idle for long enough
    assert lines(found)[OTHER, OTHER] == 2
    assert sum(lines(found).values()) == 12


def test_a_herd_with_many_pipelines_leaves_the_others_theirs():
    found = tally(sets_max=HERD_SETS_MAX + 10)
    for number in range(HERD_SETS_MAX + 50):
        found.add(("greedy", f"p{number}"), 1, 1, now_s=0.0)
    found.add(("modest", "p"), 1, 1, now_s=0.0)
    assert lines(found)["greedy", OTHER] == 50
    assert lines(found)["modest", "p"] == 1
    assert (OTHER, OTHER) not in lines(found)


def test_a_herd_s_idle_set_is_folded_into_its_own_other():
    found = tally(sets_max=HERD_SETS_MAX + 10)
    for number in range(HERD_SETS_MAX):
        found.add(("greedy", f"p{number}"), 1, 1, now_s=0.0)
    found.add(("greedy", "new"), 1, 1, now_s=IDLE_S)
    assert lines(found)["greedy", OTHER] == 1
    assert lines(found)["greedy", "new"] == 1
    assert ("greedy", "p0") not in lines(found)


def test_there_are_never_more_sets_than_the_limit_and_other():
    found = tally(sets_max=50)
    for number in range(2_000):
        found.add((f"h{number % 71}", f"p{number}"), 1, 2, now_s=number * 10.0)
        assert len(found) <= 51
    assert sum(lines(found).values()) == 2_000


def test_a_tally_may_keep_the_largest():
    found = Tally(NAMES, ("herd", "pipeline"), grow=max)
    for amount in (3, 9, 4):
        found.add(("a", "p"), amount, amount, now_s=0.0)
    assert lines(found) == {("a", "p"): 9}


def test_a_very_long_value_is_cut():
    found = tally()
    found.add(("a", "x" * 10_000), 1, 1, now_s=0.0)
    found.add(("a", "x" * 20_000), 1, 1, now_s=0.0)
    assert lines(found) == {("a", "x" * VALUE_CHARACTERS_MAX): 2}
