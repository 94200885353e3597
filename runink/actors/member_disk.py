"""The directory of a member of the Barn: its log, its snapshots, and those that come from or go to other members.

One blocking call at a time, in worker threads: appends, room, received chunks, truncation.  Only a snapshot of our own state is written beside them:
it works on an image, and the log goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

import anyio

from runink.actors.kin import Kin
from runink.actors.offload import Offload, OneThread, Outcome, in_thread
from runink.actors.peers import Peer, SnapshotChunk, Wanted
from runink.actors.snapshot_transfer import SnapshotTransfer
from runink.barn import image
from runink.barn.effects import Append
from runink.barn.store import Store
from runink.errors import Unavailable
from runink.observe.metrics import Histogram
from runink.raft.messages import ConfState, Entry, HardState, Message, Snapshot, SnapshotMetadata
from runink.storage.disk import Disk
from runink.storage.log_storage import LogStorage, begin_directory, open_log_storage
from runink.storage.reading import SEGMENT_NAME, add_up, read_segments
from runink.storage.records import Position
from runink.storage.segments import is_leftover
from runink.storage.snapshot import NEW as UNFINISHED

FULL_PAUSE_S: Final = 0.2  # until a full disk is tried again
REST_S_MAX: Final = (
    0.02  # after a chunk of a snapshot: the clock also runs while others have the interpreter
)
ROOM_LOW_BYTES: Final = (
    128 << 10
)  # some hundred proposals: when less is left, more is made with the next write
ROOM_BYTES: Final = 512 << 10
FOUNDING: Final = Position(index=1, term=1)  # what a new group's log begins behind
FOUNDED: Final = HardState(term=1, commit=1)


class Written(NamedTuple):
    """What a write came to: the state of its snapshot, if it had one, how much can be appended for certain, and how long it took."""

    store: Store | None
    free_bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Found:
    """What a directory holds when it is opened."""

    disk: Disk
    storage: LogStorage
    store: Store


def open_directory(
    open_disk: Callable[[], Disk], voters: tuple[int, ...], *, segment_bytes: int
) -> Found:
    """Open a directory; an empty one becomes that of a new group with these voters. Blocking.

    Raises WalCorrupt and Broken for what only a person can mend, Unavailable (`disk_full`, `storage_locked`).
    """
    disk = open_disk()
    try:
        if voters and _is_unfounded(disk):
            _found(disk, voters)
        storage, body = open_log_storage(disk, segment_bytes=segment_bytes)
        store = Store.restore(image.decode(body)) if body else Store()
    except BaseException:
        disk.shut()
        raise
    return Found(disk, storage, store)


def _is_unfounded(disk: Disk) -> bool:
    """Say whether nothing was ever acknowledged here: nothing is there but files that were being made, or a founding that was cut off before its snapshot."""
    names = [name for name in disk.names() if not is_leftover(name) and name != UNFINISHED]
    if not all(map(SEGMENT_NAME.fullmatch, names)):
        return False
    contents = add_up(list(read_segments(disk)))
    return (
        not contents.faults
        and not contents.entries
        and contents.snapshot in (None, FOUNDING)
        and contents.hard_state in (HardState(), FOUNDED)
    )


def _found(disk: Disk, voters: tuple[int, ...]) -> None:
    """Make the directory that of a founder. The log begins behind entry 1, so whoever joins later gets the founders by a snapshot, not only the changes since."""
    for name in disk.names():
        disk.remove(name)
    store = Store()
    store.skip(term=FOUNDING.term, index=FOUNDING.index)
    metadata = SnapshotMetadata(ConfState(voters=voters), FOUNDING.index, FOUNDING.term)
    begin_directory(disk, metadata, image.encode(store.image()))


class MemberDisk:
    """An open directory. `full` is why it takes no writes at the moment."""

    def __init__(self, found: Found, *, kin: Kin, offload: Offload) -> None:
        self.storage = found.storage
        self.full: Unavailable | None = None
        self.stuck: Unavailable | None = None  # as long as an Append waits for room
        self.snapshot_seconds = Histogram("runink_barn_snapshot_write_seconds")
        self._disk = found.disk
        self._offload = offload
        # The log has a thread of its own: a pool's costs more, and a snapshot that is written must not hold it up. All
        # that touches the log is done there, one after the other.
        self._thread = OneThread("barn log") if offload is in_thread else None
        self._log_offload: Offload = self._thread or offload
        self._lock = anyio.Lock()
        self._is_appending = False
        self._transfer = SnapshotTransfer(
            kin, found.disk, found.storage, offload=offload, write=self._log_offload
        )

    @property
    def is_busy(self) -> bool:
        return self._is_appending or self._lock.locked()

    def append_soon(self, append: Append, done: Callable[[Outcome], object]) -> bool:
        """Put an Append on disk without a task that waits for it, if nothing else is under way; say whether it is begun. `done` gets what `append` returns or raises, or Unavailable if there is no room: then `append` tries again."""
        if self._thread is None or self.is_busy:
            return False
        self._is_appending = True
        parts = (append.entries, append.hard_state, append.snapshot)
        self._thread.submit(_write, (self.storage, *parts), partial(self._appended, done))
        return True

    def _appended(self, done: Callable[[Outcome], object], outcome: Outcome) -> None:
        self._is_appending = False
        if outcome.error is None:
            self._take_note(outcome.value)
        done(outcome)

    async def append(self, append: Append, *, on_full: Callable[[], object]) -> Written:
        """Put an Append on disk, trying again while there is no room. Raises Broken."""
        parts = (append.entries, append.hard_state, append.snapshot)
        async with self._lock:
            while True:  # ends when there is room, or with the disk's failure
                try:
                    written: Written = await self._log_offload(_write, self.storage, *parts)
                except Unavailable as full:
                    self.full = self.stuck = full
                    on_full()
                    await anyio.sleep(FULL_PAUSE_S)
                else:
                    break
        self._take_note(written)
        return written

    def _take_note(self, written: Written) -> None:
        self.stuck = None
        # A small write may find room where a larger one has none.
        if written.free_bytes >= ROOM_LOW_BYTES:
            self.full = None
        if written.store is not None:
            self._transfer.close()

    async def make_room(self, room_bytes: int) -> int:
        """Make room for so many bytes of entries; return how many fit for certain. Raises Unavailable (`disk_full`), Broken."""
        try:
            async with self._lock:
                free_bytes: int = await self._log_offload(self.storage.make_room, room_bytes)
        except Unavailable as full:
            self.full = full
            raise
        self.full = None
        return free_bytes

    def is_snapshot_due(self, applied_index: int) -> bool:
        """Say whether the log has grown, or the newest snapshot does not know the membership."""
        return self.storage.lacks_membership or self.storage.is_snapshot_due(applied_index)

    async def write_snapshot(self, state: image.Image, conf_state: ConfState) -> None:
        """Put a state on disk, and let the log before it go. Raises Unavailable (`disk_full`), Broken."""
        metadata = SnapshotMetadata(conf_state, state.header.index, state.header.term)
        began_s = time.monotonic()
        chunks = image.encode(state)
        if self._thread is not None:
            chunks = _unhurried(chunks)
        facts = await self._offload(self.storage.write_snapshot, metadata, chunks)
        self.storage.snapshot_written(facts)
        self.snapshot_seconds.observe(time.monotonic() - began_s)
        async with self._lock:
            await self._log_offload(self.storage.truncate)

    async def send_snapshot(self, message: Message, peer: Peer) -> None:
        """See `SnapshotTransfer.send`."""
        await self._transfer.send(message, peer)

    async def take_chunk(self, chunk: SnapshotChunk) -> Wanted:
        """See `SnapshotTransfer.take`."""
        async with self._lock:
            return await self._transfer.take(chunk)

    def has_whole(self, metadata: SnapshotMetadata) -> bool:
        return self._transfer.has_whole(metadata)

    def free_bytes(self) -> int:
        return self._disk.free_bytes()

    async def shut(self) -> None:
        """Give the directory free."""
        self._transfer.close()
        await self._offload(self._close)
        if self._thread is not None:
            self._thread.close()

    def _close(self) -> None:
        self.storage.close()
        self._disk.shut()


def _unhurried(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Rest after each chunk twice as long as it took to make: whoever waits for a put needs the interpreter too, and nobody waits for a snapshot."""
    while True:  # ends with the chunks
        began_s = time.monotonic()
        chunk = next(chunks, None)
        if chunk is None:
            return
        spent_s = time.monotonic() - began_s
        yield chunk
        time.sleep(min(2 * spent_s, REST_S_MAX))


def _write(
    storage: LogStorage,
    entries: tuple[Entry, ...],
    hard_state: HardState | None,
    snapshot: Snapshot | None,
) -> Written:
    began_s = time.monotonic()
    storage.write(entries, hard_state, snapshot)
    seconds = time.monotonic() - began_s
    store = None if snapshot is None else Store.restore(image.decode(storage.read_state()))
    free_bytes = storage.room_bytes
    if free_bytes < ROOM_LOW_BYTES:
        with suppress(Unavailable):  # it is asked for again, and told, when it is needed
            free_bytes = storage.make_room(ROOM_BYTES)
    return Written(store, free_bytes, seconds)
