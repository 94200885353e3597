"""What a member sends to another one: its queue, the bound of it, what is told as lost, and the connection that comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import anyio
import msgspec
import pytest
import trio.testing
from runink.actors import peers
from runink.actors.peers import Peer, PeerMessages, SnapshotChunk, Wanted
from runink.errors import LinkLost, Overloaded
from runink.raft.messages import Entry, Message, MessageType

BIG = bytes(1000)


def committed(index: int) -> Message:
    """A message that says nothing but how far the log is committed; told apart in frames by its sign."""
    return Message(type=MessageType.MsgApp, to=2, term=1, commit=index)


def appended(index: int, data: bytes = b"") -> Message:
    entries = (Entry(term=1, index=index, data=data),)
    return Message(type=MessageType.MsgApp, to=2, term=1, entries=entries)


@dataclass
class Receiver:
    """The other member: `frames` arrived. It takes messages while `open` is set, and breaks the connection with the next one if `is_breaking`."""

    frames: list[list[int]] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    connections: list[float] = field(default_factory=list)
    is_there: bool = True
    is_breaking: bool = False
    open: anyio.Event = field(default_factory=anyio.Event)

    @property
    def address(self) -> str:
        return "member-2"

    @asynccontextmanager
    async def connect(self, *_: Any) -> AsyncIterator[Any]:
        self.connections.append(anyio.current_time())
        await anyio.lowlevel.checkpoint()
        if not self.is_there:
            raise LinkLost("away")
        yield self

    async def tell(self, message: PeerMessages) -> None:
        await self.open.wait()
        if self.is_breaking:
            raise LinkLost("broken")
        assert (message.cluster, message.sender) == ("barn", 1)
        self._take(message)

    def flush(self) -> None:
        """Do nothing: it is there."""

    def tell_nowait(self, message: PeerMessages) -> None:
        if self.is_breaking:
            raise LinkLost("broken")
        if not self.open.is_set():
            raise Overloaded("busy")
        self._take(message)

    def _take(self, message: PeerMessages) -> None:
        self.frames.append(
            [one.entries[0].index if one.entries else -one.commit for one in message.messages()]
        )

    async def ask(self, request: SnapshotChunk, *, within: float) -> Wanted:
        await anyio.lowlevel.checkpoint()
        return Wanted(request.offset + len(request.data), is_whole=False)

    def peer(self) -> Peer:
        return Peer(
            2, cluster=lambda: "barn", sender=1, connect=self.connect, lost=self.lost.append
        )


@asynccontextmanager
async def running(receiver: Receiver) -> AsyncIterator[Peer]:
    peer = receiver.peer()
    async with anyio.create_task_group() as group:
        group.start_soon(peer.run)
        await anyio.sleep(0.01)  # the time is virtual
        yield peer
        group.cancel_scope.cancel()


pytestmark = pytest.mark.trio


async def test_what_is_queued_while_the_other_is_busy_goes_in_one_frame(
    autojump_clock: trio.testing.MockClock,
):
    receiver = Receiver()
    async with running(receiver) as peer:
        peer.send([appended(1)])
        await anyio.sleep(0.01)
        for index in range(2, 6):
            peer.send([appended(index)])
        receiver.open.set()
        await anyio.sleep(0.01)
    assert receiver.frames == [[1], [2, 3, 4, 5]]
    assert receiver.lost == []


async def test_a_frame_is_bounded_but_holds_one_message_at_least(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(peers, "BATCH_BYTES_MAX", 2500)
    receiver = Receiver()
    receiver.open.set()
    async with running(receiver) as peer:
        peer.send([appended(index, BIG) for index in range(1, 6)])
        peer.send([appended(6, bytes(5000))])
        await anyio.sleep(0.01)
    assert receiver.frames == [[1, 2], [3, 4], [5], [6]]


async def test_a_queue_that_overflows_loses_the_oldest_and_says_whose_it_was(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(peers, "PEER_BYTES_MAX", 5000)
    receiver = Receiver()
    async with running(receiver) as peer:
        peer.send([appended(1)])  # is on its way, and held up
        await anyio.sleep(0.01)
        for index in range(2, 12):
            peer.send([appended(index, BIG)])
        assert peer.dropped > 0
        assert receiver.lost == [2] * len(receiver.lost)
        assert receiver.lost
        receiver.open.set()
        await anyio.sleep(0.01)
    arrived = [index for frame in receiver.frames for index in frame]
    assert arrived == [1, *range(2 + peer.dropped, 12)]


async def test_what_is_sent_without_a_connection_is_lost_and_told(
    autojump_clock: trio.testing.MockClock,
):
    receiver = Receiver(is_there=False)
    async with running(receiver) as peer:
        assert not peer.is_connected
        peer.send([appended(1)])
        assert receiver.lost == [2]
        with pytest.raises(LinkLost):
            await peer.ask(SnapshotChunk("barn", b""), within=1.0)
    assert receiver.frames == []


async def test_a_broken_connection_loses_what_was_queued_and_is_made_again(
    autojump_clock: trio.testing.MockClock,
):
    receiver = Receiver(is_breaking=True)
    async with running(receiver) as peer:
        peer.send([appended(1)])
        await anyio.sleep(0.01)
        peer.send([appended(2)])
        receiver.open.set()
        await anyio.sleep(0.01)
        assert not peer.is_connected
        assert receiver.lost == [2]
        receiver.is_breaking = False
        await anyio.sleep(2)
        assert peer.is_connected
        peer.send([appended(3)])
        await anyio.sleep(0.01)
    assert receiver.frames == [[3]]


async def test_the_pause_before_the_next_try_grows_to_a_bound_and_is_short_again_after_a_connection(
    autojump_clock: trio.testing.MockClock,
):
    receiver = Receiver(is_there=False)
    receiver.open.set()
    async with running(receiver) as peer:
        await anyio.sleep(30)
        tries = receiver.connections
        pauses = [later - earlier for earlier, later in pairwise(tries)]
        assert pauses[0] == pytest.approx(peers.PAUSE_S)
        assert pauses == pytest.approx(sorted(pauses))
        assert max(pauses) == pytest.approx(peers.PAUSE_S_MAX)
        receiver.is_there = True
        await anyio.sleep(2)
        assert peer.is_connected
        receiver.is_breaking = True
        receiver.connections.clear()
        began_s = anyio.current_time()
        peer.send([appended(1)])
        await anyio.sleep(peers.PAUSE_S + 0.01)
        assert receiver.connections[0] - began_s == pytest.approx(peers.PAUSE_S)


async def test_a_message_goes_at_once_while_the_other_takes_it(
    autojump_clock: trio.testing.MockClock,
):
    receiver = Receiver()
    receiver.open.set()
    async with running(receiver) as peer:
        peer.send([appended(1)])
        assert receiver.frames == [[1]]


async def test_a_notice_of_the_commit_index_goes_with_the_next_message_or_a_little_later(
    autojump_clock: trio.testing.MockClock,
):
    receiver = Receiver()
    receiver.open.set()
    async with running(receiver) as peer:
        peer.send([committed(1)])
        peer.send([appended(2)])
        assert receiver.frames == [[2, -1]]
        peer.send([committed(3)])
        peer.send([committed(4)])
        assert len(receiver.frames) == 1
        await anyio.sleep(2 * peers.HOLD_S)
        assert receiver.frames[1:] == [[-4]]


async def test_a_message_that_says_as_much_takes_the_place_of_a_notice(
    autojump_clock: trio.testing.MockClock,
):
    receiver = Receiver()
    receiver.open.set()
    async with running(receiver) as peer:
        peer.send([committed(1)])
        peer.send([msgspec.structs.replace(appended(2), commit=1)])
        await anyio.sleep(2 * peers.HOLD_S)
        assert receiver.frames == [[2]]
