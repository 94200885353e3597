"""The Barn: the cluster's state, served to everybody by one member of a group of one, three or five.

    message      what happens
    Read, Select answered from the applied state: when it is known to hold all that was committed before, or at once if `serializable`
    Leases, LeaseStatus, HashAt, Status, Measure
                 answered at once, from the applied state
    Propose      checked, and answered when it is on a majority's disks and applied here (`member.py`)
    WatchFrom    answered at once if the history holds something behind the revision; else it waits for a change or its deadline, or is refused
                 where nothing new may come: nobody is heard to lead (`no_leader`), or there is no room for it (`disk_full`)
    Backup       answered with the next part of a picture of the state
    Defrag       answered when a snapshot is on disk and the log before it is gone
    ChangeMembers, MoveLeader
                 answered when it took effect, or was begun
    PeerMessages, SnapshotChunk
                 of other members: consensus, and states that are sent whole
    _Tick        (own timer) the leader proposes the end of leases that are due, and the end of changes that are old

Everything runs on one event loop, so reads and watches see whole batches only.  The disk is worked on by worker threads: one
writes and syncs the log, sometimes another writes a snapshot.

A full disk refuses proposals with `disk_full`, and reads that need what others have written since; it serves the rest.  Any other failure of the disk, and a damaged log, crash this actor: its
supervisor starts it anew from what is on disk, or gives up and says why.
"""

from __future__ import annotations

import gc
import secrets
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Final, assert_never

import anyio
import msgspec

from runink.actors.barn_polls import Polls
from runink.actors.barn_status import Served, readings_of, status_of
from runink.actors.group import Group
from runink.actors.member import Member
from runink.actors.offload import Offload, in_thread
from runink.actors.peers import PeerMessages, SnapshotChunk
from runink.actors.settling import settle
from runink.barn.backups import Backups
from runink.barn.checks import check_proposal, check_range
from runink.barn.commands import (
    Answer,
    Applied,
    Command,
    ExpireLease,
    GrantLease,
    KeepAlive,
    NameCluster,
    Proposal,
    Put,
    Range,
    RevokeLease,
)
from runink.barn.compaction import KEEP_S, CompactionClock
from runink.barn.lease_table import LeaseView
from runink.barn.leases import TICK_S, LeaseDeadlines
from runink.barn.store import Store
from runink.clients.barn_requests import (
    Backup,
    BackupPart,
    BarnRequest,
    BarnStatus,
    ChangeMembers,
    Defrag,
    Defragged,
    Hash,
    HashAt,
    LeaseFacts,
    LeaseList,
    Leases,
    LeaseStatus,
    Measure,
    Measures,
    MoveLeader,
    Pages,
    Propose,
    Read,
    Select,
    Status,
    WatchFrom,
)
from runink.errors import Broken, NotFound, RuninkError
from runink.observe.metrics import Reading
from runink.runtime.actor import Actor, Context, Later
from runink.storage.disk import Disk

BIG_KEYS: Final = (
    100_000  # from here on, walking over all keys takes the garbage collector too long
)


class _Tick(msgspec.Struct, frozen=True):
    """Time to look at leases and at watches that have waited long enough."""


Beside = Callable[[], Iterable[Reading]]
BarnMessage = BarnRequest | PeerMessages | SnapshotChunk | _Tick


