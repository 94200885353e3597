"""Writing and applying by threads of their own: what was promised waits for its write, and an old write's end says nothing of new entries."""

from __future__ import annotations

from raft_members import Member, log_of, of_type, snapshot_at, the_one
from runink.raft.core import StateType
from runink.raft.messages import (
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    ConfState,
    Entry,
    HardState,
    Message,
    MessageType,
)


class Threaded(Member):
    """A member whose disk and state machine work when they are told to; what waits for them stands in `appends` and `applies`."""

    def __init__(self, *args, **settings) -> None:
        super().__init__(*args, async_storage_writes=True, **settings)
        self.appends: list[Message] = []
        self.applies: list[Message] = []

    def work(self) -> list[Message]:
        said: list[Message] = []
        while self.node.has_ready():  # ends: nothing new comes in
            for message in self.node.ready().messages:
                waits = {LOCAL_APPEND_THREAD: self.appends, LOCAL_APPLY_THREAD: self.applies}
                waits.get(message.to, said).append(message)
        return said

    def write(self) -> list[Message]:
        """Do the oldest write and hand out its responses."""
        work = self.appends.pop(0)
        if work.snapshot is not None:
            self.storage.apply_snapshot(work.snapshot)
        self.storage.append(work.entries)
        if work.term:
            self.storage.hard_state = HardState(work.term, work.vote, work.commit)
        return self._respond(work)

    def apply_next(self) -> list[Message]:
        work = self.applies.pop(0)
        self.apply(work.entries)
        return self._respond(work)

    def _respond(self, work: Message) -> list[Message]:
        said = [message for message in work.responses if message.to != self.raft.id]
        for message in work.responses:
            if message.to == self.raft.id:
                self.node.step(message)
        return [*said, *self.work()]

    @property
    def unstable(self) -> list[Entry]:
        return self.raft.log.unstable.entries


def sent(
    member: Threaded, leader: int, term: int, *entries: Entry, commit: int = 0
) -> list[Message]:
    """Send a member entries behind those that it has, as a leader would."""
    before = entries[0].index - 1
    log_term = member.raft.log.term(before)
    return member.hear(
        MessageType.MsgApp,
        leader,
        term=term,
        index=before,
        log_term=log_term,
        entries=entries,
        commit=commit,
    )


def test_an_acknowledgement_waits_for_its_write():
    one = Threaded(1)
    assert sent(one, 2, 1, *log_of(1)) == []
    assert the_one(MessageType.MsgAppResp, one.write()).index == 1


def test_a_vote_waits_for_its_write():
    one = Threaded(1)
    assert one.hear(MessageType.MsgVote, 2, term=1) == []
    assert not the_one(MessageType.MsgVoteResp, one.write()).reject
    assert one.storage.hard_state == HardState(1, 2, 0)


def test_a_candidate_counts_its_own_vote_when_it_is_written():
    one = Threaded(1, (1,))
    one.campaign()
    assert one.state is StateType.StateCandidate
    one.write()
    assert one.raft.is_leader


def test_a_leader_sends_at_once_and_counts_itself_when_it_is_written():
    one = Threaded(1, (1, 2))
    one.campaign()
    one.write()
    said = one.hear(MessageType.MsgVoteResp, 2, term=1)
    assert of_type(MessageType.MsgApp, said)
    one.hear(MessageType.MsgAppResp, 2, term=1, index=1)
    assert one.committed == 0
    one.write()
    assert one.committed == 1


def test_a_write_carries_term_vote_and_commit_only_if_they_changed():
    one = Threaded(1)
    sent(one, 2, 1, *log_of(1))
    sent(one, 2, 1, *log_of(1, 1)[1:])
    first, second = one.appends
    assert (first.term, first.vote, first.commit) == (1, 0, 0)
    assert (second.term, second.vote, second.commit) == (0, 0, 0)


def test_entries_are_handed_out_for_writing_once():
    one = Threaded(1)
    sent(one, 2, 1, *log_of(1))
    sent(one, 2, 1, *log_of(1, 1)[1:])
    assert [[entry.index for entry in work.entries] for work in one.appends] == [[1], [2]]


def test_entries_that_replace_others_under_way_are_written_as_well():
    one = Threaded(1)
    sent(one, 2, 1, *log_of(1, 1))
    sent(one, 3, 2, Entry(2, 2))
    assert [[entry.term for entry in work.entries] for work in one.appends] == [[1, 1], [2]]


def test_entries_stay_in_memory_until_they_are_written():
    one = Threaded(1)
    sent(one, 2, 1, *log_of(1, 1))
    assert len(one.unstable) == 2
    one.write()
    assert one.unstable == []


