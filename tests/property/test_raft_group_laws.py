"""Small groups in every order of events that a search finds: messages lost, doubled and late, disks slow, members that die; the invariants hold after each step.

The simulation in tests/simulation/ has the real log, store and codecs and long histories; this one has nothing but the core, and when it fails
it names the fewest events that do it.
"""

from __future__ import annotations

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
UNDER_WAY_MAX = 40  # messages: the oldest are lost beyond
members = st.sampled_from(MEMBERS)
places = st.integers(0, UNDER_WAY_MAX - 1)
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
        self.newest = self.node.raft.hard_state


class GroupMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.history = GroupHistory()
        self.network: list[Message] = []
        self.members: dict[int, Member] = {}
        self.asked: dict[bytes, int] = {}  # reads, and what was committed when they were asked
        for member in MEMBERS:
            storage = MemoryStorage()
            storage._snapshot = Snapshot(SnapshotMetadata(FOUNDERS))
            self.members[member] = Member(member, storage)

    def do(self, member: int) -> None:
        """Take what a member hands out, and look whether all that must hold does."""
        one = self.members[member]
        while one.node.has_ready():
            ready = one.node.ready()
            one.newest = ready.hard_state or one.newest
            for message in ready.messages:
                queue = {LOCAL_APPEND_THREAD: one.appends, LOCAL_APPLY_THREAD: one.applies}
                queue.get(message.to, self.network).append(message)
            for state in ready.read_states:
                assert state.index >= self.asked.get(state.context, 0), "a read of the past"
            self.history.check(one.node.raft)
        self.history.check(one.node.raft)
        del self.network[:-UNDER_WAY_MAX]

    def respond(self, member: int, work: Message) -> None:
        for message in work.responses:
            if message.to == member:
                self.step(message)
            else:
                self.network.append(message)
        self.do(member)

    def step(self, message: Message) -> None:
        with suppress(ProposalDropped, StepPeerNotFound):
            self.members[message.to].node.step(message)

    # What may happen.

    @rule(member=members)
    def tick(self, member: int) -> None:
        self.members[member].node.tick()
        self.do(member)

    @rule(member=members)
    def campaign(self, member: int) -> None:
        self.members[member].node.campaign()
        self.do(member)

    @rule(place=places, is_kept=st.booleans())
    def deliver(self, place: int, is_kept: bool) -> None:  # noqa: FBT001 - a rule's argument
        if not self.network:
            return
        place %= len(self.network)
        message = self.network[place] if is_kept else self.network.pop(place)
        self.step(message)
        self.do(message.to)

    @rule(away=st.integers(0, len(MEMBERS)), turns=st.integers(1, 6))
    def a_good_spell(self, away: int, turns: int) -> None:
        """All but one member hear each other in order and do their work; what concerns that one stays under way."""
        for _ in range(turns):
            late = [message for message in self.network if away in (message.to, message.from_)]
            soon = [message for message in self.network if message not in late]
            self.network = late
            for message in soon:
                self.step(message)
                self.do(message.to)
            for member in set(MEMBERS) - {away}:
                self.work_off(member)

    @rule(member=members, away=st.integers(0, len(MEMBERS)))
    def elect(self, member: int, away: int) -> None:
        for one in self.members.values():
            one.node.forget_leader()
        self.campaign(member)
        self.a_good_spell(away, turns=4)

    @rule(member=members, away=st.integers(0, len(MEMBERS)), change=changes)
    def change_in_good_order(self, member: int, away: int, change: list[ConfChangeSingle]) -> None:
        self.change_members(member, change, is_joint=False)
        self.a_good_spell(away, turns=4)

    @rule()
    def lose_everything(self) -> None:
        self.network.clear()

    @rule(member=members)
    def write(self, member: int) -> None:
        one = self.members[member]
        if not one.appends:
            return
        work = one.appends.pop(0)
        if work.snapshot is not None:
            one.storage.apply_snapshot(work.snapshot)
        one.storage.append(work.entries)
        if work.term:
            one.storage.hard_state = HardState(work.term, work.vote, work.commit)
        self.respond(member, work)

    @rule(member=members)
    def apply(self, member: int) -> None:
        one = self.members[member]
        if not one.applies:
            return
        work = one.applies.pop(0)
        for entry in work.entries:
            if entry.type is not EntryType.EntryNormal:
                with suppress(ConfChangeError):
                    one.node.apply_conf_change(decode_conf_change(entry))
        self.respond(member, work)

    @rule(member=members)
    def work_off(self, member: int) -> None:
        """A member that is not busy: all is written and applied."""
        one = self.members[member]
        while one.appends or one.applies:  # ends: nothing new comes in
            self.write(member)
            self.apply(member)

    @rule(member=members)
    def die(self, member: int) -> None:
        """What was written is there again, and nothing else."""
        one = self.members[member]
        promised = one.storage.hard_state
        self.members[member] = Member(member, one.storage)
        self.history.restarted(self.members[member].node.raft, promised)

    @rule(member=members)
    def propose(self, member: int) -> None:
        with suppress(ProposalDropped):
            self.members[member].node.propose_entries([Entry(data=b"x" * 20)])
        self.do(member)

    @rule(member=members, change=changes, is_joint=st.booleans())
    def change_members(self, member: int, change: list[ConfChangeSingle], is_joint: bool) -> None:  # noqa: FBT001 - a rule's argument
        transition = (
            ConfChangeTransition.ConfChangeTransitionJointImplicit
            if is_joint and change
            else ConfChangeTransition.ConfChangeTransitionAuto
        )
        with suppress(ProposalDropped):
            self.members[member].node.propose_conf_change(ConfChangeV2(transition, tuple(change)))
        self.do(member)

    @rule(member=members)
    def read(self, member: int) -> None:
        context = b"%d" % len(self.asked)
        self.asked[context] = max(one.node.raft.log.committed for one in self.members.values())
        self.members[member].node.read_index(context)
        self.do(member)

    @rule(member=members, successor=members)
    def transfer(self, member: int, successor: int) -> None:
        self.members[member].node.transfer_leader(successor)
        self.do(member)

    @rule(member=members)
    def forget_leader(self, member: int) -> None:
        self.members[member].node.forget_leader()
        self.do(member)

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


TestGroup = GroupMachine.TestCase
TestGroup.settings = settings(max_examples=40, stateful_step_count=80, deadline=None)
