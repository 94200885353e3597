"""Small groups, well until something is done to them: links that hold messages back, lose or repeat them, disks that are slow, members that die.

The invariants hold after each step, and no read is of the past.  The simulation in tests/simulation/ has the real log, store and codecs and long
histories; this one has nothing but the core, and when it fails it names the fewest events that do it.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from runink.raft.config import Config
from runink.raft.errors import ProposalDropped, StepPeerNotFound
from runink.raft.invariants import GroupHistory
from runink.raft.membership import ConfChangeError
from runink.raft.messages import (
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    Snapshot,
    SnapshotMetadata,
    decode_conf_change,
)
from runink.raft.rawnode import RawNode
from runink.raft.storage import MemoryStorage

FOUNDERS = ConfState((1, 2, 3))
MEMBERS = (1, 2, 3, 4)  # the last one may be added
SENT_MAX = 60  # messages that may come a second time
SETTLE_MAX = 3000  # messages that one event may cause: more is a conversation without an end
members = st.sampled_from(MEMBERS)
places = st.integers(0, SENT_MAX - 1)
changes = st.lists(
    st.builds(
        ConfChangeSingle,
        st.sampled_from(
            [
                ConfChangeType.ConfChangeAddNode,
                ConfChangeType.ConfChangeRemoveNode,
                ConfChangeType.ConfChangeAddLearnerNode,
            ]
        ),
        members,
    ),
    max_size=2,
    unique_by=lambda change: change.node_id,
)


class Member:
    """A raw node whose storage is its disk; what is not written yet is lost when it dies."""

    def __init__(self, id: int, storage: MemoryStorage) -> None:  # noqa: A002 - the standard name
        self.storage = storage
        self.appends: list[Message] = []
        self.applies: list[Message] = []
        config = Config(
            id=id,
            storage=storage,
            random=lambda ticks: id % ticks,
            election_tick=3,
            async_storage_writes=True,
            message_bytes_max=40,
            inflight_messages_max=2,
            pre_vote=id % 2 == 0,
            check_quorum=True,
        )
        self.node = RawNode(config)
        self.last_applied = self.node.raft.log.applied


class GroupMachine(RuleBasedStateMachine):
    """`held` are links, as (from, to), that deliver nothing; `slow` are members that write and apply nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.history = GroupHistory()
        self.network: deque[Message] = deque()
        self.sent: deque[Message] = deque(maxlen=SENT_MAX)
        self.held: dict[tuple[int, int], list[Message]] = {}
        self.slow: set[int] = set()
        self.members: dict[int, Member] = {}
        self.asked: dict[bytes, int] = {}  # reads, and what was committed when they were asked
        for member in MEMBERS:
            storage = MemoryStorage()
            storage._snapshot = Snapshot(SnapshotMetadata(FOUNDERS))
            self.members[member] = Member(member, storage)
        self.campaign(1)

    # What follows from an event.

    def settle(self, member: int) -> None:
        """Do what the member wants, and what follows from it, on links that deliver and with members that work."""
        self.take_out(member)
        self.work_off(member)
        for _ in range(SETTLE_MAX):
            if not self.network:
                return
            message = self.network.popleft()
            link = self.held.get((message.from_, message.to))
            if link is not None:
                link.append(message)
                continue
            self.step(message)
            self.work_off(message.to)
        raise AssertionError("the group does not come to rest")

    def step(self, message: Message) -> None:
        with suppress(ProposalDropped, StepPeerNotFound):
            self.members[message.to].node.step(message)
        self.take_out(message.to)

    def take_out(self, member: int) -> None:
        one = self.members[member]
        while one.node.has_ready():
            ready = one.node.ready()
            for message in ready.messages:
                queue = {LOCAL_APPEND_THREAD: one.appends, LOCAL_APPLY_THREAD: one.applies}
                queue.get(message.to, self.network).append(message)
                if message.to in self.members:
                    self.sent.append(message)
            for state in ready.read_states:
                assert state.index >= self.asked[state.context], "a read of the past"
            self.history.check(one.node.raft)
        self.history.check(one.node.raft)

    def work_off(self, member: int) -> None:
        one = self.members[member]
        while member not in self.slow and (one.appends or one.applies):
            if one.appends:
                self.write(member)
            if one.applies:
                self.apply(member)

    def write(self, member: int) -> None:
        one = self.members[member]
        work = one.appends.pop(0)
        if work.snapshot is not None:
            one.storage.apply_snapshot(work.snapshot)
            one.last_applied = work.snapshot.metadata.index
        one.storage.append(work.entries)
        if work.term:
            one.storage.hard_state = HardState(work.term, work.vote, work.commit)
        self.respond(member, work)

    def apply(self, member: int) -> None:
        one = self.members[member]
        work = one.applies.pop(0)
        for entry in work.entries:
            assert entry.index > one.last_applied, "an entry is applied twice"
            one.last_applied = entry.index
            if entry.type is not EntryType.EntryNormal:
                with suppress(ConfChangeError):
                    one.node.apply_conf_change(decode_conf_change(entry))
        self.respond(member, work)

    def respond(self, member: int, work: Message) -> None:
        for message in work.responses:
            if message.to == member:
                self.step(message)
            else:
                self.network.append(message)
                self.sent.append(message)
        self.take_out(member)

    # What is done to it.

    @rule(sender=members, receiver=members)
    def hold(self, sender: int, receiver: int) -> None:
        self.held.setdefault((sender, receiver), [])

    @rule(member=members)
    def isolate(self, member: int) -> None:
        for other in MEMBERS:
            self.hold(member, other)
            self.hold(other, member)

    @rule(is_lost=st.booleans(), is_reversed=st.booleans())
    def heal(self, is_lost: bool, is_reversed: bool) -> None:  # noqa: FBT001 - a rule's arguments
        late = [message for link in self.held.values() for message in link]
        self.held.clear()
        if not is_lost:
            self.network.extend(reversed(late) if is_reversed else late)
        self.settle(MEMBERS[0])

    @rule(place=places)
    def repeat(self, place: int) -> None:
        """A message comes a second time, whenever that is."""
        if place < len(self.sent):
            message = self.sent[place]
            self.step(message)
            self.settle(message.to)

    @rule(member=members)
    def slow_down(self, member: int) -> None:
        self.slow.add(member)

    @rule(member=members)
    def write_once(self, member: int) -> None:
        if self.members[member].appends:
            self.write(member)
            self.settle(member)

    @rule(member=members)
    def speed_up(self, member: int) -> None:
        self.slow.discard(member)
        self.settle(member)

    @rule(member=members)
    def die(self, member: int) -> None:
        """What was written is there again, and nothing else."""
        one = self.members[member]
        promised = one.storage.hard_state
        self.members[member] = Member(member, one.storage)
        self.history.restarted(self.members[member].node.raft, promised)
        self.settle(member)

    @rule(member=members, times=st.integers(1, 7))
    def tick(self, member: int, times: int) -> None:
        for _ in range(times):
            self.members[member].node.tick()
            self.settle(member)

    @rule(member=members)
    def campaign(self, member: int) -> None:
        for one in self.members.values():
            one.node.forget_leader()
        self.members[member].node.campaign()
        self.settle(member)

    @rule(member=members)
    def propose(self, member: int) -> None:
        with suppress(ProposalDropped):
            self.members[member].node.propose_entries([Entry(data=b"x" * 20)])
        self.settle(member)

    @rule(member=members, change=changes, is_joint=st.booleans())
    def change_members(self, member: int, change: list[ConfChangeSingle], is_joint: bool) -> None:  # noqa: FBT001 - a rule's argument
        transition = (
            ConfChangeTransition.ConfChangeTransitionJointImplicit
            if is_joint and change
            else ConfChangeTransition.ConfChangeTransitionAuto
        )
        with suppress(ProposalDropped):
            self.members[member].node.propose_conf_change(ConfChangeV2(transition, tuple(change)))
        self.settle(member)

    @rule(member=members)
    def read(self, member: int) -> None:
        context = b"%d" % len(self.asked)
        self.asked[context] = max(one.node.raft.log.committed for one in self.members.values())
        self.members[member].node.read_index(context)
        self.settle(member)

    @rule(member=members, successor=members)
    def transfer(self, member: int, successor: int) -> None:
        self.members[member].node.transfer_leader(successor)
        self.settle(member)

    @rule(member=members)
    def forget_leader(self, member: int) -> None:
        self.members[member].node.forget_leader()
        self.settle(member)

    @rule(member=members)
    def compact(self, member: int) -> None:
        """Cut the log at what is applied, with a snapshot of the membership as of then."""
        one = self.members[member]
        log = one.node.raft.log
        index = log.applied
        is_possible = index > one.storage.snapshot().metadata.index
        if log.has_next_or_in_progress_snapshot() or one.applies or not is_possible:
            return
        conf = one.node.raft.tracker.membership.conf_state()
        one.storage.create_snapshot(index, conf, b"")
        if index >= one.storage.first_index():
            one.storage.compact(index)

    @rule(member=members)
    def report(self, member: int) -> None:
        for one in self.members.values():
            if one.node.raft.is_leader:
                one.node.report_unreachable(member)
                one.node.report_snapshot(member, is_delivered=False)
                self.settle(one.node.raft.id)


TestGroup = GroupMachine.TestCase
TestGroup.settings = settings(max_examples=60, stateful_step_count=50)