def test_entries_are_applied_only_once_they_are_written():
    """Otherwise a crash could leave a state that is ahead of the log."""
    one = Threaded(1)
    sent(one, 2, 1, *log_of(1, 1), commit=2)
    assert one.applies == []
    one.write()
    assert [entry.index for entry in one.applies[0].entries] == [1, 2]


def test_entries_are_handed_out_for_applying_once():
    one = Threaded(1, committed_bytes_per_ready_max=1000)
    sent(one, 2, 1, *log_of(1), commit=1)
    one.write()
    one.hear(MessageType.MsgHeartbeat, 2, term=1, commit=1)
    assert [[entry.index for entry in work.entries] for work in one.applies] == [[1]]


def test_the_applied_index_moves_when_the_apply_thread_says_so():
    one = Threaded(1)
    sent(one, 2, 1, *log_of(1), commit=1)
    one.write()
    assert one.raft.log.applied == 0
    one.apply_next()
    assert one.raft.log.applied == 1


def test_no_more_is_under_way_for_applying_than_may_be():
    one = Threaded(1, committed_bytes_per_ready_max=45)
    sent(one, 2, 1, *log_of(1, 1, 1, 1), commit=4)
    one.write()
    assert [[entry.index for entry in work.entries] for work in one.applies] == [[1, 2]]
    one.apply_next()
    assert [[entry.index for entry in work.entries] for work in one.applies] == [[3, 4]]


def test_answers_leave_in_the_order_of_the_writes():
    one = Threaded(1)
    sent(one, 2, 1, *log_of(1))
    sent(one, 2, 1, *log_of(1, 1)[1:])
    answers = [the_one(MessageType.MsgAppResp, one.write()).index for _ in range(2)]
    assert answers == [1, 2]


# The race: A, then B in its place, then A again.


def test_an_old_writes_end_does_not_stand_for_the_entries_that_replaced_it():
    one = Threaded(1)
    sent(one, 2, 1, Entry(1, 1))
    sent(one, 3, 2, Entry(2, 1))
    one.write()
    assert [entry.term for entry in one.unstable] == [2]
    one.write()
    assert one.unstable == []


def test_an_old_writes_end_does_not_stand_for_the_same_entries_written_again():
    """2 sends A in term 1, 3 sends B in term 2, and 2, elected again, sends A in term 3.  Between the first write and the third, the disk holds B."""
    one = Threaded(1)
    a, b = Entry(1, 1, data=b"A"), Entry(2, 1, data=b"B")
    sent(one, 2, 1, a)
    sent(one, 3, 2, b)
    sent(one, 2, 3, a)
    one.write()
    assert one.unstable == [a]
    one.write()
    assert one.storage.entries(1, 2, 100) == [b]
    assert one.unstable == [a]  # or the log would read B now
    one.write()
    assert one.unstable == []
    assert one.storage.entries(1, 2, 100) == [a]


def test_the_first_write_of_a_later_term_answers_for_what_was_written_before():
    """The end of the earlier write comes in a later term and counts for nothing: the entries would stay in memory for ever."""
    one = Threaded(1)
    sent(one, 2, 1, Entry(1, 1))
    one.hear(MessageType.MsgVote, 3, term=2, index=1, log_term=1)
    one.write()
    assert len(one.unstable) == 1
    one.write()
    assert one.unstable == []


# Snapshots.


def test_a_snapshot_is_acknowledged_when_it_is_written():
    one = Threaded(1)
    snapshot = snapshot_at(5, 1, ConfState((1, 2, 3)))
    assert one.hear(MessageType.MsgSnap, 2, term=1, snapshot=snapshot) == []
    assert one.raft.log.applied == 0
    assert the_one(MessageType.MsgAppResp, one.write()).index == 5
    assert (one.raft.log.applied, one.raft.log.unstable.snapshot) == (5, None)


def test_a_snapshot_that_was_written_in_an_earlier_term_counts():
    """It is committed state, whatever the term."""
    one = Threaded(1)
    one.hear(MessageType.MsgSnap, 2, term=1, snapshot=snapshot_at(5, 1, ConfState((1, 2, 3))))
    one.hear(MessageType.MsgHeartbeat, 3, term=2)
    one.write()
    assert one.raft.log.unstable.snapshot is None


def test_entries_behind_a_snapshot_are_not_applied_before_it_is_written():
    one = Threaded(1)
    one.hear(MessageType.MsgSnap, 2, term=1, snapshot=snapshot_at(5, 1, ConfState((1, 2, 3))))
    sent(one, 2, 1, Entry(1, 6), commit=6)
    assert one.applies == []
    one.write()
    one.write()
    assert [entry.index for entry in one.applies[0].entries] == [6]
