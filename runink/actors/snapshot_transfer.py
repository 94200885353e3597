"""The state of a member, brought to another one: in chunks, each asked for, so that the receiver's disk sets the pace.

The sender offers its newest snapshot by its facts (`storage/snapshot.py`), and the receiver says from where to go on: from 0, from where an earlier connection or an
earlier life of it came to, or that it has all.  Then the message of consensus follows, which lets the snapshot take effect; before its chunks are
whole the receiver does not take that message.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import structs

from runink.actors.kin import Kin
from runink.actors.offload import Offload
from runink.actors.peers import Peer, SnapshotChunk, Wanted
from runink.errors import Invalid, NotFound
from runink.raft.messages import Message, Snapshot, SnapshotMetadata
from runink.storage.disk import Disk
from runink.storage.log_storage import LogStorage
from runink.storage.receiving import SnapshotReceiver, open_receiver
from runink.storage.snapshot import SnapshotReader, decode_facts, encode_facts

CHUNK_BYTES: Final = 1 << 20
CHUNK_S: Final = 20.0  # for a chunk to be written at the other end


class SnapshotTransfer:
    """Both ends of it, for one member. `write` is where the log is written too, because a whole snapshot takes its place."""

    def __init__(
        self, kin: Kin, disk: Disk, storage: LogStorage, *, offload: Offload, write: Offload
    ) -> None:
        self._kin = kin
        self._disk = disk
        self._storage = storage
        self._offload = offload
        self._write = write
        self._receiver: SnapshotReceiver | None = None

    async def send(self, message: Message, peer: Peer) -> None:
        """Bring our newest snapshot to a member, and then the message. Raises LinkLost, TimedOut, and what the receiver refuses it with."""
        reader: SnapshotReader | None = await self._offload(self._storage.read_snapshot)
        if reader is None:
            raise NotFound("there is no snapshot", code="no_snapshot")
        try:
            facts = encode_facts(reader.facts)
            wanted = await peer.ask(SnapshotChunk(self._kin.name, facts), within=CHUNK_S)
            while not wanted.is_whole:  # ends: each chunk brings it on, or an error comes
                data = await self._offload(reader.read, wanted.offset, CHUNK_BYTES)
                chunk = SnapshotChunk(self._kin.name, facts, wanted.offset, data)
                wanted = await peer.ask(chunk, within=CHUNK_S)
            # It may be newer than what the message said when it was made.
            snapshot = Snapshot(reader.facts.metadata, facts)
            peer.send([structs.replace(message, snapshot=snapshot)])
        finally:
            reader.close()

    async def take(self, chunk: SnapshotChunk) -> Wanted:
        """Take a piece of a snapshot; say from where to go on. Raises Invalid, Unavailable (`disk_full`, `snapshot_damaged`)."""
        if not self._kin.is_ours(chunk.cluster):
            raise Invalid(f"a snapshot of cluster {chunk.cluster}", code="other_cluster")
        receiver: SnapshotReceiver = await self._write(self._written, chunk)
        return Wanted(receiver.have_bytes, receiver.is_whole)

    def _written(self, chunk: SnapshotChunk) -> SnapshotReceiver:
        try:
            facts = decode_facts(chunk.facts)
        except msgspec.MsgspecError as error:
            raise Invalid(f"a snapshot: {error}", code="bad_message") from error
        if self._receiver is None or self._receiver.facts != facts:
            self.close()
            self._receiver = open_receiver(self._disk, facts)
        if chunk.data:
            self._receiver.write(chunk.data, chunk.offset)
        return self._receiver

    def has_whole(self, metadata: SnapshotMetadata) -> bool:
        """Say whether this snapshot is here as a whole, and waits for its message."""
        receiver = self._receiver
        return receiver is not None and receiver.is_whole and receiver.facts.metadata == metadata

    def close(self) -> None:
        """Let go of the file that is being received; what is in it stays."""
        if self._receiver is not None:
            self._receiver.close()
            self._receiver = None
