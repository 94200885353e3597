"""One member of a group: its state, its roles, and how a message leaves it.

    role          becomes                  when
    follower      pre-candidate            it heard no leader for its election time-out (with `pre_vote`; else candidate)
    pre-candidate candidate                a majority would vote for it                         (its term does not change before)
    candidate     leader                   a majority voted for it
    any           follower                 it hears of a higher term, or of the leader of its own
    leader        follower                 with `check_quorum`: no majority answered for an election time-out

What is done with a message stands in `step.py`, in the words of the paper's rules: elections in `election.py`, the log in `replication.py`, changes
of the membership in `reconfiguration.py`, reads in `reads.py`.  All of it works on this state, and only by calls of `step` and `tick`: same calls, same
outcome.  Effects are collected here and handed out by `rawnode.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any, Final

import msgspec

from runink.raft.config import Config
from runink.raft.log import RaftLog, payload_bytes
from runink.raft.membership import restore
from runink.raft.messages import NONE, ConfState, Entry, HardState, Message, MessageType
from runink.raft.progress import Inflights, Membership, Progress, Tracker
from runink.raft.reads import ReadOnly, ReadState

_AFTER_APPEND: Final = frozenset(
    {MessageType.MsgAppResp, MessageType.MsgVoteResp, MessageType.MsgPreVoteResp}
)
_WITHOUT_TERM: Final = frozenset({MessageType.MsgProp, MessageType.MsgReadIndex})


class StateType(Enum):
    """The role of a member."""

    StateFollower = "StateFollower"
    StateCandidate = "StateCandidate"
    StateLeader = "StateLeader"
    StatePreCandidate = "StatePreCandidate"


class SoftState(msgspec.Struct, frozen=True, gc=False):
    """What a member may forget: who leads, and its own role."""

    lead: int
    state: StateType


class Raft:
    """The state of one member. Made from what its storage holds; asserts that this belongs together."""

    __slots__ = (
        "config",
        "election_elapsed",
        "heartbeat_elapsed",
        "id",
        "is_learner",
        "lead",
        "lead_transferee",
        "log",
        "messages",
        "messages_after_append",
        "pending_conf_index",
        "pending_reads",
        "randomized_election_timeout",
        "read_only",
        "read_states",
        "state",
        "term",
        "tracker",
        "uncommitted_bytes",
        "vote",
    )

    def __init__(self, config: Config) -> None:
        config.check()
        hard_state, conf_state = config.storage.initial_state()
        self.config = config
        self.id = config.id
        self.term = hard_state.term
        self.vote = hard_state.vote
        self.lead = NONE
        self.state = StateType.StateFollower
        self.log = RaftLog(config.storage, applying_bytes_max=config.applying_bytes_max)
        self.tracker = Tracker(
            inflight_messages_max=config.inflight_messages_max,
            inflight_bytes_max=config.inflight_bytes_max,
        )
        self.is_learner = False
        self.lead_transferee = NONE
        self.pending_conf_index = 0  # of the last proposed change: no other before it is applied
        self.uncommitted_bytes = 0
        self.read_only = ReadOnly()
        self.read_states: list[ReadState] = []
        self.pending_reads: list[Message] = []  # came before an entry of our term was committed
        self.messages: list[Message] = []
        self.messages_after_append: list[Message] = []  # promise what is not on disk yet
        self.election_elapsed = 0
        self.heartbeat_elapsed = 0
        self.randomized_election_timeout = config.election_tick
        self._load(hard_state, conf_state)
        self.become_follower(self.term, NONE)

    def _load(self, hard_state: HardState, conf_state: ConfState) -> None:
        self.adopt(*restore(self.tracker, self.log.last_index(), conf_state))
        log = self.log
        if hard_state != HardState():
            assert log.committed <= hard_state.commit <= log.last_index(), (
                "the log does not reach to where it was known to be committed"
            )
            log.committed = hard_state.commit
        if self.config.applied:
            log.applied_to(self.config.applied, 0)

    # What it is.

    @property
    def soft_state(self) -> SoftState:
        return SoftState(self.lead, self.state)

    @property
    def hard_state(self) -> HardState:
        return HardState(self.term, self.vote, self.log.committed)

    @property
    def is_leader(self) -> bool:
        return self.state is StateType.StateLeader

    def is_only_voter(self) -> bool:
        """Say whether we decide alone. A leader that was removed, and leads until somebody else does, decides nothing, though one voter may be left."""
        return self.tracker.is_singleton() and self.id in self.tracker.membership.voters.incoming

    def is_promotable(self) -> bool:
        """Say whether it may be elected: a voter, whose state is not about to be replaced by a snapshot."""
        ours = self.tracker.progress.get(self.id)
        return (
            ours is not None
            and not ours.is_learner
            and not self.log.has_next_or_in_progress_snapshot()
        )

    def is_past_election_timeout(self) -> bool:
        return self.election_elapsed >= self.randomized_election_timeout

    def others(self) -> list[int]:
        """Return the other members, learners too, in order."""
        return [member for member in self.tracker.sorted_ids() if member != self.id]

    def adopt(self, membership: Membership, progress: dict[int, Progress]) -> None:
        """Take over a membership."""
        self.tracker.membership = membership
        self.tracker.progress = progress
        ours = progress.get(self.id)
        self.is_learner = ours is not None and ours.is_learner

    # Roles.

    def become_follower(self, term: int, lead: int) -> None:
        self._reset(term)
        self.lead = lead
        self.state = StateType.StateFollower

    def become_candidate(self) -> None:
        assert not self.is_leader
        self._reset(self.term + 1)
        self.vote = self.id
        self.state = StateType.StateCandidate

    def become_pre_candidate(self) -> None:
        """Ask without a new term: neither term nor vote change."""
        assert not self.is_leader
        self.tracker.reset_votes()
        self.lead = NONE
        self.state = StateType.StatePreCandidate

    def become_leader(self) -> None:
        """Lead; the first entry of the term is an empty one, with which what earlier terms left is committed (Raft, section 8)."""
        assert self.state is not StateType.StateFollower
        self._reset(self.term)
        self.lead = self.id
        self.state = StateType.StateLeader
        ours = self.tracker.progress[self.id]
        ours.become_replicate()
        ours.recent_active = True
        # Changes of the membership may stand in what is not applied yet: none is taken before all of it is.
        self.pending_conf_index = self.log.last_index()
        is_appended = self.append((Entry(),))
        assert is_appended, "an empty entry is never too large"

    def _reset(self, term: int) -> None:
        if term != self.term:
            self.term = term
            self.vote = NONE
        self.lead = NONE
        self.election_elapsed = 0
        self.heartbeat_elapsed = 0
        self.draw_election_timeout()
        self.lead_transferee = NONE
        self.tracker.reset_votes()
        last = self.log.last_index()
        config = self.config
        for member, progress in self.tracker.progress.items():
            self.tracker.progress[member] = Progress(
                match=last if member == self.id else 0,
                next=last + 1,
                inflights=Inflights(config.inflight_messages_max, config.inflight_bytes_max),
                is_learner=progress.is_learner,
            )
        self.pending_conf_index = 0
        self.uncommitted_bytes = 0
        self.read_only = ReadOnly()
        self.pending_reads = []

    def draw_election_timeout(self) -> None:
        ticks = self.config.election_tick
        self.randomized_election_timeout = ticks + self.config.random(ticks)

    # Effects.

    def send(self, type_: MessageType, to: int, **fields: Any) -> None:
        """Hand out a message in our name and, unless it is one about elections that says its own, of our term.

        Answers that promise something wait until what they promise is on disk.
        """
        if type_ not in _WITHOUT_TERM and "term" not in fields:
            fields["term"] = self.term
        message = Message(type_, to, fields.pop("from_", NONE) or self.id, **fields)
        if type_ in _AFTER_APPEND:
            self.messages_after_append.append(message)
        else:
            assert to != self.id, "nobody sends to itself"
            self.messages.append(message)

    def forward(self, message: Message) -> None:
        """Hand a message on to the leader."""
        fields = {"entries": message.entries, "context": message.context}
        self.send(message.type, self.lead, from_=message.from_, **fields)

    def append(self, entries: Sequence[Entry]) -> bool:
        """Append a leader's own entries, in its term; say whether there was room. It acknowledges them to itself once they are on disk."""
        size = payload_bytes(entries)
        before = self.uncommitted_bytes
        if before and size and before + size > self.config.uncommitted_bytes_max:
            return False
        self.uncommitted_bytes = before + size
        first, term = self.log.last_index() + 1, self.term
        self.log.append(
            [Entry(term, first + place, one.type, one.data) for place, one in enumerate(entries)]
        )
        self.send(MessageType.MsgAppResp, self.id, index=first + len(entries) - 1)
        return True

    def maybe_commit(self) -> bool:
        """Commit what a majority has; say whether that is more than before."""
        return self.log.maybe_commit(self.term, self.tracker.committed())

    def reduce_uncommitted(self, entries: Sequence[Entry]) -> None:
        """Give the room of applied entries free; followers hold none."""
        if self.uncommitted_bytes:
            self.uncommitted_bytes = max(0, self.uncommitted_bytes - payload_bytes(entries))
