"""The log goes from the leader to the followers: section 5.3 of the paper."""

from __future__ import annotations

import pytest
from raft_members import Group, Member, log_of, of_type, the_one, three
from runink.raft.errors import StepPeerNotFound
from runink.raft.messages import Entry, HardState, Message, MessageType
from runink.raft.progress import ProgressState


def appended(
    member: Member, index: int, log_term: int, *entries: Entry, term: int = 9, commit: int = 0
) -> Message:
    """Send a member what a leader 2 would; return its answer."""
    fields = {"index": index, "log_term": log_term, "entries": entries, "commit": commit}
    said = member.hear(MessageType.MsgApp, 2, term=term, **fields)
    return the_one(MessageType.MsgAppResp, said)


# The follower: the consistency check.


def test_entries_are_taken_where_the_one_before_them_matches():
    one = Member(1, terms=(1, 1))
    answer = appended(one, 2, 1, Entry(2, 3))
    assert (answer.reject, answer.index) == (False, 3)
    assert one.terms() == [1, 1, 2]


@pytest.mark.parametrize(("index", "log_term"), [(3, 1), (2, 2)])
def test_entries_are_refused_where_the_one_before_is_missing_or_of_another_term(index, log_term):
    one = Member(1, terms=(1, 1))
    answer = appended(one, index, log_term, Entry(3, index + 1))
    assert (answer.reject, answer.index) == (True, index)
    assert one.terms() == [1, 1]


def test_entries_that_conflict_go_with_all_behind_them():
    one = Member(1, terms=(1, 1, 1, 1))
    appended(one, 1, 1, Entry(2, 2))
    assert one.terms() == [1, 2]


def test_entries_that_match_stay_with_all_behind_them():
    """An old message may come late: it must not cut off what was acknowledged since."""
    one = Member(1, terms=(1, 1, 1, 1))
    answer = appended(one, 1, 1, *log_of(1, 1)[1:])
    assert one.terms() == [1, 1, 1, 1]
    assert answer.index == 2


def test_a_message_says_yes_only_up_to_its_own_last_entry():
    one = Member(1, terms=(1, 1, 1, 1))
    assert appended(one, 2, 1).index == 2


def test_of_entries_that_match_in_part_only_the_others_are_replaced():
    one = Member(1, terms=(1, 1, 1))
    appended(one, 0, 0, *log_of(1, 1, 2))
    assert one.terms() == [1, 1, 2]


def test_what_is_committed_is_not_replaced_whatever_comes():
    one = Member(1, terms=(1, 1, 1), hard=HardState(1, 0, 2))
    answer = appended(one, 0, 0, *log_of(3, 3, 3), commit=3)
    assert (answer.reject, answer.index) == (False, 2)
    assert one.terms() == [1, 1, 1]


def test_a_log_that_is_made_to_replace_what_is_committed_stops_the_member():
    log = Member(1, terms=(1, 1, 1), hard=HardState(1, 0, 2)).raft.log
    with pytest.raises(AssertionError, match="committed is never replaced"):
        log.append(log_of(1, 3)[1:])


def test_what_lies_before_the_committed_is_answered_with_how_far_that_is():
    one = Member(1, terms=(1, 1, 1), hard=HardState(1, 0, 2))
    answer = appended(one, 1, 1, Entry(1, 2))
    assert (answer.reject, answer.index) == (False, 2)


def test_the_commit_index_is_the_leaders():
    one = Member(1, terms=(1, 1, 1))
    appended(one, 3, 1, commit=2)
    assert one.committed == 2


def test_the_commit_index_ends_with_the_last_new_entry():
    """Behind it our log may differ from the leader's still."""
    one = Member(1, terms=(1, 1, 1))
    appended(one, 1, 1, commit=3)
    assert one.committed == 1


def test_the_commit_index_never_falls():
    one = Member(1, terms=(1, 1, 1), hard=HardState(1, 0, 3))
    appended(one, 3, 1, commit=1)
    assert one.committed == 3


def test_a_heartbeat_carries_the_commit_index():
    one = Member(1, terms=(1, 1))
    one.hear(MessageType.MsgHeartbeat, 2, term=1, commit=2)
    assert one.committed == 2


def test_a_heartbeat_never_claims_more_than_its_receiver_is_known_to_have():
    group = three()
    group.isolate(3)
    group.propose(1, b"a")
    beats = of_type(MessageType.MsgHeartbeat, group[1].tick())
    assert [(beat.to, beat.commit) for beat in beats] == [(2, 2), (3, 1)]


# The way back after a mismatch.


