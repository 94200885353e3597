"""The Barn: the cluster's state, served to everybody. One member for now; Raft will stand between `propose` and the log.

    message      what happens
    Read, Select, Leases, LeaseStatus, HashAt, Status
                 answered at once, from the applied state
    Propose      checked, queued for the next sync, answered when it is on disk and applied (`group_commit.py`)
    WatchFrom    answered at once if the history holds something behind the revision; else it waits for a change or its deadline
    Backup       answered with the next part of a picture of the state
    Defrag       answered when a snapshot is on disk and the log before it is gone
    _Tick        (own timer) proposes the end of leases that are due, and the end of changes that are old

Everything runs on one event loop, so reads and watches see whole batches only.  The disk is worked on by worker threads: one
writes and syncs the log, sometimes another writes a snapshot.

A full disk refuses proposals with `disk_full` and serves the rest; any other failure of the disk, and a damaged log, crash this actor: its
supervisor starts it anew from what is on disk, or gives up and says why.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final, assert_never

import anyio
import msgspec

from runink.actors.group_commit import GroupCommit, Offload, Waiting, in_thread
from runink.actors.journal import Journal, open_journal
from runink.barn.backups import Backups
from runink.barn.checks import check_interest, check_proposal, check_range
from runink.barn.commands import (
    Answer,
    Applied,
    Command,
    ExpireLease,
    GrantLease,
    KeepAlive,
    NameCluster,
    Proposal,
    Range,
    RevokeLease,
    encode_proposal,
)
from runink.barn.compaction import KEEP_S, CompactionClock
from runink.barn.history import Watched
from runink.barn.lease_table import LeaseView
from runink.barn.leases import TICK_S, LeaseDeadlines
from runink.barn.watches import Due, Watches
from runink.barn.watching import Bounds, Interest, change_bytes
from runink.clients.barn_requests import (
    Backup,
    BackupPart,
    BarnRequest,
    BarnStatus,
    Defrag,
    Defragged,
    Hash,
    HashAt,
    LeaseFacts,
    LeaseList,
    Leases,
    LeaseStatus,
    Pages,
    Propose,
    Read,
    Select,
    Status,
    WatchFrom,
)
from runink.errors import NotFound, Overloaded, RuninkError
from runink.runtime.actor import Actor, Context, Later
from runink.storage.disk import Disk
from runink.storage.wal import SEGMENT_BYTES

WATCHES_MAX: Final = 4096  # some per node and service; each holds a request open
WATCH_WAIT_S_MAX: Final = (
    300.0  # a watch that waits longer is indistinguishable from a forgotten one
)
CHANGES_MAX: Final = 10_000  # of one answer, some 10 ms
WATCHED_BYTES_MAX: Final = 6 << 20  # of one answer: with its numbers it fits a frame
BIG_KEYS: Final = (
    100_000  # from here on, walking over all keys takes the garbage collector too long
)


class _Tick(msgspec.Struct, frozen=True):
    """Time to look at leases and at watches that have waited long enough."""


BarnMessage = BarnRequest | _Tick


@dataclass(frozen=True, slots=True)
class _Poll:
    """A watch that waits, until when at most, and who is told."""

    request: WatchFrom
    interest: Interest
    until_s: float
    later: Later


class Barn(Actor[BarnMessage]):
    """The one member. `open_disk` opens its directory; it is called at every start, so that a restart reads what is there.

    `segment_bytes` is the size of the log's files: small ones let a test fill a disk.  `new_id` gives a new cluster its id; without it, it has none.
    Changes are forgotten after `keep_s` at the latest.
    """

    def __init__(
        self,
        open_disk: Callable[[], Disk],
        *,
        offload: Offload = in_thread,
        segment_bytes: int = SEGMENT_BYTES,
        new_id: Callable[[], str] | None = None,
        keep_s: float = KEEP_S,
    ) -> None:
        self._open_disk = open_disk
        self._new_id = new_id
        self._segment_bytes = segment_bytes
        self._offload = offload
        self._journal: Journal | None = None
        self._commit: GroupCommit
        self._committed: anyio.Event
        self._deadlines = LeaseDeadlines()
        self._compaction = CompactionClock(keep_s)
        self._backups = Backups()
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
        if len(journal.store) >= BIG_KEYS:
            gc.freeze()
        if self._new_id is not None and not journal.store.cluster:
            self._propose_own(NameCluster(self._new_id()))
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

    async def receive(self, message: BarnMessage) -> object:
        match message:
            case Propose(client, sequence, command):
                return self._propose(Proposal(client, sequence, command))
            case WatchFrom():
                return self._watch(message)
            case Read(spans, limit, revision):
                return self._read(
                    Range(span.start, span.end, revision=revision, limit=limit) for span in spans
                )
            case Select(queries):
                return self._read(queries)
            case Status():
                return self._status()
            case LeaseStatus(lease):
                return self._lease_status(lease)
            case Leases():
                return LeaseList(tuple(map(self._lease_facts, self._open.store.leases())))
            case HashAt(revision):
                revision = revision or self._open.store.revision
                return Hash(revision, self._open.store.digest_at(revision).hex())
            case Backup(number, part):
                return self._backup(number, part)
            case Defrag():
                return self._defrag()
            case _Tick():
                self._tick()
                return None
            case _:
                assert_never(message)

    @property
    def _open(self) -> Journal:
        assert self._journal is not None, "it is open from the start to the stop"
        return self._journal

    # Reads.

    def _read(self, queries: Iterable[Range]) -> Pages:
        asked = tuple(queries)
        for query in asked:
            check_range(query)
        store = self._open.store
        return Pages(store.select_all(asked), store.revision)

    def _lease_facts(self, view: LeaseView) -> LeaseFacts:
        left_s = self._deadlines.left_s(view.lease, now_s=anyio.current_time())
        return LeaseFacts(view.lease, view.ttl_ms, round(left_s * 1000), view.renewals)

    def _lease_status(self, lease: int) -> LeaseFacts:
        store = self._open.store
        view = store.lease(lease)
        if view is None:
            raise NotFound(f"lease {lease} has ended or never was", code="lease_not_found")
        return msgspec.structs.replace(self._lease_facts(view), keys=tuple(store.lease_keys(lease)))

    def _backup(self, number: int, part: int) -> BackupPart:
        now_s = anyio.current_time()
        if not number:
            number = self._backups.begin(self._open.store.image(), now_s=now_s)
        data, is_last = self._backups.part(number, part, now_s=now_s)
        return BackupPart(number, part, data, is_last)

    def _defrag(self) -> Later:
        later = Later()
        self._commit.snapshot_now(partial(self._defragged, later))
        return later

    def _defragged(self, later: Later, error: RuninkError | None) -> None:
        if error is not None:
            later.fail(error)
            return
        journal = self._open
        later.answer(Defragged(journal.snapshot_index, journal.log.statistics().segments))

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
        store = self._open.store
        old = self._compaction.due(now_s=now_s, revision=store.revision, compacted=store.compacted)
        due: list[Command] = list(self._deadlines.due(now_s=now_s))
        for command in (*due, old) if old is not None else due:
            if not self._propose_own(command):
                break  # what is due is due again in a moment
        for watch in [watch for watch, poll in self._polls.items() if poll.until_s <= now_s]:
            # It would have been answered if anything had happened to its keys.
            self._watches.remove(watch)
            self._polls.pop(watch).later.answer(Watched((), store.revision))

    def _propose_own(self, command: Command) -> bool:
        """Propose what nobody waits for, and say whether there was room for it."""
        proposal = Proposal("", 0, command)
        try:
            self._commit.propose(Waiting(proposal, encode_proposal(proposal), _nobody))
        except RuninkError:
            return False
        return True

    # Watches.

    def _watch(self, request: WatchFrom) -> Watched | Later:
        interest = Interest(request.prefixes, request.spans, request.skip, request.want_before)
        check_interest(interest, request.limit)
        store = self._open.store
        bounds = Bounds(min(request.limit, CHANGES_MAX), WATCHED_BYTES_MAX)
        watched = store.changes_after(request.after_revision, interest, bounds, part=request.part)
        if watched.changes or request.wait_s <= 0 or watched.revision < store.revision:
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
        self._polls[self._polled] = _Poll(request, interest, until_s, later)
        self._watches.add(self._polled, interest)
        return later

    def _batch_done(self) -> None:
        store = self._open.store
        changes = store.drain_changes()
        if not self._polls or not changes:
            return
        for due in self._watches.take(changes):
            self._answer(due, Watched(due.changes, store.revision), changes[0].revision - 1)

    def _answer(self, due: Due, watched: Watched, before: int) -> None:
        """Answer watches, all with one value: those for whom it is too much read for themselves."""
        is_large = sum(map(change_bytes, due.changes)) > WATCHED_BYTES_MAX
        for watch in due.watches:
            poll = self._polls.pop(watch)
            limit = min(poll.request.limit, CHANGES_MAX)
            if not is_large and len(due.changes) <= limit:
                poll.later.answer(watched)
                continue
            try:
                bounds = Bounds(limit, WATCHED_BYTES_MAX)
                poll.later.answer(self._open.store.changes_after(before, due.interest, bounds))
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
            cluster=store.cluster,
            digest=store.digest_at(store.revision).hex(),
            size_bytes=store.size_bytes,
            quota_bytes=store.limits.quota_bytes,
            history_changes=store.history_changes,
            history_changes_max=store.limits.history_changes,
            history_bytes=store.history_bytes,
            history_bytes_max=store.limits.history_bytes,
            is_alarmed=store.is_alarmed,
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
