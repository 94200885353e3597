"""How fast a leader sends to each follower: one message while it probes, a window while it replicates, nothing while a snapshot is under way."""

from __future__ import annotations

from raft_members import Group, Member, of_type, the_one, three
from runink.raft.messages import HardState, Message, MessageType
from runink.raft.progress import Progress, ProgressState

PROBE, REPLICATE, SNAPSHOT = (
    ProgressState.StateProbe,
    ProgressState.StateReplicate,
    ProgressState.StateSnapshot,
)


def leader(**settings) -> Member:
    """A leader of two, the other of which is probed still."""
    one = Member(1, (1, 2), terms=(1,), hard=HardState(1, 0, 1), **settings)
    one.elect(2)
    return one


def replicating(**settings) -> Member:
    """A leader of two that sends the other entries as they come."""
    one = leader(**settings)
    yes(one, 2)
    return one


def known(one: Member) -> Progress:
    return one.raft.tracker.progress[2]


def yes(one: Member, index: int) -> list[Message]:
    return one.hear(MessageType.MsgAppResp, 2, term=2, index=index)


def beat(one: Member) -> list[Message]:
    return one.hear(MessageType.MsgHeartbeatResp, 2, term=2)


def apps(said: list[Message]) -> list[Message]:
    return of_type(MessageType.MsgApp, said)


# Probing.


def test_while_it_probes_a_leader_sends_one_message_and_waits():
    one = leader()
    assert apps(one.propose(b"a", b"b")) == []
    assert known(one).is_flow_paused


def test_a_heartbeats_answer_lets_one_more_probe_through():
    one = leader()
    one.propose(b"a")
    probe = the_one(MessageType.MsgApp, beat(one))
    assert (probe.index, len(probe.entries)) == (1, 2)
    assert apps(one.propose(b"b")) == []


def test_an_accepted_probe_begins_replication_behind_it():
    one = leader()
    told = apps(yes(one, 2))
    assert (known(one).state, known(one).next) == (REPLICATE, 3)
    assert [(app.index, app.entries) for app in told] == [(2, ())]  # it tells the commit index


def test_a_refused_probe_is_followed_by_an_earlier_one():
    one = Member(1, (1, 2), terms=(1, 1, 1), hard=HardState(1, 0, 0))
    one.elect(2)
    said = one.hear(
        MessageType.MsgAppResp, 2, term=2, index=3, reject=True, reject_hint=1, log_term=1
    )
    probe = the_one(MessageType.MsgApp, said)
    assert (probe.index, known(one).state) == (1, PROBE)


def test_an_empty_probe_that_is_accepted_begins_replication_too():
    """Nothing is missing: the answer tells no news, but that the logs match."""
    one = replicating()
    one.node.report_unreachable(2)
    beat(one)
    yes(one, 2)
    assert known(one).state is REPLICATE


# Replicating.


def test_while_it_replicates_a_leader_does_not_wait_for_answers():
    one = replicating()
    sent = [the_one(MessageType.MsgApp, one.propose(data)) for data in (b"a", b"b", b"c")]
    assert [(app.index, [entry.data for entry in app.entries]) for app in sent] == [
        (2, [b"a"]),
        (3, [b"b"]),
        (4, [b"c"]),
    ]


def test_a_message_holds_as_many_bytes_as_it_may():
    one = leader(message_bytes_max=150)
    one.propose(*[bytes(50)] * 6)
    sent = apps(yes(one, 2))
    assert [len(app.entries) for app in sent] == [2, 2, 2]


def test_an_entry_that_is_larger_than_a_message_is_sent_alone():
    one = leader(message_bytes_max=100)
    one.propose(bytes(500), bytes(500))
    assert [len(app.entries) for app in apps(yes(one, 2))] == [1, 1]


def test_no_more_messages_are_under_way_than_the_window_holds():
    one = replicating(inflight_messages_max=2)
    for data in (b"a", b"b", b"c", b"d"):
        one.propose(data)
    assert known(one).inflights.count() == 2
    assert known(one).next == 5


def test_an_answer_frees_the_window_and_the_rest_follows_at_once():
    one = replicating(inflight_messages_max=2)
    for data in (b"a", b"b", b"c", b"d"):
        one.propose(data)
    sent = apps(yes(one, 3))
    assert [[entry.data for entry in app.entries] for app in sent if app.entries] == [[b"c", b"d"]]


def test_one_answer_frees_all_up_to_its_index():
    one = replicating(inflight_messages_max=8)
    for data in (b"a", b"b", b"c"):
        one.propose(data)
    yes(one, 5)
    assert known(one).inflights.count() == 0


