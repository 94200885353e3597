"""What must hold of a simulated group beyond the core's own invariants: looked at after every step, and whenever something leaves a member.

what                            is noted when                       and must be so when
a vote, and the term            the answer that grants it is sent   the member lives again
an entry of the state machine   it is first applied                 another member applies it, or the same one again
a membership                    a change is first applied           the change is applied by another member
the state's bytes at an index   a snapshot of it is made            it is made elsewhere, installed, or read from a disk
"""

from __future__ import annotations

from typing import NoReturn

from runink.barn.store import Store
from runink.errors import InvariantBroken
from runink.raft.core import Raft
from runink.raft.invariants import GroupHistory
from runink.raft.messages import ConfState, Entry, HardState, Message, MessageType
from runink.testing.raft_disk import store_bytes
from runink.testing.raft_group_world import Statistics


def named(conf_state: ConfState) -> set[int]:
    """Return all members of a membership, learners too."""
    state = conf_state
    return {*state.voters, *state.learners, *state.voters_outgoing, *state.learners_next}


class GroupWatch:
    """The history of one group."""

    def __init__(self, statistics: Statistics) -> None:
        self.conf_state = ConfState()  # the newest that anybody applied
        self.known_members: set[int] = set()  # all that any membership named so far
        self.entries: dict[int, Entry] = {}  # by index, those that were applied
        self._statistics = statistics
        self._history = GroupHistory()
        self._promised: dict[int, HardState] = {}
        self._states: dict[int, bytes] = {}
        self._terms_led: set[int] = set()
        self._changed_index = 0
        self._memberships: dict[int, ConfState] = {}

    def founded(self, conf_state: ConfState) -> None:
        self.conf_state = conf_state
        self.known_members |= named(conf_state)

    def check(self, raft: Raft) -> None:
        """Look at a member after a step."""
        self._history.check(raft)
        if raft.is_leader and raft.term not in self._terms_led:
            self._terms_led.add(raft.term)
            self._statistics.elections += 1

    def restarted(self, raft: Raft) -> None:
        self._history.restarted(raft, self._promised.get(raft.id, HardState()))

    def sent(self, member: int, message: Message) -> None:
        """Note what a message promises."""
        self._statistics.transfers += message.type is MessageType.MsgTimeoutNow
        if message.reject:
            return
        if message.type is MessageType.MsgVoteResp:
            promise = HardState(message.term, message.to)
        elif message.type is MessageType.MsgAppResp:
            promise = HardState(message.term)
        else:
            return
        before = self._promised.get(member, HardState())
        if promise.term > before.term or (promise.term == before.term and promise.vote):
            if promise.term == before.term and before.vote not in (0, promise.vote):
                _broken(f"member {member} voted for {before.vote} and {promise.vote} in one term")
            self._promised[member] = promise

    def applied(self, entry: Entry) -> None:
        first = self.entries.setdefault(entry.index, entry)
        if first != entry:
            _broken(f"entry {entry.index} was applied as {first} and as {entry}")

    def changed(self, entry: Entry, conf_state: ConfState) -> None:
        """Note the membership that an applied change led to."""
        if self._memberships.setdefault(entry.index, conf_state) != conf_state:
            _broken(
                f"entry {entry.index} led to {self._memberships[entry.index]}, and to {conf_state}"
            )
        if entry.index <= self._changed_index:
            return
        self._changed_index, self.conf_state = entry.index, conf_state
        self.known_members |= named(conf_state)
        self._statistics.conf_changes += 1
        self._statistics.joint_changes += bool(conf_state.voters_outgoing)
        self._statistics.learners += bool(conf_state.learners)

    def state_at(self, store: Store) -> None:
        state = store_bytes(store)
        if self._states.setdefault(store.applied_index, state) != state:
            _broken(f"two states behind entry {store.applied_index}")


def _broken(text: str) -> NoReturn:
    raise InvariantBroken(text, code="raft_group")
