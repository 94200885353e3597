"""How a member is set up. Every field says what it is, in which unit, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from runink.errors import Invalid
from runink.raft.messages import LOCAL_APPLY_THREAD, NONE
from runink.raft.storage import Storage

UNLIMITED: Final = 2**63  # more bytes, or messages, than there will ever be


class ReadOnlyOption(Enum):
    """How a leader makes sure that it leads still before a read."""

    ReadOnlySafe = "safe"
    ReadOnlyLeaseBased = "lease-based"


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of one member. `check` refuses what cannot work."""

    id: int
    """Who we are in the group: 1 or more, never given to another member, also not after this one was removed."""

    storage: Storage
    """The log and the state that survived: read at the start, and later for entries that are no longer held by the core."""

    random: Callable[[int], int]
    """Returns a number from 0 up to, not including, its argument. It spreads election time-outs; with the same numbers the core does the same."""

    election_tick: int = 10
    """Ticks without a word from a leader until an election begins; each time-out is drawn from this up to twice this. At least a few
    heartbeats, or a lost packet costs a leader its office; the longer, the longer nobody leads after a crash."""

    heartbeat_tick: int = 1
    """Ticks between a leader's heartbeats. Less than `election_tick`."""

    applied: int = 0
    """The last entry that the state machine holds already: later ones are handed out again. 0: as far as the snapshot."""

    async_storage_writes: bool = False
    """Instead of waiting for `advance`, the core hands out messages to a thread that appends and one that applies, and goes on; their
    `responses` are to be delivered once the work is done. So the disk and the network are busy at the same time."""

    message_bytes_max: int = 1 << 20
    """About how many bytes of entries a MsgApp carries; it always carries one. Large ones use the network well, small ones recover faster from a lost one."""

    committed_bytes_per_ready_max: int = 0
    """How many bytes of committed entries a Ready hands out, and how many may be handed out and not yet applied. 0: as `message_bytes_max`."""

    uncommitted_bytes_max: int = UNLIMITED
    """How many bytes of proposals a leader holds that are not committed; what would exceed it is dropped (ProposalDropped), so a group without
    a majority does not fill the memory. One proposal is always taken."""

    inflight_messages_max: int = 256
    """How many MsgApps with entries may be under way to a follower. Their product with `message_bytes_max` bounds what a slow follower costs."""

    inflight_bytes_max: int = 0
    """How many bytes of entries may be under way to a follower, one message more at most. 0: no limit."""

    check_quorum: bool = False
    """A leader that no majority has answered for an election time-out steps down, and voters refuse others while they hear a leader. Without it
    a leader that is cut off believes in itself until it is found again.  With neither this nor `pre_vote`, a learner whose term is higher
    than the leader's (it heard of a candidate that lost) may never hear of a leader again: it takes the leader's messages for old ones, tells nobody so, and stands for no election
    that would.  The Barn has both."""

    pre_vote: bool = False
    """Before an election a candidate asks whether it could win. So a member that was cut off does not come back with a higher term and end
    the term of a leader that everybody else hears (Raft, section 9.6).  See `check_quorum` for who has neither."""

    read_only_option: ReadOnlyOption = ReadOnlyOption.ReadOnlySafe
    """Safe: a leader asks a majority before a read. Lease-based: it trusts that nobody else was elected within an election time-out; with clocks
    that drift or a paused process it reads stale values. The latter needs `check_quorum`."""

    disable_proposal_forwarding: bool = False
    """A follower drops proposals instead of sending them to the leader: for those who want to know who took them."""

    disable_conf_change_validation: bool = False
    """Changes of the membership are appended also while another one is under way; whoever turns this on checks them before they are applied."""

    step_down_on_removal: bool = False
    """A leader that is removed or made a learner becomes a follower at once, instead of leading a group that it does not belong to."""

    @property
    def applying_bytes_max(self) -> int:
        return self.committed_bytes_per_ready_max or self.message_bytes_max

    def check(self) -> None:
        """Raise Invalid for settings with which no group works."""
        wrong = {
            "id must be 1 or more": NONE < self.id < LOCAL_APPLY_THREAD,
            "heartbeat_tick must be 1 or more": self.heartbeat_tick > 0,
            "election_tick must be more than heartbeat_tick": self.election_tick
            > self.heartbeat_tick,
            "message_bytes_max must be 1 or more": self.message_bytes_max > 0,
            "inflight_messages_max must be 1 or more": self.inflight_messages_max > 0,
            "inflight_bytes_max must be at least message_bytes_max": not self.inflight_bytes_max
            or self.inflight_bytes_max >= self.message_bytes_max,
            "uncommitted_bytes_max must be 1 or more": self.uncommitted_bytes_max > 0,
            "lease-based reads need check_quorum": self.check_quorum
            or self.read_only_option is ReadOnlyOption.ReadOnlySafe,
        }
        for text, is_right in wrong.items():
            if not is_right:
                raise Invalid(f"settings of consensus: {text}", code="raft_config")
