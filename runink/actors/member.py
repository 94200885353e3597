"""A member of the Barn's group, carried out: `barn/replica.py` decides, this does it with a disk, the other members and a clock.

    what the replica wants        who does it
    an Append, room on the disk   `member_disk.py`, in a worker thread; the event loop goes on, and the next batch forms
    messages                      `peers.py`
    a snapshot sent               a task: chunk after chunk
    answers                       at once

Besides: a tick every TICK_S, and a snapshot of the state when the log has grown (`snapshot_keeping.py`).  One task (`run`) calls the replica's `work` whenever something happened.

A full disk refuses proposals and harms nothing; every other failure of the disk ends `run` with Broken, and the member begins anew from what is on disk.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final, Protocol

import anyio

from runink.actors.barn_polls import no_leader
from runink.actors.group import ELECTION_TICKS, TICK_S, Group, address_in, config_of
from runink.actors.kin import Kin, log_lost
from runink.actors.member_disk import MemberDisk, Written, open_directory
from runink.actors.member_metrics import MemberMetrics
from runink.actors.member_statistics import MemberStatistics, statistics_of
from runink.actors.offload import Offload, Outcome, in_thread
from runink.actors.peers import Peer, PeerMessages, SnapshotChunk, Wanted
from runink.actors.settling import Settle, settle_pending, stopped
from runink.actors.snapshot_keeping import SnapshotKeeper
from runink.barn.changes import objection
from runink.barn.commands import Answer, Proposal
from runink.barn.effects import Append, Work
from runink.barn.replica import Replica
from runink.barn.store import Store
from runink.clients.barn_requests import ChangeMembers
from runink.errors import NotLeader, RuninkError, Unavailable
from runink.loops import Bell, now_s
from runink.observe.metrics import Reading
from runink.raft.messages import ConfChangeV2, Message, MessageType
from runink.runtime.cell import first_error
from runink.runtime.envelope import Pending
from runink.storage.disk import Disk

CHANGE_S: Final = 8.0  # for a leader to make a change of the membership
CLOSING_S: Final = 2.0  # for what is under way when a member stops

_log = logging.getLogger(__name__)


class Hears(Protocol):
    """Who hears of a member's store."""

    def applied(self, proposal: Proposal, answer: Answer) -> None:
        """A command took its place in the store."""

    def changed(self) -> None:
        """Some did; all that can be is applied for now."""

    def replaced(self) -> None:
        """The store is another one: a leader's, which was sent whole."""


