"""Group commit: while one sync is under way, what is proposed waits, and goes into the next sync together.

    waiting      proposed, not yet given to the disk     may still be refused: nothing happened
    under way    in the batch that is being synced       cannot be taken back; if it fails, the outcome is unknown
    applied      on disk and in the store                answered

One task (`run`) moves batches from one to the next, so the log has one writer.  The sync itself runs in a worker thread (`offload`),
and the event loop goes on: that is where the next batch comes from.  After a batch is answered the task gives way once,
because those who were answered will ask again, and should be in the next batch.

A full disk refuses a batch and harms nothing; every other failure of the disk ends `run` with Broken, and its owner must open the log anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import anyio
import anyio.lowlevel

from runink.actors.journal import Journal
from runink.barn.commands import Answer, Proposal
from runink.errors import Broken, OutcomeUnknown, Overloaded, RuninkError, Unavailable

BATCH_ENTRIES_MAX: Final = 512  # applied in one go on the event loop: some 5 ms
BATCH_BYTES_MAX: Final = (
    1 << 20
)  # a larger write makes everybody in it wait longer than a second sync would
WAITING_MAX: Final = 4096  # a second of work; beyond it, callers had better know
WAITING_BYTES_MAX: Final = 64 << 20  # what the waiting may hold in memory
SNAPSHOT_RETRY_ENTRIES: Final = 1_000  # after a snapshot that found no room


class Offload(Protocol):
    """Run a blocking function without blocking the event loop, and return what it returns."""

    def __call__(self, function: Callable[..., Any], *args: Any) -> Awaitable[Any]: ...


async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Run a function in a worker thread; a cancelled caller waits for its end."""
    return await anyio.to_thread.run_sync(function, *args)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A proposal, its payload, and who is told the outcome."""

    proposal: Proposal
    payload: bytes
    settle: Callable[[Answer | RuninkError], object]


@dataclass(frozen=True, slots=True)
class CommitStatistics:
    waiting: int
    batches: int
    entries: int
    refused: int
    snapshots: int
    trouble: str  # why the last batch was refused; empty again once one is on disk


class GroupCommit:
    """The one writer of a journal. `applied` is called with every proposal that took its place in the store."""

    def __init__(
        self,
        journal: Journal,
        *,
        offload: Offload = in_thread,
        applied: Callable[[Proposal, Answer], object],
        batch_done: Callable[[], object],
    ) -> None:
        self._journal = journal
        self._offload = offload
        self._applied = applied
        self._batch_done = batch_done
        self._waiting: deque[Waiting] = deque()
        self._waiting_bytes = 0
        self._under_way: list[Waiting] = []
        self._wake = anyio.Event()
        self._closing = False
        self._snapshot_running = False
        self._snapshot_asked: list[Callable[[RuninkError | None], object]] = []
        self._truncate_due = False
        self._truncated: list[Callable[[RuninkError | None], object]] = []
        self._snapshot_not_before = 0
        self._batches = 0
        self._entries = 0
        self._refused = 0
        self._snapshots = 0
        self._trouble = ""
        self._trouble_bytes = 0  # the largest of the proposals that it refused

    def propose(self, waiting: Waiting) -> None:
        """Queue a proposal. Raises Overloaded if too many wait, Unavailable (`stopping`) after `close`."""
        if self._closing:
            raise Unavailable("the Barn is stopping", code="stopping", hint="try again")
        size = self._waiting_bytes + len(waiting.payload)
        if len(self._waiting) >= WAITING_MAX or size > WAITING_BYTES_MAX:
            raise Overloaded(
                f"{len(self._waiting)} proposals wait for the disk already",
                hint="try again in a moment; `runi doctor` measures the disk",
            )
        self._waiting.append(waiting)
        self._waiting_bytes = size
        self._wake.set()

    def snapshot_now(self, settle: Callable[[RuninkError | None], object]) -> None:
        """Write a snapshot as soon as none is being written, and drop the log before it; then settle. Raises Unavailable (`stopping`) after `close`."""
        if self._closing:
            raise Unavailable("the Barn is stopping", code="stopping", hint="try again")
        self._snapshot_asked.append(settle)
        self._wake.set()

    def close(self) -> None:
        """Take no more; `run` ends when all that waits is on disk."""
        self._closing = True
        self._wake.set()

    def statistics(self) -> CommitStatistics:
        return CommitStatistics(
            waiting=len(self._waiting),
            batches=self._batches,
            entries=self._entries,
            refused=self._refused,
            snapshots=self._snapshots,
            trouble=self._trouble,
        )

    async def run(self) -> None:
        """Commit what is proposed until `close`. Raises Broken if the disk fails; whoever waits then is told what is known."""
        try:
            async with anyio.create_task_group() as group:
                while self._waiting or self._truncate_due or not self._closing:
                    await self._wait_for_work()
                    await self._commit_batch()
                    await self._keep_log_short(group)
        except BaseExceptionGroup as failed:
            broken, _ = failed.split(Broken)
            if broken is None:
                raise
            raise _first(broken) from failed
        finally:
            self._settle_leftovers()

    async def _wait_for_work(self) -> None:
        is_asked = self._snapshot_asked and not self._snapshot_running
        if not (self._waiting or self._truncate_due or is_asked or self._closing):
            self._wake = anyio.Event()
            await self._wake.wait()
        await anyio.lowlevel.checkpoint()  # those who were just answered ask again first

    def _take_batch(self) -> list[Waiting]:
        batch: list[Waiting] = []
        size = 0
        while self._waiting and len(batch) < BATCH_ENTRIES_MAX:
            size += len(self._waiting[0].payload)
            if batch and size > BATCH_BYTES_MAX:
                break
            batch.append(self._waiting.popleft())
        self._waiting_bytes -= sum(len(waiting.payload) for waiting in batch)
        return batch

    async def _commit_batch(self) -> None:
        batch = self._under_way = self._take_batch()
        if not batch:
            return
        entries = self._journal.entries_for([waiting.payload for waiting in batch])
        largest_bytes = max(len(waiting.payload) for waiting in batch)
        try:
            await self._offload(self._journal.append, entries)
        except Unavailable as full:
            self._under_way = []
            self._refused += len(batch)
            self._trouble, self._trouble_bytes = full.text, largest_bytes
            for waiting in batch:
                waiting.settle(full)
            return
        for waiting, entry in zip(batch, entries, strict=True):
            answer = self._journal.apply(entry, waiting.proposal)
            self._applied(waiting.proposal, answer)
            waiting.settle(answer)
        self._under_way = []
        if (
            largest_bytes >= self._trouble_bytes
        ):  # a small one may find room where the refused has none
            self._trouble, self._trouble_bytes = "", 0
        self._batches += 1
        self._entries += len(batch)
        self._batch_done()

    async def _keep_log_short(self, group: anyio.abc.TaskGroup) -> None:
        if self._truncate_due:
            self._truncate_due = False
            await self._offload(self._journal.truncate)
            asked, self._truncated = self._truncated, []
            for settle in asked:
                settle(None)
        may = self._journal.store.applied_index >= self._snapshot_not_before
        is_due = may and self._journal.lag().is_due
        if not self._snapshot_running and (is_due or self._snapshot_asked):
            self._snapshot_running = True
            group.start_soon(self._snapshot, name="barn snapshot")

    async def _snapshot(self) -> None:
        """Write the state as it is now; batches go on meanwhile."""
        state = self._journal.store.image()
        asked, self._snapshot_asked = self._snapshot_asked, []
        try:
            await self._offload(self._journal.write_snapshot, state)
        except Unavailable as full:
            for settle in asked:
                settle(full)
            # The log just stays long; writes are refused by themselves where there is no room for them.
            self._snapshot_not_before = state.header.index + SNAPSHOT_RETRY_ENTRIES
        except OSError as error:
            raise Broken(
                f"a snapshot in {self._journal.disk.where} failed: {error}", code="wal_failed"
            ) from error
        else:
            self._journal.snapshot_written(state)
            self._snapshots += 1
            self._truncate_due = True
            self._truncated += asked
        finally:
            self._snapshot_running = False
            self._wake.set()

    def _settle_leftovers(self) -> None:
        unknown = OutcomeUnknown(
            "the Barn stopped while this was being written",
            hint="repeat it with the same client and sequence: it is applied once",
        )
        refused = Unavailable("the Barn stopped before this was written", code="stopping")
        for waiting in self._under_way:
            waiting.settle(unknown)
        for waiting in self._waiting:
            waiting.settle(refused)
        for settle in (*self._snapshot_asked, *self._truncated):
            settle(refused)
        self._snapshot_asked, self._truncated = [], []
        self._under_way = []
        self._waiting.clear()
        self._waiting_bytes = 0


def _first(group: BaseExceptionGroup[Broken]) -> Broken:
    """Return the first failure of a group, however deep it stands."""
    for error in group.exceptions:
        return _first(error) if isinstance(error, BaseExceptionGroup) else error
    raise AssertionError("an exception group is never empty")
