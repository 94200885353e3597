"""What a member of the Barn wants done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from runink.barn.commands import Answer, Proposal
from runink.errors import RuninkError
from runink.raft.messages import Entry, HardState, Message, MessageType, Snapshot


@dataclass(frozen=True, slots=True)
class Append:
    """What is to be put on disk, in this order: the snapshot in place of the log, the entries, the state. Then the responses may go out."""

    entries: tuple[Entry, ...] = ()
    hard_state: HardState | None = None
    snapshot: Snapshot | None = None
    responses: tuple[Message, ...] = ()

    @property
    def needs_disk(self) -> bool:
        return bool(self.entries or self.hard_state or self.snapshot)


@dataclass(slots=True)
class Work:
    """What is to be done. The order does not matter, except that an Append's responses wait for it.

    `messages` by their receiver; `snapshots` are to be sent with their state, in chunks.  `answers` and `readable` go to those who asked under these
    numbers; `applied` are all commands that took their place in the store.  `room_bytes` of room are needed on disk before more can be proposed.
    """

    append: Append | None = None
    messages: dict[int, list[Message]] = field(default_factory=dict)
    snapshots: list[Message] = field(default_factory=list)
    answers: list[tuple[int, Answer | RuninkError]] = field(default_factory=list)
    readable: list[int] = field(default_factory=list)
    applied: list[tuple[Proposal, Answer]] = field(default_factory=list)
    room_bytes: int = 0
    has_more: bool = False  # to be done, when this is carried out

    def send(self, message: Message) -> None:
        if message.type is MessageType.MsgSnap:
            self.snapshots.append(message)
        else:
            self.messages.setdefault(message.to, []).append(message)


def merged(
    writes: Iterable[Message], *, on_disk: HardState, newest: HardState
) -> tuple[Append, HardState]:
    """Return all writes for the log as one, and the newest state behind them; `newest` is the one before them.

    Entries that a later one replaces are left out.  A state that differs from the one on disk in the commit index alone needs no disk, but goes with whatever
    does: who acknowledges an entry must have on disk what it was told to be committed before, because a membership takes effect when it
    is, and a member that forgets one and counts in an older one could elect a second leader.
    """
    entries: list[Entry] = []
    state = newest
    snapshot: Snapshot | None = None
    responses: list[Message] = []
    for write in writes:
        if write.term:
            state = HardState(write.term, write.vote, write.commit)
        if write.snapshot is not None:
            snapshot, entries = write.snapshot, []
        if write.entries:
            first = write.entries[0].index
            while entries and entries[-1].index >= first:
                entries.pop()
            entries += write.entries
        responses += write.responses
    is_promise = (state.term, state.vote) != (on_disk.term, on_disk.vote)
    if not (entries or snapshot or is_promise):
        return Append(responses=tuple(responses)), state
    kept = None if state == on_disk else state
    return Append(tuple(entries), kept, snapshot, tuple(responses)), state