def test_the_window_is_full_at_so_many_bytes():
    one = replicating(message_bytes_max=100, inflight_bytes_max=250)
    for _ in range(5):
        one.propose(bytes(100))
    assert known(one).inflights.count() == 3  # the third reaches the limit and is sent whole
    assert known(one).inflights.is_full()


def test_a_full_window_lets_an_empty_message_through_after_a_heartbeats_answer():
    """It tells the commit index, and its refusal would show that what is under way was lost."""
    one = replicating(inflight_messages_max=1)
    one.propose(b"a")
    assert apps(one.propose(b"b")) == []
    assert the_one(MessageType.MsgApp, beat(one)).entries == ()


def test_a_refusal_begins_probing_behind_what_is_known_to_match():
    one = replicating()
    one.propose(b"a")
    one.propose(b"b")
    said = one.hear(MessageType.MsgAppResp, 2, term=2, index=3, reject=True, reject_hint=2)
    assert the_one(MessageType.MsgApp, said).index == 2
    assert known(one).state is PROBE
    assert known(one).inflights.count() == 0


def test_an_unreachable_follower_is_probed_from_behind_what_is_known_to_match():
    one = replicating()
    one.propose(b"a")
    one.node.report_unreachable(2)
    assert (known(one).state, known(one).next) == (PROBE, 3)


def test_a_probed_follower_that_is_unreachable_is_probed_still():
    one = leader()
    one.node.report_unreachable(2)
    assert known(one).state is PROBE


# Snapshots.


def with_snapshot(index: int = 2) -> Member:
    """A leader whose log begins behind `index`, while the other lacks what came before."""
    one = replicating()
    one.propose(b"a", b"b")
    yes(one, 4)
    one.storage.create_snapshot(index, one.raft.tracker.membership.conf_state(), b"state")
    one.storage.compact(index)
    one.node.report_unreachable(2)
    known(one).match, known(one).next = 0, 1  # as if it came back with nothing
    return one


def test_a_follower_that_needs_what_is_gone_is_sent_the_snapshot_and_nothing_else():
    one = with_snapshot()
    snap = the_one(MessageType.MsgSnap, beat(one))
    assert snap.snapshot is not None
    assert snap.snapshot.metadata.index == 2
    assert (known(one).state, known(one).pending_snapshot) == (SNAPSHOT, 2)
    assert one.propose(b"c") == []
    assert beat(one) == []


def test_no_snapshot_is_sent_to_who_was_not_heard_of_late():
    one = with_snapshot()
    known(one).recent_active = False
    assert one.propose(b"c") == []
    assert known(one).state is PROBE


def test_a_delivered_snapshot_is_followed_by_a_probe_behind_it_when_the_follower_answers():
    one = with_snapshot()
    beat(one)
    one.node.report_snapshot(2, is_delivered=True)
    assert (known(one).state, known(one).next) == (PROBE, 3)
    assert one.work() == []
    assert the_one(MessageType.MsgApp, beat(one)).index == 2


def test_after_a_snapshot_that_failed_it_is_tried_again():
    one = with_snapshot()
    beat(one)
    one.node.report_snapshot(2, is_delivered=False)
    assert (known(one).state, known(one).next, known(one).pending_snapshot) == (PROBE, 1, 0)
    assert len(of_type(MessageType.MsgSnap, beat(one))) == 1


def test_a_follower_whose_answer_reaches_the_log_gets_entries_whatever_brought_it_there():
    one = with_snapshot()
    beat(one)
    yes(one, 2)
    assert known(one).state is REPLICATE
    assert known(one).match == 2


def test_an_answer_that_does_not_reach_the_log_leaves_the_snapshot_under_way():
    one = with_snapshot(index=3)
    beat(one)
    yes(one, 1)
    assert known(one).state is SNAPSHOT


def test_a_report_of_a_snapshot_that_is_not_under_way_is_ignored():
    one = replicating()
    one.node.report_snapshot(2, is_delivered=False)
    assert known(one).state is REPLICATE


# The whole of it.


def test_lost_messages_are_found_by_the_next_heartbeat():
    group = three()
    group.cut.add((1, 3))
    group.propose(1, b"a", b"b")
    group.heal()
    group.tick(3)
    assert group[3].commands() == [b"a", b"b"]


def test_a_slow_follower_does_not_hold_back_the_others():
    group = Group(*(Member(one, inflight_messages_max=1) for one in (1, 2, 3)))
    group.elect(1)
    group.isolate(3)
    for number in range(20):
        group.propose(1, b"%d" % number)
    assert len(group[2].commands()) == 20