class Barn(Actor[BarnMessage]):
    """One member. `open_disk` opens its directory; it is called at every start, so that a restart reads what is there.

    `group` is which member of which group it is.  `new_id` gives a new cluster its id; without it, it has none.  Changes are forgotten after `keep_s` at the latest.
    `beside` are what else this process counts: it is told with what the member does.
    """

    def __init__(
        self,
        open_disk: Callable[[], Disk],
        *,
        offload: Offload = in_thread,
        group: Group | None = None,
        new_id: Callable[[], str] | None = None,
        keep_s: float = KEEP_S,
        beside: Beside = tuple,
    ) -> None:
        group = group or Group(random=secrets.randbelow)
        self._now_ms = group.now_ms
        self._member = Member(
            group,
            open_disk,
            offload=offload,
            hears=self,
        )
        self._new_id = new_id
        self._beside = beside
        self._ended: anyio.Event | None = None  # of the member; none while it is not open
        self._leads = False
        self._deadlines = LeaseDeadlines()
        self._compaction = CompactionClock(keep_s)
        self._backups = Backups()
        self._served = Served()
        self._polls = Polls(
            self._served,
            lambda: self._member.store,
            hindrance=lambda: self._member.hindrance,
        )
        self._context: Context[BarnMessage]

    @property
    def store(self) -> Store | None:
        """The applied state, to look at; nothing between two lives."""
        return self._member.store if self._ended is not None else None

    async def started(self, context: Context[BarnMessage]) -> None:
        self._context = context
        await self._member.open()
        self._ended = anyio.Event()
        context.spawn(self._be_member)
        await self._member.wait_ready()
        self._member.store.drain_changes()
        if len(self._member.store) >= BIG_KEYS:
            gc.freeze()
        self._tick()
        context.spawn(self._keep_time)
        context.spawn(self._polls.serve)

    async def _be_member(self) -> None:
        assert self._ended is not None
        try:
            await self._member.run()
        finally:
            self._ended.set()

    async def stopped(self) -> None:
        """Let what is under way come to disk, then give the directory free. Who waits still is told that the outcome is unknown."""
        if self._ended is None:
            return
        self._member.close()
        await self._ended.wait()
        await self._member.shut()
        self._ended = None

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
            case Read(spans, limit, revision, serializable):
                queries = tuple(
                    Range(span.start, span.end, revision=revision, limit=limit) for span in spans
                )
                return self._read(queries, is_serializable=serializable)
            case Select(queries, serializable):
                return self._read(queries, is_serializable=serializable)
            case Status():
                return self._status()
            case Measure():
                return self._measures()
            case LeaseStatus(lease):
                return self._lease_status(lease)
            case Leases():
                return LeaseList(tuple(map(self._lease_facts, self._member.store.leases())))
            case HashAt(revision):
                revision = revision or self._member.store.revision
                return Hash(revision, self._member.store.digest_at(revision).hex())
            case Backup(number, part):
                return self._backup(number, part)
            case Defrag():
                return self._in_background(self._defrag)
            case PeerMessages():
                self._member.receive(message, at_once=not self._context.unread)
                return None
            case SnapshotChunk():
                return self._in_background(partial(self._member.take_chunk, message))
            case ChangeMembers():
                return self._in_background(partial(self._member.change, message))
            case MoveLeader(successor):
                self._member.transfer(successor)
                return None
            case _Tick():
                self._tick()
                return None
            case _:
                assert_never(message)

    # Reads.

    def _read(self, queries: tuple[Range, ...], *, is_serializable: bool) -> Pages | Later:
        for query in queries:
            check_range(query)
        if is_serializable:
            self._served.serializable_reads += 1
            return self._select(queries)
        self._served.linearizable_reads += 1
        if self._member.may_read():
            return self._select(queries)
        later = Later()
        self._member.read(partial(self._answer_read, later, queries))
        return later

    def _answer_read(
        self, later: Later, queries: tuple[Range, ...], error: Answer | RuninkError | None
    ) -> None:
        if isinstance(error, RuninkError):
            later.fail(error)
            return
        try:
            later.answer(self._select(queries))
        except RuninkError as refused:  # that revision was compacted meanwhile
            later.fail(refused)

    def _select(self, queries: tuple[Range, ...]) -> Pages:
        store = self._member.store
        return Pages(store.select_all(queries), store.revision)

    def _lease_facts(self, view: LeaseView) -> LeaseFacts:
        left_s = self._deadlines.left_s(view.lease, now_s=anyio.current_time())
        return LeaseFacts(view.lease, view.ttl_ms, round(left_s * 1000), view.renewals)

    def _lease_status(self, lease: int) -> LeaseFacts:
        store = self._member.store
        view = store.lease(lease)
        if view is None:
            raise NotFound(f"lease {lease} has ended or never was", code="lease_not_found")
        return msgspec.structs.replace(self._lease_facts(view), keys=tuple(store.lease_keys(lease)))

    def _backup(self, number: int, part: int) -> BackupPart:
        now_s = anyio.current_time()
        if not number:
            number = self._backups.begin(self._member.store.image(), now_s=now_s)
        data, is_last = self._backups.part(number, part, now_s=now_s)
        return BackupPart(number, part, data, is_last)

    async def _defrag(self) -> Defragged:
        await self._member.snapshot_now()
        found = self._member.statistics()
        return Defragged(found.snapshot_index, found.segments)

    def _in_background(self, work: Callable[[], Awaitable[object]]) -> Later:
        """Answer with what a task comes to."""
        later = Later()

        async def run() -> None:
            try:
                later.answer(await work())
            except RuninkError as error:
                if isinstance(error, Broken):
                    raise
                later.fail(error)

        self._context.spawn(run)
        return later

    # Proposals.

    def _propose(self, proposal: Proposal) -> Later:
        check_proposal(proposal)
        later = Later()
        # What waits already goes together with this.
        self._member.propose(proposal, partial(settle, later), at_once=not self._context.unread)
        return later

    def applied(self, proposal: Proposal, answer: Answer) -> None:
        """Keep the leases' deadlines up with what the log says."""
        if isinstance(proposal.command, Put) or not isinstance(answer, Applied):
            return
        match proposal.command:
            case GrantLease() | KeepAlive():
                view = self._member.store.lease(answer.lease)
                if view is not None:  # a retry may be answered when the lease has ended already
                    self._deadlines.renewed(view, now_s=anyio.current_time())
            case RevokeLease(lease) | ExpireLease(lease):
                if self._member.store.lease(lease) is None:
                    before = len(self._deadlines)
                    self._deadlines.ended(lease)
                    if isinstance(proposal.command, ExpireLease):
                        self._served.leases_expired += before - len(self._deadlines)
            case _:
                return

    def _tick(self) -> None:
        now_s = anyio.current_time()
        store = self._member.store
        leads, self._leads = self._leads, self._member.is_leader
        if self._leads and not leads:
            # Nobody knows when another leader last heard of a lease: each begins anew.
            self._deadlines.begin(store.leases(), now_s=now_s)
            if self._new_id is not None and not store.cluster:
                self._propose_own(NameCluster(self._new_id()))
        if self._leads:
            self._propose_due(now_s)
        self._polls.expire(now_s=now_s)

    def _propose_due(self, now_s: float) -> None:
        store = self._member.store
        old = self._compaction.due(now_s=now_s, revision=store.revision, compacted=store.compacted)
        due: list[Command] = list(self._deadlines.due(now_s=now_s))
        for command in (*due, old) if old is not None else due:
            if not self._propose_own(command):
                break  # what is due is due again in a moment

    def _propose_own(self, command: Command) -> bool:
        """Propose what nobody waits for, and say whether there was room for it."""
        proposal = Proposal("", 0, command)
        try:
            self._member.propose(proposal, _nobody)
        except RuninkError:
            return False
        return True

    # Watches.

    def _watch(self, request: WatchFrom) -> Later:
        later = Later()
        if request.after_revision <= self._member.store.revision or self._member.may_read():
            self._polls.ask(request, later)
        else:  # It has seen more on another member: this one comes to it as for a read.
            self._polls.ask_ahead(later)
            self._member.read(partial(self._watch_caught_up, request, later))
        return later

    def _watch_caught_up(
        self, request: WatchFrom, later: Later, error: Answer | RuninkError | None
    ) -> None:
        try:
            if isinstance(error, RuninkError):
                raise error
            self._polls.caught_up(request, later)
        except RuninkError as refused:
            later.fail(refused)

    def changed(self) -> None:
        """Answer those that wait for what was just applied."""
        self._polls.changed(self._member.store.drain_changes())

    def replaced(self) -> None:
        """Let everybody who waits look again. Leases are the leader's, which gets no other state."""
        self._polls.replaced()

    # Figures.

    def _status(self) -> BarnStatus:
        leases, watches = len(self._deadlines), len(self._polls)
        member = self._member.statistics()
        now_ms = self._now_ms()
        return status_of(self._member.store, member, leases=leases, watches=watches, now_ms=now_ms)

    def _measures(self) -> Measures:
        leases, watches = len(self._deadlines), len(self._polls)
        own = readings_of(self._member.store, self._served, leases=leases, watches=watches)
        return Measures((*self._member.readings(), *own, *self._beside()))


def _nobody(_: Answer | RuninkError | None) -> None:
    """Nobody waits for the end of a lease: it shows in the keys."""
