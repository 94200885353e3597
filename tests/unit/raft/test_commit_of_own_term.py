"""Entries of earlier terms are not committed by counting: section 5.4.2 of the paper, with figure 8 as it is told there."""

from __future__ import annotations

import pytest
from raft_members import Group, Member, three
from runink.raft.messages import HardState, MessageType


def test_an_entry_of_an_earlier_term_is_not_committed_by_counting():
    one = Member(1, terms=(1, 2), hard=HardState(3, 0, 0))
    one.elect(2)
    one.hear(MessageType.MsgAppResp, 2, term=4, index=2)
    assert one.committed == 0  # a majority holds entry 2, of term 2


def test_it_is_committed_with_the_first_of_the_leaders_own_term():
    one = Member(1, terms=(1, 2), hard=HardState(3, 0, 0))
    one.elect(2)
    one.hear(MessageType.MsgAppResp, 2, term=4, index=3)
    assert one.committed == 3


@pytest.mark.parametrize(
    ("matches", "committed"),
    [
        ((2, 0), 2),
        ((3, 0), 3),
        ((0, 0), 1),
        ((3, 0, 0, 0), 1),
        ((3, 2, 0, 0), 2),
        ((3, 3, 0, 0), 3),
        ((1, 1, 1, 1), 1),
    ],
)
def test_what_a_majority_holds_is_committed(matches, committed):
    """Entry 1 is committed, entry 2 the leader's first, entry 3 a proposal; the leader holds all three."""
    others = range(2, len(matches) + 2)
    one = Member(1, (1, *others), terms=(1,), hard=HardState(1, 0, 1))
    one.elect(*others)
    one.propose(b"a")
    for other, index in zip(others, matches, strict=True):
        if index:
            one.hear(MessageType.MsgAppResp, other, term=2, index=index)
    assert one.committed == committed


def figure_8() -> Group:
    """(a) to (c): 1 leads term 2 and writes entry 2 on 1 and 2 only; 5 leads term 3 and writes another entry 2 on itself only; 1 leads again."""
    group = Group(
        *(Member(one, (1, 2, 3, 4, 5), terms=(1,), hard=HardState(1, 0, 1)) for one in range(1, 6))
    )
    group.lost.add(MessageType.MsgApp)
    group.elect(1)  # (a): its first entry of term 2 reaches nobody yet
    group.lost.clear()
    group.isolate(1, 2)
    group.tick()
    assert group[2].terms() == [1, 2]
    group.heal()
    group.isolate(1, 2)
    group.deliver(group[5].campaign())  # (b): 3, 4 and 5 elect 5
    return group


def test_figure_8_an_entry_that_a_majority_holds_may_yet_be_replaced():
    group = figure_8()
    assert group.leaders() == [1, 5]
    assert group[5].terms() == [1, 3]


def alone(entries_of: tuple[int, ...], term: int) -> Member:
    """A member of five with this log, about to be elected."""
    return Member(1, (1, 2, 3, 4, 5), terms=entries_of, hard=HardState(term - 1, 0, 1))


def test_figure_8_c_a_majority_of_an_old_entry_commits_nothing():
    """1 leads term 4: entry 2 of term 2 is on 1, 2 and 3, its own entry 3 on nobody else."""
    one = alone((1, 2), term=4)
    one.elect(2, 3)
    for other in (2, 3):
        one.hear(MessageType.MsgAppResp, other, term=4, index=2)
    assert one.committed == 1


def test_figure_8_d_who_has_a_later_term_wins_and_replaces_it():
    """So 5, whose entry 2 is of term 3, is elected by 2, 3 and 4, and its entry replaces theirs."""
    group = Group(
        *(Member(one, (1, 2, 3, 4, 5), terms=(1, 2), hard=HardState(4, 0, 1)) for one in (2, 3)),
        Member(4, (1, 2, 3, 4, 5), terms=(1,), hard=HardState(4, 0, 1)),
        Member(5, (1, 2, 3, 4, 5), terms=(1, 3), hard=HardState(4, 0, 1)),
    )
    group.elect(5)
    assert {tuple(member.terms()) for member in group.members.values()} == {(1, 3, 5)}


def test_figure_8_e_with_an_entry_of_its_own_term_on_a_majority_nobody_can():
    one = alone((1, 2), term=4)
    one.elect(2, 3)
    for other in (2, 3):
        one.hear(MessageType.MsgAppResp, other, term=4, index=3)
    assert one.committed == 3
    group = Group(
        *(Member(one, (1, 2, 3, 4, 5), terms=(1, 2, 4), hard=HardState(4, 0, 1)) for one in (2, 3)),
        Member(4, (1, 2, 3, 4, 5), terms=(1,), hard=HardState(4, 0, 1)),
        Member(5, (1, 2, 3, 4, 5), terms=(1, 3), hard=HardState(4, 0, 1)),
    )
    group.deliver(group[5].campaign())
    assert group.leaders() == []


def test_a_group_that_is_elected_anew_commits_what_was_left_without_a_proposal():
    group = three()
    group.lost.add(MessageType.MsgAppResp)
    group.propose(1, b"a")
    group.heal()
    group.deliver(group[2].campaign())
    assert group[2].commands() == [b"a"]
