"""The Barn: the cluster's state, served to everybody. One member for now; Raft will stand between `propose` and the log.

    message      what happens
    Read         answered at once, from the applied state
    Propose      checked, queued for the next sync, answered when it is on disk and applied (`group_commit.py`)
    WatchFrom    answered at once if the history holds something behind the revision; else it waits for a change or its deadline
    Status       answered at once
    _Expire      (own timer) proposes the end of leases that are due

Everything runs on one event loop, so reads and watches see whole batches only.  The disk is worked on by worker threads: one
writes and syncs the log, sometimes another writes a snapshot.

A full disk refuses proposals with `disk_full` and serves the rest; any other failure of the disk, and a damaged log, crash this actor: its
supervisor starts it anew from what is on disk, or gives up and says why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, assert_never

import anyio
import msgspec

from runink.actors.group_commit import GroupCommit, Offload, Waiting, in_thread
from runink.actors.journal import Journal, open_journal
from runink.barn.commands import (
    Answer,
    Applied,
    ExpireLease,
    GrantLease,
    KeepAlive,
    Proposal,
    RevokeLease,
    check_proposal,
    encode_proposal,
)
from runink.barn.history import Watched
from runink.barn.leases import TICK_S, LeaseDeadlines
from runink.barn.watches import Watches
from runink.clients.barn_requests import (
    BarnRequest,
    BarnStatus,
    Pages,
    Propose,
    Read,
    Status,
    WatchFrom,
)
from runink.errors import Invalid, Overloaded, RuninkError
from runink.runtime.actor import Actor, Context, Later
from runink.storage.disk import Disk
from runink.storage.wal import SEGMENT_BYTES

WATCHES_MAX: Final = 4096  # some per node and service; each holds a request open
WATCH_WAIT_S_MAX: Final = (
    300.0  # a watch that waits longer is indistinguishable from a forgotten one
)
CHANGES_MAX: Final = 10_000  # of one answer: it must fit a frame with values of ordinary size


class _Tick(msgspec.Struct, frozen=True):
    """Time to look at leases and at watches that have waited long enough."""


BarnMessage = BarnRequest | _Tick


@dataclass(frozen=True, slots=True)
class _Poll:
    """A watch that waits, until when at most, and who is told."""

    request: WatchFrom
    until_s: float
    later: Later


class Barn(Actor[BarnMessage]):
    """The one member. `open_disk` opens its directory; it is called at every start, so that a restart reads what is there.

    `segment_bytes` is the size of the log's files: small ones let a test fill a disk.
    """

    def __init__(
        self,
        open_disk: Callable[[], Disk],
        *,
        offload: Offload = in_thread,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self._open_disk = open_disk
        self._segment_bytes = segment_bytes
        self._offload = offload
        self._journal: Journal | None = None
        self._commit: GroupCommit
        self._committed: anyio.Event
        self._deadlines = LeaseDeadlines()
        self._watches = Watches()
        self._polls: dict[int, _Poll] = {}
        self._polled = 0
        self._context: Context[BarnMessage]

    async def started(self, context: Context[BarnMessage]) -> None:
        self._context = context
        journal = self._journal = await self._offload(
            _journal_on, self._open_disk, self._segment_bytes
        )
        self._commit = GroupCommit(
            journal, offload=self._offload, applied=self._applied, batch_done=self._batch_done
        )
        self._deadlines.begin(journal.store.leases(), now_s=anyio.current_time())
        self._committed = anyio.Event()
        context.spawn(self._commit_all)
        context.spawn(self._keep_time)

    async def _commit_all(self) -> None:
        try:
            await self._commit.run()
        finally:
            self._committed.set()

    async def stopped(self) -> None:
        """Let what is under way come to disk, then give the directory free. What only waited has been told that it was not written."""
        if self._journal is None:
            return
        self._commit.close()
        await self._committed.wait()
        await self._offload(self._journal.close)
        self._journal = None

    async def _keep_time(self) -> None:
        while True:
            await anyio.sleep(TICK_S)
            await self._context.me.tell(_Tick())

    async def receive(self, message: BarnMessage) -> Pages | BarnStatus | Watched | Later | None:
        match message:
            case Read(spans, limit):
                store = self._open.store
                pages = tuple(store.range(span, limit=limit) for span in spans)
                return Pages(pages, store.revision)
            case Propose(client, sequence, command):
                return self._propose(Proposal(client, sequence, command))
            case WatchFrom():
                return self._watch(message)
            case Status():
                return self._status()
            case _Tick():
                self._tick()
                return None
            case _:
                assert_never(message)

    @property
    def _open(self) -> Journal:
        assert self._journal is not None, "it is open from the start to the stop"
        return self._journal

    # Proposals.

    def _propose(self, proposal: Proposal) -> Later:
        check_proposal(proposal)
        later = Later()
        self._commit.propose(Waiting(proposal, encode_proposal(proposal), partial(_settle, later)))
        return later

    def _applied(self, proposal: Proposal, answer: Answer) -> None:
        """Keep the leases' deadlines up with what the log says."""
        if not isinstance(answer, Applied):
            return
        match proposal.command:
            case GrantLease() | KeepAlive():
                view = self._open.store.lease(answer.lease)
                if view is not None:  # a retry may be answered when the lease has ended already
                    self._deadlines.renewed(view, now_s=anyio.current_time())
            case RevokeLease(lease) | ExpireLease(lease):
                if self._open.store.lease(lease) is None:
                    self._deadlines.ended(lease)
            case _:
                return

    def _tick(self) -> None:
        now_s = anyio.current_time()
        for command in self._deadlines.due(now_s=now_s):
            proposal = Proposal("", 0, command)
            try:
                self._commit.propose(Waiting(proposal, encode_proposal(proposal), _nobody))
            except RuninkError:
                break  # Too much waits already: what is due is due again in a moment.
        for watch in [watch for watch, poll in self._polls.items() if poll.until_s <= now_s]:
            self._watches.remove(watch)
            self._answer_poll(watch)

    # Watches.

    def _watch(self, request: WatchFrom) -> Watched | Later:
        if not request.prefixes or request.limit < 1:
            raise Invalid("a watch names prefixes and a limit above 0", code="invalid_watch")
        watched = self._changes(request)
        if watched.changes or request.wait_s <= 0:
            return watched
        if len(self._polls) >= WATCHES_MAX:
            raise Overloaded(
                f"{WATCHES_MAX} watches wait already",
                code="too_many_watches",
                hint="try again in a moment",
            )
        self._polled += 1
        until_s = anyio.current_time() + min(request.wait_s, WATCH_WAIT_S_MAX)
        later = Later()
        self._polls[self._polled] = _Poll(request, until_s, later)
        self._watches.add(self._polled, request.prefixes)
        return later

    def _changes(self, request: WatchFrom) -> Watched:
        return self._open.store.changes_after(
            request.after_revision, request.prefixes, changes_max=min(request.limit, CHANGES_MAX)
        )

    def _batch_done(self) -> None:
        for watch in self._watches.take(self._open.store.drain_changes()):
            self._answer_poll(watch)

    def _answer_poll(self, watch: int) -> None:
        poll = self._polls.pop(watch)
        try:
            poll.later.answer(self._changes(poll.request))
        except RuninkError as error:  # what it waits for was compacted away meanwhile
            poll.later.fail(error)

    # Figures.

    def _status(self) -> BarnStatus:
        journal = self._open
        store = journal.store
        commit = self._commit.statistics()
        return BarnStatus(
            term=journal.term,
            applied_index=store.applied_index,
            snapshot_index=journal.snapshot_index,
            revision=store.revision,
            compacted=store.compacted,
            keys=len(store),
            leases=len(self._deadlines),
            clients=store.clients,
            watches=len(self._watches),
            waiting=commit.waiting,
            batches=commit.batches,
            log_segments=journal.log.statistics().segments,
            free_bytes=journal.disk.free_bytes(),
            torn=journal.torn.text if journal.torn else "",
            trouble=commit.trouble,
        )


def _journal_on(open_disk: Callable[[], Disk], segment_bytes: int) -> Journal:
    disk = open_disk()
    try:
        return open_journal(disk, segment_bytes=segment_bytes)
    except BaseException:
        disk.shut()
        raise


def _settle(later: Later, outcome: Answer | RuninkError) -> None:
    if isinstance(outcome, RuninkError):
        later.fail(outcome)
    else:
        later.answer(outcome)


def _nobody(_: Answer | RuninkError) -> None:
    """Nobody waits for the end of a lease: it shows in the keys."""
