"""What a member of the Barn sends to the others: a queue and a connection each, made again when it is lost.

Messages of consensus may be lost, but not held up by those to somebody else, and not pile up for a member that is away: beyond PEER_BYTES_MAX the oldest
go.  Whenever something was lost for certain, `lost` says whose it was, and the core sends again from where that member is known to be.

A message goes out at once if there is room.  One that says nothing but how far the log is committed may wait for the next, HOLD_S at most: under load there is a
next one, and two messages and an answer less for each write.  Whoever waits for a follower to come so far is told by a message that takes it along.

Snapshots go in chunks, asked one by one, so that the receiver's disk sets the pace; the answer says from where to go on, also after
a connection was lost or the receiver was started anew.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import ClassVar, Final, TypeVar

import anyio
import msgspec

from runink.errors import LinkLost, RuninkError
from runink.loops import Bell
from runink.raft.messages import Message, MessageType
from runink.runtime.actor import Request
from runink.runtime.cell import first_error
from runink.runtime.ref import Ref
from runink.wire.frames import FRAME_BYTES_MAX

PEER_BYTES_MAX: Final = (
    32 << 20
)  # some hundred full messages of entries: more would be sent again anyway
BATCH_BYTES_MAX: Final = 4 << 20  # of messages in one frame, one message at least
HOLD_S: Final = 0.005  # a fraction of what an election, or a person, would notice
MESSAGE_BYTES: Final = 64  # what a message takes beside its entries, about
PAUSE_S: Final = 0.05  # before the next try to connect; doubled with each
PAUSE_S_MAX: Final = 1.0
OF_MEMBERS: Final = frozenset(
    {
        MessageType.MsgProp,
        MessageType.MsgApp,
        MessageType.MsgAppResp,
        MessageType.MsgVote,
        MessageType.MsgVoteResp,
        MessageType.MsgSnap,
        MessageType.MsgHeartbeat,
        MessageType.MsgHeartbeatResp,
        MessageType.MsgTransferLeader,
        MessageType.MsgTimeoutNow,
        MessageType.MsgReadIndex,
        MessageType.MsgReadIndexResp,
        MessageType.MsgPreVote,
        MessageType.MsgPreVoteResp,
    }
)  # all other kinds are of a member to itself

R = TypeVar("R")

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[Message]).decode
_log = logging.getLogger(__name__)


class PeerMessages(msgspec.Struct, frozen=True):
    """Messages of consensus, from a member of the same cluster."""

    bytes_max: ClassVar[int] = FRAME_BYTES_MAX

    cluster: str
    sender: int
    data: bytes

    def messages(self) -> list[Message]:
        """Return the messages, of the kinds that members send each other. Raises msgspec.MsgspecError for bytes that are none."""
        return [message for message in _decode(self.data) if message.type in OF_MEMBERS]


class Wanted(msgspec.Struct, frozen=True):
    """How far the receiver has a snapshot, and whether that is all of it."""

    offset: int
    is_whole: bool


class SnapshotChunk(Request[Wanted], frozen=True):
    """A piece of a snapshot; `facts` say which (`storage/snapshot.py`). An empty one only asks from where to go on."""

    bytes_max: ClassVar[int] = FRAME_BYTES_MAX

    cluster: str
    facts: bytes
    offset: int = 0
    data: bytes = b""


PeerRef = Ref[PeerMessages | SnapshotChunk]
Connect = Callable[
    [int, str], AbstractAsyncContextManager[PeerRef]
]  # a member, and where the Barn says that it listens


class Peer:
    """One other member. `run` keeps the connection; `send` never waits. `cluster` returns the name of our group."""

    def __init__(
        self,
        member: int,
        *,
        cluster: Callable[[], str],
        sender: int,
        connect: Callable[[], AbstractAsyncContextManager[PeerRef]],
        lost: Callable[[int], object],
    ) -> None:
        self.member = member
        self._cluster = cluster
        self._sender = sender
        self._connect = connect
        self._lost = lost
        self._queue: deque[tuple[Message, int]] = deque()  # with their sizes
        self._bytes = 0
        self._wake = Bell()
        self._notice: Message | None = (
            None  # of the commit index, which may wait for another message
        )
        self._held = Bell()
        self._ref: PeerRef | None = None
        self.sent = 0  # messages
        self.dropped = 0

    @property
    def is_connected(self) -> bool:
        return self._ref is not None

    def send(self, messages: Sequence[Message]) -> None:
        """Send messages, or queue them; without a connection they are lost, which the core is told."""
        if self._ref is None:
            self._drop(len(messages))
            return
        urgent = self._urgent(messages)
        if not urgent:
            self._held.ring()
            return
        if not self._queue and self._is_sent(self._ref, urgent):
            return
        for message in urgent:
            size = _bytes_of(message)
            self._queue.append((message, size))
            self._bytes += size
        excess = 0
        while self._bytes > PEER_BYTES_MAX:
            self._bytes -= self._queue.popleft()[1]
            excess += 1
        if excess:
            self._drop(excess)
        self._wake.ring()

    def _urgent(self, messages: Sequence[Message]) -> list[Message]:
        """Return what has to go now, with the notice that was held, unless a message says as much; hold a notice if there is nothing else."""
        notice, self._notice = self._notice, None
        urgent: list[Message] = []
        for message in messages:
            if message.type is MessageType.MsgApp and not message.entries:
                notice = message
                continue
            urgent.append(message)
            if message.type is MessageType.MsgApp and notice and message.commit >= notice.commit:
                notice = None
        if notice is None:
            return urgent
        if urgent:
            return [*urgent, notice]
        self._notice = notice
        return []

    def _is_sent(self, ref: PeerRef, messages: Sequence[Message]) -> bool:
        """Send at once, if the connection takes it and it is no more than a frame; say whether it did."""
        if sum(map(_bytes_of, messages)) > BATCH_BYTES_MAX:
            return False
        try:
            ref.tell_nowait(PeerMessages(self._cluster(), self._sender, _encode(messages)))
        except RuninkError:
            return False  # the queue finds out what is the matter
        ref.flush()  # before the disk is begun with, and with it another thread
        self.sent += len(messages)
        return True

    async def ask(self, request: Request[R], *, within: float) -> R:
        """Ask the member itself. Raises LinkLost, TimedOut and what it refuses it with."""
        ref = self._ref
        if ref is None:
            raise LinkLost(f"member {self.member} is not connected", hint="try again")
        return await ref.ask(request, within=within)

    async def run(self) -> None:
        """Connect, send what is queued, and begin again when the connection is lost. Ends by being cancelled."""
        pause_s = PAUSE_S
        while True:  # ends by being cancelled
            try:
                async with self._connect() as ref:
                    self._ref = ref
                    pause_s = PAUSE_S
                    async with anyio.create_task_group() as group:
                        group.start_soon(self._send_held)
                        await self._send_all(ref)
            except* RuninkError as errors:
                if self._ref is not None:
                    fields = {"member": self.member, "error": str(first_error(errors))}
                    _log.info("member lost", extra=fields)
                    self._lost(self.member)  # and what was under way with it, perhaps
            finally:
                self._ref = self._notice = None
                self.dropped += len(self._queue)
                self._queue.clear()
                self._bytes = 0
            await anyio.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSE_S_MAX)

    async def _send_held(self) -> None:
        """Let no notice wait longer than HOLD_S. Ends by being cancelled."""
        while True:  # ends by being cancelled
            await self._held.wait()
            await anyio.sleep(HOLD_S)
            if self._notice is not None:
                notice, self._notice = self._notice, None
                self._queue.append((notice, MESSAGE_BYTES))
                self._bytes += MESSAGE_BYTES
                self._wake.ring()

    async def _send_all(self, ref: PeerRef) -> None:
        while True:  # ends when the connection does
            while not self._queue:
                await self._wake.wait()
            batch = self._next_batch()
            await ref.tell(PeerMessages(self._cluster(), self._sender, _encode(batch)))
            self.sent += len(batch)

    def _next_batch(self) -> list[Message]:
        batch: list[Message] = []
        size = 0
        while self._queue and (not batch or size + self._queue[0][1] <= BATCH_BYTES_MAX):
            message, more = self._queue.popleft()
            batch.append(message)
            size += more
        self._bytes -= size
        return batch

    def _drop(self, count: int) -> None:
        if count:
            self.dropped += count
            self._lost(self.member)


def _bytes_of(message: Message) -> int:
    return MESSAGE_BYTES + sum(MESSAGE_BYTES + len(entry.data) for entry in message.entries)