class Member:
    """One member of a group."""

    def __init__(
        self,
        group: Group,
        open_disk: Callable[[], Disk],
        *,
        offload: Offload = in_thread,
        hears: Hears,
    ) -> None:
        self._group = group
        self._open_disk = open_disk
        self._offload = offload
        self._hears = hears
        self._kin = Kin(group.cluster, lambda: self.store)
        self._disk: MemberDisk
        self._replica: Replica
        self._peers: dict[int, Peer] = {}
        self._asked: dict[int, tuple[Settle, float]] = {}  # who is told, and since when it waits
        self._number = 0
        self._wake = Bell()
        self._written: tuple[Append, Outcome] | None = None  # what `run` has not looked at yet
        self._tasks: anyio.abc.TaskGroup | None = None  # while it runs
        self._is_closing = False
        self._snapshots: SnapshotKeeper
        self._metrics = MemberMetrics()
        self._caught_up = anyio.Event()

    async def open(self) -> None:
        """Read what the directory holds. Raises WalCorrupt, Broken, Unavailable."""
        group = self._group
        found = await self._offload(
            lambda: open_directory(self._open_disk, group.voters, segment_bytes=group.segment_bytes)
        )
        self._disk = MemberDisk(found, kin=self._kin, offload=self._offload)
        config = config_of(group, found.storage, found.store)
        self._replica = Replica(config, found.storage, found.store, nonce=1 + group.random(1 << 30))
        self._snapshots = SnapshotKeeper(self._disk, self._replica)
        if self._is_alone():
            self._replica.node.campaign()  # nobody else could lead
        else:
            self._caught_up.set()

    def _is_alone(self) -> bool:
        return self._replica.node.raft.tracker.voter_ids() == (self._group.member,)

    async def wait_ready(self) -> None:
        """Return when there is something to serve: a member that is alone has applied all of its log, others may take what comes. Raises Unavailable (`disk_full`)."""
        await self._caught_up.wait()
        if self._is_alone() and self._disk.full is not None:
            raise self._disk.full

    @property
    def store(self) -> Store:
        return self._replica.store

    @property
    def is_leader(self) -> bool:
        """Say whether we lead, and know all that was committed before."""
        return self._replica.is_caught_up()

    @property
    def hindrance(self) -> Unavailable | None:
        """Why what is written elsewhere may not come here for long, if that is so: we may be cut off, or have no room for it."""
        return no_leader() if self._replica.is_leaderless else self._disk.stuck

    def may_read(self) -> bool:
        """Say whether a read is linearizable at once, without asking anybody."""
        return self._replica.may_read()

    # What is asked.

    def propose(self, proposal: Proposal, settle: Settle, *, at_once: bool = False) -> None:
        """Have a command applied; `settle` is called once with what became of it. It begins when `run` has its turn, or at once. Raises Overloaded, Invalid, Unavailable (`stopping`)."""
        self._replica.propose(self._next(), proposal)
        self._asked[self._number] = (settle, now_s())
        self._go_on(at_once=at_once)

    def read(self, settle: Settle) -> None:
        """Have `settle` called with nothing as soon as a read is linearizable. Raises Overloaded, Unavailable (`stopping`)."""
        self._replica.read(self._next())
        self._asking(settle)

    async def change(self, request: ChangeMembers) -> Answer:
        """Change the membership, if the leader has nothing against it; return when it took effect here. Raises as `propose`, Refused, Conflict, OutcomeUnknown."""
        if not self._replica.is_leader:
            return await self._leader().ask(request, within=CHANGE_S)
        await self._check(request.change)
        if not self._disk.storage.statistics().snapshot_index:
            # Of a log that has no founders in it: who joins must not begin with its first entry.
            await self.snapshot_now()
        waiting = Pending()
        self._replica.propose_change(self._next(), request.change)
        self._asking(partial(settle_pending, waiting))
        await waiting.wait()
        answer: Answer = waiting.result()
        return answer

    async def _check(self, change: ConfChangeV2) -> None:
        """Raise what the leader has against a change. Whether a member is silent shows within some ticks."""
        raft = self._replica.node.raft
        for _ in range(ELECTION_TICKS):
            error = objection(raft, change.changes)
            if error is None:
                return
            await anyio.sleep(TICK_S)
        assert error is not None
        raise error

    def _leader(self) -> Peer:
        peer = self._peers.get(self._replica.lead)
        if peer is None:
            raise NotLeader(
                "nobody leads the Barn at the moment", code="no_leader", hint="try again"
            )
        return peer

    def transfer(self, successor: int) -> None:
        """Hand the leadership over, if the successor can take it."""
        self._replica.node.transfer_leader(successor)
        self._wake.ring()

    def receive(self, told: PeerMessages, *, at_once: bool = False) -> None:
        """Take messages of another member. Raises Broken (`log_lost`)."""
        self._replica.receive(filter(self._is_due, self._kin.messages(told)))
        self._go_on(at_once=at_once)

    async def take_chunk(self, chunk: SnapshotChunk) -> Wanted:
        """Take a piece of a snapshot; say from where to go on. Raises Invalid, Unavailable (`disk_full`, `snapshot_damaged`)."""
        return await self._disk.take_chunk(chunk)

    def _is_due(self, message: Message) -> bool:
        """Say whether a message can be taken: it is for us, and all chunks of a snapshot are here. Raises Broken (`log_lost`) if it speaks of what we had and have not."""
        match message.type:
            case MessageType.MsgHeartbeat:
                last_index = self._replica.node.raft.log.last_index()
                if message.commit > last_index:
                    raise log_lost(message.commit, last_index)
            case MessageType.MsgSnap:
                snapshot = message.snapshot
                return snapshot is not None and self._disk.has_whole(snapshot.metadata)
            case MessageType.MsgReadIndex if not message.entries:
                return False
        return message.to == self._group.member

    def _next(self) -> int:
        """Return the number to ask the replica under; whoever is refused right there is not told again. Raises Unavailable (`stopping`)."""
        if self._is_closing:
            raise Unavailable("the Barn is stopping", code="stopping", hint="try again")
        self._number += 1
        return self._number

    def _asking(self, settle: Settle) -> None:
        """Note who is told what became of it."""
        self._asked[self._number] = (settle, now_s())
        self._wake.ring()

    def close(self) -> None:
        """Take no more; `run` ends when what is under way is done, or after CLOSING_S."""
        self._is_closing = True
        self._wake.ring()

    # What is done.

    async def run(self) -> None:
        """Be a member until `close`. Raises Broken if the disk fails; whoever waits then is told that the outcome is unknown."""
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._keep_time)
                self._tasks = group
                for member in self._replica.node.raft.others():
                    # The first message to it must not be lost for want of a connection.
                    self._peer(member, group)
                await self._work_until_closed(group)
                group.cancel_scope.cancel()
        except BaseExceptionGroup as failed:
            known, _ = failed.split(RuninkError)
            if known is None:
                raise
            raise first_error(known) from failed
        finally:
            self._tasks = None
            asked, self._asked = self._asked, {}
            for settle, _ in asked.values():
                settle(stopped())

    def _go_on(self, *, at_once: bool) -> None:
        """Do what follows from what came, now or when `run` has its turn."""
        if at_once and self._tasks is not None:
            self._turn(self._tasks)
        else:
            self._wake.ring()

    def _turn(self, group: anyio.abc.TaskGroup) -> None:
        self._look_at_written(group)
        work = self._replica.work()
        self._carry_out(work, group)
        # A follower goes on when its write is done, or with the next tick: nobody waits for it, and the log's thread needs the interpreter now.
        if work.has_more and (work.append is None or self._replica.is_leader):
            self._wake.ring()

    async def _work_until_closed(self, group: anyio.abc.TaskGroup) -> None:
        deadline_s = float("inf")
        while now_s() < deadline_s:
            self._turn(group)
            if self._is_closing:
                deadline_s = min(deadline_s, now_s() + CLOSING_S)
                if not self._asked and not self._disk.is_busy:
                    return
                with anyio.move_on_at(deadline_s):
                    await self._wake.wait()
            else:
                await self._wake.wait()

    def _carry_out(self, work: Work, group: anyio.abc.TaskGroup) -> None:
        for member, messages in work.messages.items():
            self._peer(member, group).send(messages)
        for message in work.snapshots:
            group.start_soon(self._send_snapshot, message, self._peer(message.to, group))
        append = work.append
        if append is not None and not self._disk.append_soon(
            append, partial(self._append_over, append)
        ):
            group.start_soon(self._append, append)
        if work.room_bytes:
            group.start_soon(self._make_room, work.room_bytes)
        for proposal, answer in work.applied:
            self._hears.applied(proposal, answer)
        for number in work.readable:
            self._asked.pop(number)[0](None)
        if self._disk.stuck is not None:
            for number in self._replica.cannot_follow():
                self._asked.pop(number)[0](self._disk.stuck)
        self._answer(work.answers)
        if work.applied:
            self._hears.changed()
        if work.applied or self._disk.storage.lacks_membership:
            self._snapshots.look(group)
        if self._replica.is_caught_up() or self._disk.full is not None:
            self._caught_up.set()

    def _answer(self, answers: Iterable[tuple[int, Answer | RuninkError]]) -> None:
        at_s = now_s()
        for number, outcome in answers:
            settle, since_s = self._asked.pop(number)
            self._metrics.answered(outcome, at_s - since_s)
            settle(outcome)

    def _peer(self, member: int, group: anyio.abc.TaskGroup) -> Peer:
        peer = self._peers.get(member)
        if peer is None:
            connect = self._group.connect
            assert connect is not None, "a group of one has no other members"
            peer = self._peers[member] = Peer(
                member,
                cluster=lambda: self._kin.name,
                sender=self._group.member,
                connect=lambda: connect(member, address_in(self.store, member)),
                lost=self._lost,
            )
            group.start_soon(peer.run)
        return peer

    def _lost(self, member: int) -> None:
        self._replica.node.report_unreachable(member)
        self._wake.ring()

    def _append_over(self, append: Append, outcome: Outcome) -> None:
        self._written = (append, outcome)
        self._wake.ring()

    def _look_at_written(self, group: anyio.abc.TaskGroup) -> None:
        if self._written is None:
            return
        (append, (written, error)), self._written = self._written, None
        if error is None:
            self._note_written(append, written)
        elif isinstance(error, Unavailable):
            group.start_soon(self._append, append)
        else:
            raise error

    async def _append(self, append: Append) -> None:
        self._note_written(append, await self._disk.append(append, on_full=self._wake.ring))
        self._wake.ring()

    def _note_written(self, append: Append, written: Written) -> None:
        self._replica.written(append, store=written.store, free_bytes=written.free_bytes)
        self._metrics.written(append, written)
        if written.store is not None:
            self._hears.replaced()

    async def _make_room(self, room_bytes: int) -> None:
        try:
            self._replica.room(await self._disk.make_room(room_bytes))
        except Unavailable as full:
            self._replica.no_room(full)
            self._replica.step_aside()
        self._wake.ring()

    async def _send_snapshot(self, message: Message, peer: Peer) -> None:
        is_delivered = False
        try:
            await self._disk.send_snapshot(message, peer)
            is_delivered = True
        except RuninkError as error:
            _log.info("snapshot not sent", extra={"member": peer.member, "error": error.text})
        self._metrics.snapshot_sent(is_delivered=is_delivered)
        self._replica.node.report_snapshot(peer.member, is_delivered=is_delivered)
        self._wake.ring()

    async def snapshot_now(self) -> None:
        """Write the state, and drop the log before it, without waiting for it to grow. Raises Unavailable (`disk_full`, `busy`)."""
        await self._snapshots.now()

    async def _keep_time(self) -> None:
        while True:  # ends by being cancelled
            await anyio.sleep(TICK_S)
            self._snapshots.tick()
            self._replica.tick()
            self._wake.ring()

    async def shut(self) -> None:
        """Give the directory free."""
        await self._disk.shut()

    def statistics(self) -> MemberStatistics:
        return statistics_of(
            self._replica, self._disk, batches=self._metrics.batches, entries=self._metrics.entries
        )

    def readings(self) -> Iterator[Reading]:
        """Yield its metrics."""
        return self._metrics.readings(self._replica, self._disk, self._peers)
