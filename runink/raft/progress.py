"""What a leader knows of each member: how far its log matches, what is on its way to it, and how fast it may be sent more.

    state            entries are sent                     leaves it
    StateProbe       one message, then wait for its       to StateReplicate when an append is accepted
                     answer or a heartbeat's
    StateReplicate   as they come, until the window of    to StateProbe when one is rejected or the member is unreachable,
                     messages on their way is full        to StateSnapshot when what it needs is compacted
    StateSnapshot    none                                 to StateProbe when the snapshot failed, to StateReplicate
                                                          when an answer shows that the log goes on behind it

`match` is what the member is known to hold, `next` the first entry to send: match < next. Entries in between are on their way.
`sent_commit` is the highest commit index sent; it saves messages that would tell the member nothing new.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from runink.raft.messages import ConfState
from runink.raft.quorum import INDEX_MAX, JointConfig, VoteResult


class Inflights:
    """The window of appends on their way to one member: the last index of each, and its size.

    It is full at `size` messages or, unless `bytes_max` is 0, as soon as `bytes_max` is reached: the message that reaches it is
    still sent whole, so one larger than the limit can be sent at all.
    """

    __slots__ = ("_bytes", "_indexes", "_sizes", "bytes_max", "size")

    def __init__(self, size: int, bytes_max: int = 0) -> None:
        assert size > 0
        assert bytes_max >= 0
        self.size = size
        self.bytes_max = bytes_max
        self._indexes: deque[int] = deque()
        self._sizes: deque[int] = deque()
        self._bytes = 0

    def add(self, index: int, nbytes: int) -> None:
        """Note that a message has been sent whose last entry is `index`. The window must not be full."""
        assert not self.is_full(), "no message is sent into a full window"
        self._indexes.append(index)
        self._sizes.append(nbytes)
        self._bytes += nbytes

    def free_le(self, index: int) -> None:
        """Forget the messages up to `index`: they have been answered."""
        indexes = self._indexes
        while indexes and indexes[0] <= index:
            indexes.popleft()
            self._bytes -= self._sizes.popleft()

    def is_full(self) -> bool:
        if len(self._indexes) >= self.size:
            return True
        return 0 < self.bytes_max <= self._bytes

    def count(self) -> int:
        return len(self._indexes)

    def reset(self) -> None:
        self._indexes.clear()
        self._sizes.clear()
        self._bytes = 0

    def clone(self) -> Inflights:
        clone = Inflights(self.size, self.bytes_max)
        clone._indexes.extend(self._indexes)
        clone._sizes.extend(self._sizes)
        clone._bytes = self._bytes
        return clone


class ProgressState(Enum):
    StateProbe = "StateProbe"
    StateReplicate = "StateReplicate"
    StateSnapshot = "StateSnapshot"


# Members of an Enum are looked up slowly before Python 3.12, and these are compared for every message.
_PROBE: Final = ProgressState.StateProbe
_REPLICATE: Final = ProgressState.StateReplicate
_SNAPSHOT: Final = ProgressState.StateSnapshot


class Progress:
    """What is known of one member, in its state (see the module's table).

    `recent_active`: it was heard since the quorum was last checked. `is_flow_paused`: no more appends until an answer or a
    heartbeat's answer lifts it. `pending_snapshot`: the index of the snapshot that is on its way, in StateSnapshot.
    """

    __slots__ = (
        "inflights",
        "is_flow_paused",
        "is_learner",
        "match",
        "next",
        "pending_snapshot",
        "recent_active",
        "sent_commit",
        "state",
    )

    def __init__(
        self,
        inflights: Inflights,
        *,
        next: int,  # noqa: A002 - the standard name
        match: int = 0,
        is_learner: bool = False,
        recent_active: bool = False,
        state: ProgressState = _PROBE,
    ) -> None:
        assert match < next
        self.match = match
        self.next = next
        self.sent_commit = 0
        self.state = state
        self.pending_snapshot = 0
        self.recent_active = recent_active
        self.is_flow_paused = False
        self.inflights = inflights
        self.is_learner = is_learner

    def clone(self) -> Progress:
        """Return a copy that shares nothing with this one."""
        clone = Progress(self.inflights.clone(), next=self.next, match=self.match)
        clone.sent_commit = self.sent_commit
        clone.state = self.state
        clone.pending_snapshot = self.pending_snapshot
        clone.recent_active = self.recent_active
        clone.is_flow_paused = self.is_flow_paused
        clone.is_learner = self.is_learner
        return clone

    def become_probe(self) -> None:
        """Find out again how far the member's log matches; from behind the snapshot, if one was on its way."""
        known = max(self.match, self.pending_snapshot) if self.state is _SNAPSHOT else self.match
        self._become(_PROBE)
        self.next = known + 1
        self._regress_sent_commit()

    def become_replicate(self) -> None:
        """Send entries as they come, from behind what matches."""
        self._become(_REPLICATE)
        self.next = self.match + 1

    def become_snapshot(self, index: int) -> None:
        """Send nothing until the fate of the snapshot of this index is known."""
        self._become(_SNAPSHOT)
        self.pending_snapshot = index
        self.next = index + 1
        self.sent_commit = index

    def sent_entries(self, count: int, nbytes: int) -> None:
        """Note that an append of `count` entries (it may be none) has been sent from `next` on."""
        if self.state is _REPLICATE:
            if count > 0:
                self.next += count
                self.inflights.add(self.next - 1, nbytes)
            # In a full window one empty message was the last for now: a heartbeat's answer lets the next one through.
            self.is_flow_paused = self.inflights.is_full()
            return
        assert self.state is _PROBE, "a member that waits for a snapshot is sent no entries"
        if count > 0:
            self.is_flow_paused = True

    def can_bump_commit(self, index: int) -> bool:
        """Tell whether a message with this commit index would let the member commit more than those before it."""
        return self.sent_commit < index and self.sent_commit < self.next - 1

    def note_sent_commit(self, commit: int) -> None:
        self.sent_commit = commit

    def maybe_update(self, index: int) -> bool:
        """Note that the member holds the log up to `index`. Returns False for an old answer, which tells nothing."""
        if index <= self.match:
            return False
        self.match = index
        if self.next <= index:
            self.next = index + 1
        self.is_flow_paused = False
        return True

    def maybe_decr_to(self, rejected: int, hint: int) -> bool:
        """Note that the member rejected an append behind `rejected`, and may match at `hint`. Returns False for an old answer."""
        if self.state is _REPLICATE:
            if rejected <= self.match:
                return False  # since then it has accepted more
            self.next = self.match + 1
            self._regress_sent_commit()
            return True
        if rejected != self.next - 1:
            return False  # a probe is alone on its way: this answers an earlier one
        self.next = max(min(rejected, hint + 1), self.match + 1)
        self._regress_sent_commit()
        self.is_flow_paused = False
        return True

    def is_paused(self) -> bool:
        """Tell whether the member is sent no more appends for now."""
        return self.is_flow_paused or self.state is _SNAPSHOT

    def _become(self, state: ProgressState) -> None:
        self.is_flow_paused = False
        self.pending_snapshot = 0
        self.state = state
        self.inflights.reset()

    def _regress_sent_commit(self) -> None:
        # What was sent behind `next` is taken for lost, and with it the commit index that reached so far.
        if self.sent_commit >= self.next:
            self.sent_commit = self.next - 1


@dataclass(frozen=True, slots=True)
class Membership:
    """Who votes and who only listens. A voter that is to become a learner stands in `learners_next` until the joint change is left."""

    voters: JointConfig = JointConfig()  # noqa: RUF009 - a frozen value, shared
    learners: frozenset[int] = frozenset()
    learners_next: frozenset[int] = frozenset()
    auto_leave: bool = False

    def conf_state(self) -> ConfState:
        return ConfState(
            voters=tuple(sorted(self.voters.incoming)),
            learners=tuple(sorted(self.learners)),
            voters_outgoing=tuple(sorted(self.voters.outgoing)),
            learners_next=tuple(sorted(self.learners_next)),
            auto_leave=self.auto_leave,
        )


class Tracker:
    """The members and what is known of each, and the votes of the election under way.

    A change of the membership replaces `membership` and `progress` whole (runink.raft.membership makes the new ones): what is
    derived from them is kept until another object stands in their place, so no member is added to `progress` as it is.
    """

    __slots__ = (
        "_ids",
        "_ids_of",
        "_incoming",
        "_outgoing",
        "_voters_of",
        "inflight_bytes_max",
        "inflight_messages_max",
        "membership",
        "progress",
        "votes",
    )

    def __init__(self, inflight_messages_max: int, inflight_bytes_max: int = 0) -> None:
        self.inflight_messages_max = inflight_messages_max
        self.inflight_bytes_max = inflight_bytes_max
        self.membership = Membership()
        self.progress: dict[int, Progress] = {}
        self.votes: dict[int, bool] = {}
        self._voters_of = self.membership
        self._incoming: tuple[int, ...] = ()
        self._outgoing: tuple[int, ...] = ()
        self._ids_of = self.progress
        self._ids: tuple[int, ...] = ()

    def new_inflights(self) -> Inflights:
        return Inflights(self.inflight_messages_max, self.inflight_bytes_max)

    def is_singleton(self) -> bool:
        """Tell whether one voter decides alone."""
        voters = self.membership.voters
        return len(voters.incoming) == 1 and not voters.outgoing

    def committed(self) -> int:
        """Return the highest index that a quorum holds."""
        membership = self.membership
        if self._voters_of is not membership:
            self._voters_of = membership
            self._incoming = tuple(membership.voters.incoming)
            self._outgoing = tuple(membership.voters.outgoing)
        if not self._outgoing:
            return self._committed_by(self._incoming)
        return min(self._committed_by(self._incoming), self._committed_by(self._outgoing))

    def _committed_by(self, voters: Sequence[int]) -> int:
        progress = self.progress
        if len(voters) == 3:
            first, second, third = voters
            low, high, other = progress[first].match, progress[second].match, progress[third].match
            if low > high:
                low, high = high, low
            if other <= low:
                return low
            return other if other < high else high  # noqa: FURB136 - min() costs as much as all the rest here
        if not voters:
            return INDEX_MAX
        if len(voters) == 1:
            return progress[voters[0]].match
        matches = [progress[voter].match for voter in voters]
        matches.sort()
        return matches[(len(matches) - 1) // 2]

    def quorum_active(self) -> bool:
        """Tell whether a quorum was heard since `recent_active` was last taken back."""
        active = {
            member: known.recent_active
            for member, known in self.progress.items()
            if not known.is_learner
        }
        return self.membership.voters.vote_result(active) is VoteResult.VoteWon

    def record_vote(self, id: int, granted: bool) -> None:  # noqa: A002, FBT001 - the standard name; a vote is a truth value
        """Note a member's vote. The first one counts."""
        self.votes.setdefault(id, granted)

    def tally_votes(self) -> tuple[int, int, VoteResult]:
        """Return how many voters said yes, how many no, and how the election stands. Learners are not counted."""
        granted = rejected = 0
        for member, vote in self.votes.items():
            known = self.progress.get(member)
            if known is None or known.is_learner:
                continue
            granted += vote
            rejected += not vote
        return granted, rejected, self.membership.voters.vote_result(self.votes)

    def reset_votes(self) -> None:
        self.votes = {}

    def voter_ids(self) -> tuple[int, ...]:
        """Return who votes in either half, in order."""
        return tuple(sorted(self.membership.voters.ids()))

    def sorted_ids(self) -> tuple[int, ...]:
        """Return all members in order: messages to all go out in it, so that the same input gives the same output."""
        if self._ids_of is not self.progress:
            self._ids_of = self.progress
            self._ids = tuple(sorted(self.progress))
        return self._ids
