"""Who belongs to our group, as messages between members show: by the name that they bear.

    the group was                         its name is
    founded by its members                what `--cluster` says
    made from the state of another one    that, `#` and the cluster's id, which is new then: a backup that was restored, or what a lost majority
                                          left (`runi barn recover`)

So members of two groups that have the same certificates, addresses and `--cluster` do not mix: what an old member sends to those of the new group is of a stranger, and
what they send it, too.  The name follows from the first snapshot of a group, so every member that has a state knows it, in each of its lives.  Who joins has none: it takes
what bears the name before the `#`, and answers under the name that it was spoken to with, until it has got the group's state.  A member without a log does not vote: it may be
one that has voted and lost its folder, and a group needs no vote of one that joins before it has caught up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from runink.actors.peers import PeerMessages
from runink.barn.store import Store
from runink.errors import Broken
from runink.raft.messages import Message, MessageType

STRANGERS_MAX: Final = 64  # that are told in the log, each once
_VOTES: Final = frozenset({MessageType.MsgVote, MessageType.MsgPreVote})

_log = logging.getLogger(__name__)


class Kin:
    """The members of our group, as one of them knows them. `store` returns its state as it is now."""

    def __init__(self, cluster: str, store: Callable[[], Store]) -> None:
        self._cluster = cluster
        self._store = store
        self._heard = cluster  # the name under which one that joins was spoken to
        self._strangers: set[tuple[str, int]] = set()

    @property
    def name(self) -> str:
        """What the group's members send goes by this name."""
        store = self._store()
        if not store.applied_index:
            return self._heard
        return f"{self._cluster}#{store.cluster}" if store.is_refounded else self._cluster

    def is_ours(self, name: str) -> bool:
        """Say whether what bears this name comes from our group, or, while we have no state, may come from it."""
        if self._store().applied_index:
            return name == self.name
        return name.partition("#")[0] == self._cluster

    def messages(self, told: PeerMessages) -> Iterable[Message]:
        """Return what a member of our group says. What comes from another group, or is no message, is passed over: whoever sends it must not end us."""
        if not self.is_ours(told.cluster):
            self._tell_of_stranger(told)
            return ()
        try:
            messages = told.messages()
        except msgspec.MsgspecError:
            self._tell_of_stranger(told)
            return ()
        if self._store().applied_index:
            return messages
        heard = [message for message in messages if message.type not in _VOTES]
        if heard:
            self._heard = told.cluster
        return heard

    def _tell_of_stranger(self, told: PeerMessages) -> None:
        who = (told.cluster, told.sender)
        if who not in self._strangers and len(self._strangers) < STRANGERS_MAX:
            self._strangers.add(who)
            fields = {"cluster": told.cluster, "member": told.sender, "ours": self.name}
            _log.warning("messages of a stranger", extra=fields)


def log_lost(known_index: int, last_index: int) -> Broken:
    """Return the error for a member that hears of more entries than it has, and had."""
    return Broken(
        f"this member acknowledged the log up to entry {known_index}, and has it up to {last_index}: its folder was lost, or is an older copy",
        code="log_lost",
        hint="it may have voted too, and cannot know: `runi cluster remove` it, and add one with a new number",
    )