@pytest.mark.parametrize(
    ("ours", "index", "log_term", "hint", "hint_term"),
    [
        ((1, 1, 1), 5, 1, 3, 1),  # too short: where we end
        ((1, 1, 2, 2), 4, 1, 2, 1),  # a term above theirs cannot match
        ((1, 3, 3, 3), 4, 2, 1, 1),
        ((5, 5, 5), 3, 4, 0, 0),  # nothing of ours can
    ],
)
def test_a_refusal_names_the_last_place_that_may_match(ours, index, log_term, hint, hint_term):
    one = Member(1, terms=ours)
    answer = appended(one, index, log_term)
    assert (answer.reject, answer.reject_hint, answer.log_term) == (True, hint, hint_term)


def test_a_leader_goes_back_by_terms_not_by_entries():
    """Its entries 3..12 are of term 5 and the follower's of term 2: both learn of ten entries at once."""
    leader = Member(1, terms=(1, 1, *[5] * 10))
    follower = Member(2, terms=(1, 1, *[2] * 30))
    group = Group(leader, follower, Member(3, terms=(1, 1, *[5] * 10)))
    seen = group.deliver(leader.campaign())
    refusals = [m for m in of_type(MessageType.MsgAppResp, seen) if m.from_ == 2 and m.reject]
    assert len(refusals) == 1
    assert follower.terms() == leader.terms()


def test_every_follower_ends_with_the_leaders_log():
    """Figure 7 of the paper: the leader of term 8 and its six followers."""
    logs = {
        1: (1, 1, 1, 4, 4, 5, 5, 6, 6, 6),
        2: (1, 1, 1, 4, 4, 5, 5, 6, 6),
        3: (1, 1, 1, 4),
        4: (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6),
        5: (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7),
        6: (1, 1, 1, 4, 4, 4, 4),
        7: (1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3),
    }
    voters = tuple(logs)
    group = Group(
        *(Member(one, voters, terms=log, hard=HardState(7, 0, 0)) for one, log in logs.items())
    )
    group.elect(1)
    assert {tuple(member.terms()) for member in group.members.values()} == {(*logs[1], 8)}
    assert {member.committed for member in group.members.values()} == {11}


# The leader.


def test_a_proposal_goes_to_everybody_and_is_committed_by_a_majority():
    group = three()
    group.isolate(3)
    group.propose(1, b"a")
    assert [group[one].commands() for one in (1, 2, 3)] == [[b"a"], [b"a"], []]


def test_nothing_is_committed_without_a_majority():
    group = Group(*(Member(one, (1, 2, 3, 4, 5)) for one in range(1, 6)))
    group.elect(1)
    group.isolate(3, 4, 5)
    group.propose(1, b"a")
    assert (group[1].committed, group[1].commands()) == (1, [])


def test_a_leaders_own_entry_counts_only_once_it_is_on_disk():
    one = Member(1, (1, 2))
    one.elect(2)
    one.hear(MessageType.MsgAppResp, 2, term=1, index=1)
    one.node.propose(b"a")
    one.node.step(Message(MessageType.MsgAppResp, 1, 2, term=1, index=2))
    assert one.committed == 1  # the other holds it, ours is not written yet
    one.work()
    assert one.committed == 2


def test_an_old_yes_tells_nothing():
    group = three()
    group.propose(1, b"a", b"b")
    progress = group[1].raft.tracker.progress[2]
    before = progress.match, progress.next
    group[1].hear(MessageType.MsgAppResp, 2, term=1, index=1)
    assert (progress.match, progress.next) == before


def test_an_old_no_tells_nothing():
    group = three()
    group.propose(1, b"a", b"b")
    progress = group[1].raft.tracker.progress[2]
    before = progress.match, progress.next, progress.state
    group[1].hear(MessageType.MsgAppResp, 2, term=1, index=2, reject=True, reject_hint=0)
    assert (progress.match, progress.next, progress.state) == before


def test_a_yes_of_an_earlier_term_is_not_counted():
    group = Group(*(Member(one, terms=(1,)) for one in (1, 2, 3)))
    group.isolate(1)
    group[1].elect(2)
    said = group[1].propose(b"a")
    group[1].hear(MessageType.MsgAppResp, 2, term=1, index=3)
    assert group[1].committed == 0
    assert said == []  # 2 and 3 are probed: one message at a time


def test_an_answer_of_a_stranger_is_refused():
    group = three()
    with pytest.raises(StepPeerNotFound):
        group[1].hear(MessageType.MsgAppResp, 9, term=1, index=1)


def test_followers_hear_of_a_commit_without_waiting_for_a_heartbeat():
    group = three()
    group.lost.add(MessageType.MsgHeartbeat)
    group.propose(1, b"a")
    assert group[3].committed == 2


def test_a_new_leader_probes_everybody_from_behind_its_own_log():
    one = Member(1, terms=(1, 1, 1))
    one.elect(2)
    progress = one.raft.tracker.progress
    assert [progress[other].next for other in (2, 3)] == [4, 4]
    assert {progress[other].state for other in (2, 3)} == {ProgressState.StateProbe}
    assert {progress[other].match for other in (2, 3)} == {0}
