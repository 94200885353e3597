"""A member of the Barn: consensus and the store put together. Pure: it says what is to be written and sent, and is told when it was.

    what comes in          what comes out (`work`)
    propose                an answer, when the command is applied here; on any member: a follower hands it on to the leader
    read                   leave to read, when everything is applied that was committed when the read came
    receive                messages for other members
    tick                   elections, heartbeats, retries, and the end of what took too long
    written                the promises that rested on the write

**Writes.**  Everything for the log goes into one `Append` at a time; while it is under way, what comes next is put together for the one behind it: that is
the group commit.  Messages that promise what an Append holds leave when it is written; a leader's entries go to the others at once.

**Proposals** wait in a queue while nobody leads, and are then proposed together.  One that was handed on and is late, or not applied when the next
term's first entry is, is proposed again if its client numbers what it proposes, because the store applies it once; otherwise OutcomeUnknown is the answer.

**Room.**  A leader proposes only what the log has room for on its disk (`room`): so a full disk refuses proposals before anything happened, and what is
proposed can be written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final, Protocol

from msgspec import structs

from runink.barn.commands import Applied, Proposal, encode_proposal
from runink.barn.effects import Append, Work, merged
from runink.barn.pending import (
    LEADERLESS_TICKS,
    Proposals,
    Reads,
    Request,
    disk_bytes,
    proposal_of,
)
from runink.barn.store import Store
from runink.errors import RuninkError
from runink.raft.config import UNLIMITED, Config
from runink.raft.errors import ProposalDropped, StepPeerNotFound
from runink.raft.membership import ConfChangeError
from runink.raft.messages import (
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    NONE,
    ConfChangeV2,
    Entry,
    EntryType,
    Message,
    MessageType,
    Snapshot,
    decode_conf_change,
    encode_conf_change,
)
from runink.raft.rawnode import RawNode
from runink.raft.storage import Storage

APPLY_ENTRIES_MAX: Final = 32  # a fraction of a millisecond: then the first answers leave, and the next batch gets to the disk
HANDED_ON_MAX: Final = 256  # messages that wait for room; more come again
NUMBER_BITS: Final = 32  # of what one life proposes and asks: days at full speed


class ReplicaStorage(Storage, Protocol):
    """What consensus reads of the log, in memory; the disk is written by whoever is handed an `Append`.

    A snapshot before `snapshot_index_min` is sent to nobody: it does not know the membership, and who joins would not find itself in it.
    """

    snapshot_index_min: int

    def append(self, entries: Sequence[Entry]) -> None:
        """Take into memory entries that are on disk now."""
        ...

    def apply_snapshot(self, snapshot: Snapshot) -> None:
        """Take a snapshot that is on disk now in place of the whole log."""
        ...


class Replica:
    """One member. `nonce`, of 31 bits, is unlike those of other lives of any member: it tells our proposals from others'. At most `apply_max` commands are applied at once."""

    def __init__(
        self,
        config: Config,
        storage: ReplicaStorage,
        store: Store,
        *,
        nonce: int,
        apply_max: int = APPLY_ENTRIES_MAX,
    ) -> None:
        assert config.async_storage_writes
        assert config.storage is storage
        assert 0 < nonce < 1 << (63 - NUMBER_BITS)
        assert apply_max > 0
        self.node = RawNode(config)
        self.store = store
        self.lead = NONE
        self.leader_changes = 0
        self._id = config.id
        self._storage = storage
        self._nonce = nonce << NUMBER_BITS
        self._count = 0
        self._apply_max = apply_max
        self._proposals = Proposals()
        self._handed_on: deque[Message] = deque(maxlen=HANDED_ON_MAX)
        self._reads = Reads()
        self._writes: list[Message] = []
        self._committed: deque[Message] = deque()  # to be applied
        self._committed_place = 0  # what is, of the first
        self._is_writing = False
        self._on_disk = self._newest = self.node.raft.hard_state
        self._room_bytes = 0  # on disk, for what is not proposed yet
        self._is_making_room = False
        self._applied_term = store.applied_term
        self._silent_ticks = 0  # without a leader's word
        self._work = Work()

    @property
    def waiting(self) -> int:
        """How many proposals and reads are under way."""
        return len(self._proposals) + len(self._reads)

    @property
    def is_leader(self) -> bool:
        return self.node.raft.is_leader

    def is_caught_up(self) -> bool:
        """Say whether we lead, and have applied an entry of our own term: so we know all that was committed before."""
        raft = self.node.raft
        return raft.is_leader and self._applied_term == raft.term

    def may_read(self) -> bool:
        """Say whether a read is linearizable at once: nobody else could have led since, and all that is committed is applied."""
        raft = self.node.raft
        is_all_applied = self.store.applied_index == raft.log.committed
        return raft.is_only_voter() and self.is_caught_up() and is_all_applied

    @property
    def is_leaderless(self) -> bool:
        """Say whether we have not heard of a leader for so long that others may know more: we may be cut off. Who decides alone never is."""
        return self._silent_ticks >= LEADERLESS_TICKS

    # What comes in.

    def propose(self, number: int, proposal: Proposal) -> None:
        """Propose a command; its answer comes under this number. Raises Overloaded, Invalid (`command_too_large`)."""
        origin = self._next()
        data = encode_proposal(
            Proposal(proposal.client, proposal.sequence, proposal.command, origin)
        )
        self._proposals.enqueue(Request(number, origin, Entry(data=data), bool(proposal.client)))

    def propose_change(self, number: int, change: ConfChangeV2) -> None:
        """Propose a change of the membership; `Applied` comes under this number when it took effect. Raises Overloaded."""
        origin = self._next()
        type_, data = encode_conf_change(structs.replace(change, context=_name(origin)))
        self._proposals.enqueue(
            Request(number, origin, Entry(type=type_, data=data), is_repeatable=False)
        )

    def read(self, number: int) -> None:
        """Ask for leave to read; it comes under this number. Raises Overloaded."""
        self._reads.add(number)

    def receive(self, messages: Iterable[Message]) -> None:
        """Take messages of other members. What is out of place is passed over: they repeat what matters."""
        for message in messages:
            if message.type is MessageType.MsgProp:
                self._handed_on.append(message)
                continue
            with suppress(ProposalDropped, StepPeerNotFound):
                self.node.step(message)

    def tick(self) -> None:
        """Let one unit of time pass."""
        self.node.tick()
        self._silent_ticks = self._silence()
        self._work.answers += self._proposals.tick()
        if self._reads.tick():
            self._reads.forget_asked()

    def _silence(self) -> int:
        """Return for how many ticks we have been without a leader's word. A learner, which stands for no election, takes the last one for its leader as long as it hears of no other."""
        raft = self.node.raft
        if raft.is_leader or raft.is_only_voter():
            return 0
        return self._silent_ticks + 1 if raft.lead == NONE else raft.election_elapsed

    def room(self, free_bytes: int) -> None:
        """Say how many bytes can be appended for certain behind the Appends that are written."""
        self._is_making_room = False
        self._room_bytes = max(0, free_bytes - self._unwritten_bytes())

    def no_room(self, error: RuninkError) -> None:
        """Say that the disk is full: what is not proposed yet is refused."""
        self._is_making_room = False
        self._work.answers += self._proposals.refuse_queued(error)
        self._handed_on.clear()  # their members propose them again, or give up

    def cannot_follow(self) -> list[int]:
        """Say that what others have cannot be written here; return the reads that waited for it, which may be long."""
        return self._reads.take_granted()

    def step_aside(self) -> None:
        """Hand the leadership to the voter that is most up to date, if one is there: a leader that cannot write holds everybody up."""
        raft = self.node.raft
        progress = raft.tracker.progress
        others = [
            member
            for member in raft.tracker.voter_ids()
            if member != self._id and member in progress and progress[member].recent_active
        ]
        if raft.is_leader and others and not raft.lead_transferee:
            self.node.transfer_leader(max(others, key=lambda member: progress[member].match))

    def written(
        self, append: Append, *, store: Store | None = None, free_bytes: int | None = None
    ) -> None:
        """Say that an Append is on disk; with a snapshot in it, `store` is the state that it held. `free_bytes` is as for `room`, if it is known."""
        assert self._is_writing
        self._is_writing = False
        assert (append.snapshot is None) == (store is None)
        if append.snapshot is not None and store is not None:
            self.store = store
            self._storage.apply_snapshot(append.snapshot)
        self._storage.append(append.entries)
        self._on_disk = append.hard_state or self._on_disk
        self._respond(append.responses)
        if free_bytes is not None:
            self._room_bytes = max(0, free_bytes - self._unwritten_bytes())

    # What is to be done.

    def work(self) -> Work:
        """Return what is to be done by now. If there is more, it is to be called again: at most `apply_max` commands are applied at once, and none before what others wait for is carried out."""
        self._propose()
        self._ask()
        room = self._apply_max
        while True:  # ends: answers ask for less than what they answer, and applying has its limit
            if self.node.has_ready():
                self._hand_out()
            elif self._write():
                continue
            elif self._committed and room and not self._is_urgent():
                room -= self._apply_some(room)
            else:
                break
        self._work.readable += self._reads.readable(self.store.applied_index)
        self._work.has_more = bool(self._committed)
        work, self._work = self._work, Work()
        return work

    def _is_urgent(self) -> bool:
        """Say whether what is to be done must not wait for commands to be applied: a write, and what a leader waits for."""
        work = self._work
        return work.append is not None or bool(work.messages and not self.is_leader)

    def _hand_out(self) -> None:
        ready = self.node.ready()
        for message in ready.messages:
            if message.to == LOCAL_APPEND_THREAD:
                self._writes.append(message)
            elif message.to == LOCAL_APPLY_THREAD:
                self._committed.append(message)
            else:
                self._work.send(message)
        for state in ready.read_states:
            self._reads.grant(state)
        if ready.soft_state is not None and ready.soft_state.lead != self.lead:
            self.lead = ready.soft_state.lead
            self.leader_changes += self.lead != NONE
            self._reads.forget_asked()
            self._propose()
        self._ask()

    def _respond(self, responses: Iterable[Message]) -> None:
        for message in responses:
            if message.to == self._id:
                with suppress(StepPeerNotFound):  # it was removed while its write was under way
                    self.node.step(message)
            else:
                self._work.send(message)

    def _write(self) -> bool:
        """Put all that waits for the disk into one Append, unless one is under way; say whether none of it needed the disk, and was answered."""
        if self._is_writing or not self._writes:
            return False
        append, self._newest = merged(self._writes, on_disk=self._on_disk, newest=self._newest)
        self._writes = []
        self._is_writing = True
        if append.needs_disk:
            self._work.append = append
            return False
        self.written(append)
        return True

    # Applying.

    def _apply_some(self, count_max: int) -> int:
        """Apply so many of the committed entries at most, and return how many were. What a leader's snapshot has brought meanwhile is passed over."""
        message = self._committed[0]
        rest = message.entries[self._committed_place :]
        for entry in rest[:count_max]:
            if entry.index > self.store.applied_index:
                self._apply(entry)
        if len(rest) > count_max:
            self._committed_place += count_max
            return count_max
        self._committed.popleft()
        self._committed_place = 0
        self._respond(message.responses)
        return len(rest)

    def _apply(self, entry: Entry) -> None:
        if entry.type is not EntryType.EntryNormal:
            self._apply_change(entry)
        elif not entry.data:
            self.store.skip(term=entry.term, index=entry.index)
        else:
            proposal = proposal_of(entry)
            answer = self.store.apply(proposal, term=entry.term, index=entry.index)
            self._work.applied.append((proposal, answer))
            request = self._proposals.applied(proposal.origin)
            if request is not None:
                self._work.answers.append((request.number, answer))
        if entry.term > self._applied_term:
            # What was proposed in earlier terms and is in the log stood before this entry.
            self._applied_term = entry.term
            self._work.answers += self._proposals.repeat_before(entry.term)

    def _apply_change(self, entry: Entry) -> None:
        change = decode_conf_change(entry)
        self.store.skip(term=entry.term, index=entry.index)
        with suppress(ConfChangeError):  # it is one everywhere: nobody changes anything then
            self.node.apply_conf_change(change)
            self._storage.snapshot_index_min = entry.index
        request = self._proposals.applied(int.from_bytes(change.context, "big"))
        if request is not None:
            self._work.answers.append((request.number, Applied(self.store.revision)))

    # Proposals and reads.

    def _next(self) -> int:
        self._count += 1
        assert self._count < 1 << NUMBER_BITS
        return self._nonce | self._count

    def _propose(self) -> None:
        """Propose what is queued, if somebody leads and, where that is us, as much as the log has room for."""
        self._propose_handed_on()
        while self._proposals.is_queued and self.lead != NONE:  # ends: each turn shortens the queue
            is_leader = self.node.raft.is_leader
            room_bytes = self._room_bytes if is_leader else UNLIMITED
            batch, size = self._proposals.next_batch(room_bytes)
            if not batch:
                self._want_room(size)
                return
            try:
                self.node.propose_entries(request.entry for request in batch)
            except ProposalDropped:
                self._proposals.put_back(batch)
                return
            self._room_bytes -= size if is_leader else 0
            self._proposals.note_proposed(batch, term=self.node.raft.term)

    def _propose_handed_on(self) -> None:
        """Propose what followers have sent. What cannot be now is dropped: its member proposes it again."""
        while self._handed_on:  # ends: each turn takes one out
            is_leader = self.node.raft.is_leader
            size = sum(map(disk_bytes, self._handed_on[0].entries)) if is_leader else 0
            if size > self._room_bytes:
                self._want_room(size)
                return
            self._room_bytes -= size
            with suppress(ProposalDropped):
                self.node.step(self._handed_on.popleft())

    def _want_room(self, size: int) -> None:
        """Ask for room for so much behind what is not written yet, unless it is being made."""
        if not self._is_making_room:
            self._is_making_room = True
            self._work.room_bytes = size + self._unwritten_bytes()

    def _unwritten_bytes(self) -> int:
        return sum(map(disk_bytes, self.node.raft.log.unstable.entries))

    def _ask(self) -> None:
        if self.lead != NONE and self._reads.may_ask():
            context = _name(self._next())
            self._reads.ask(context)
            self.node.read_index(context)


def _name(number: int) -> bytes:
    return number.to_bytes(8, "big")
