"""A member of a simulated group over all its lives.

A life begins by reading the disk and ends with a crash; what was planned for a life does not happen in the next one.  What the machine does to a member
is done here: it is killed, loses its power before an operation of its disk, is paused, ticks faster or slower than others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from runink.barn.commands import Proposal
from runink.barn.replica import APPLY_ENTRIES_MAX, Replica
from runink.errors import Broken, Unavailable
from runink.raft.config import Config
from runink.raft.messages import ConfState, Message, MessageType
from runink.raft.rawnode import RawNode
from runink.testing.disk import SPACE_BYTES, FaultyDisk
from runink.testing.raft_disk import Fuse, MemberLog, PowerCut, found
from runink.testing.raft_group_life import Life, RawLife, ReadReply, Reply
from runink.testing.raft_group_replica import ReplicaLife
from runink.testing.raft_group_watch import GroupWatch
from runink.testing.raft_group_world import MS, Act, World
from runink.testing.raft_network import Network


class Kind(Enum):
    """How a life does the core's work."""

    SYNCHRONOUS = "synchronous"
    ASYNCHRONOUS = "asynchronous"
    REPLICA = "replica"


class Crash(Enum):
    """What is left of what was written and not synced."""

    KILLED = "killed"  # all of it: only the process died
    POWER_CUT = "power cut"  # any sectors of it


@dataclass(frozen=True, slots=True)
class Settings:
    """How the members of a group are set up; the same for all."""

    pre_vote: bool
    check_quorum: bool
    step_down_on_removal: bool
    tick_us: int
    message_bytes_max: int
    inflight_messages_max: int
    uncommitted_bytes_max: int
    snapshot_entries: int
    kept_entries: int
    kinds: tuple[Kind, ...]  # each life is of one of these


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the members of a group share."""

    world: World
    network: Network
    watch: GroupWatch
    settings: Settings


class Member:
    """One member. `disk` is what its next life finds; `crashed` is told of each end of a life."""

    def __init__(
        self, number: int, around: Surroundings, *, crashed: Callable[[Member], None]
    ) -> None:
        self.id = number
        self.world = around.world
        self.watch = around.watch
        self.disk = FaultyDisk()
        self.disk_us_max = MS
        self.tick_us = self.tick_us_right = around.settings.tick_us
        self.paused_until_us = 0
        self.snapshot_busy = 0.1  # how often a snapshot cannot be had just now
        self.fuse = Fuse(around.world.statistics.disk_crashes)
        self._network = around.network
        self._settings = around.settings
        self._crashed = crashed
        self._life: Life | None = None
        self._lives = 0

    @property
    def is_alive(self) -> bool:
        return self._life is not None

    @property
    def is_leader(self) -> bool:
        return self._life is not None and self._life.raft.is_leader

    @property
    def _living(self) -> Life:
        assert self._life is not None, "what is planned for a life ends with it"
        return self._life

    @property
    def log(self) -> MemberLog:
        return self._living.log

    @property
    def conf_state(self) -> ConfState:
        """The membership as this member has applied it."""
        return self.log.conf_state

    @property
    def is_up_to_date(self) -> bool:
        """Whether all of its log is applied."""
        return self.log.store.applied_index == self.last_index

    @property
    def last_index(self) -> int:
        return self._living.raft.log.last_index()

    def __str__(self) -> str:
        if self._life is None:
            return f"member {self.id}: not running"
        raft = self._life.raft
        log = raft.log
        return (
            f"member {self.id}: {raft.state.value} of {raft.lead} in term {raft.term}, applied {self.log.store.applied_index}"
            f" of {log.committed}, log to {log.last_index()}, {self.conf_state}"
        )

    # Lives.

    def found(self, conf_state: ConfState) -> None:
        """Prepare the disk of a founding member; others begin with an empty one."""
        found(self.disk, conf_state)

    def start(self) -> None:
        """Begin a life from what is on the disk."""
        assert self._life is None
        self._lives += 1
        self._act(self._open)

    def _open(self) -> None:
        world = self.world
        self.disk.before = self.fuse
        log = MemberLog(self.disk, is_snapshot_busy=lambda: world.chance(self.snapshot_busy))
        world.statistics.torn_tails += log.torn is not None
        self.watch.state_at(log.store)
        kind = world.random.choice(self._settings.kinds)
        world.statistics.lives[kind.value] += 1
        config = self._config(log, is_async=kind is not Kind.SYNCHRONOUS)
        if kind is Kind.REPLICA:
            nonce = world.random.randrange(1, 1 << 31)
            apply_max = world.random.choice((1, 2, APPLY_ENTRIES_MAX))
            replica = Replica(config, log, log.store, nonce=nonce, apply_max=apply_max)
            self._life = ReplicaLife(self, replica, log)
        else:
            self._life = RawLife(self, RawNode(config), log, is_async=config.async_storage_writes)
        self.watch.restarted(self._life.raft)
        self.soon(world.random.randrange(self.tick_us), "tick", self._tick)

    def _config(self, log: MemberLog, *, is_async: bool) -> Config:
        settings = self._settings
        return Config(
            id=self.id,
            storage=log,
            random=self.world.random.randrange,
            election_tick=10,
            heartbeat_tick=2,
            applied=log.store.applied_index,
            async_storage_writes=is_async,
            message_bytes_max=settings.message_bytes_max,
            uncommitted_bytes_max=settings.uncommitted_bytes_max,
            inflight_messages_max=settings.inflight_messages_max,
            check_quorum=settings.check_quorum,
            pre_vote=settings.pre_vote,
            step_down_on_removal=settings.step_down_on_removal,
        )

    def crash(self, kind: Crash) -> None:
        """End this life; nobody who waits for an answer gets one."""
        world = self.world
        world.statistics.crashes += 1
        world.note(f"{self.id} crashes: {kind.value}\n")
        is_killed = kind is Crash.KILLED
        self.disk = self.disk.killed() if is_killed else self.disk.crash_at_random(world.random)
        self.disk.space_bytes = SPACE_BYTES  # nobody starts on a full disk
        self._life = None
        self._lives += 1
        self.fuse.left = None
        self.paused_until_us = 0
        self._crashed(self)

    def soon(self, delay_us: int, label: str, act: Act) -> None:
        """Do something later in this life; a paused member does it when it goes on."""
        life = self._lives

        def in_this_life() -> None:
            if life != self._lives:
                return
            pause_us = self.paused_until_us - self.world.now_us
            if pause_us > 0:
                self.world.later(pause_us, label, in_this_life)
            else:
                self._act(act)

        self.world.later(delay_us, f"{self.id} {label}", in_this_life)

    def _act(self, act: Act) -> None:
        """Do something, then what follows from it; every step of a member goes through here."""
        try:
            act()
            self._living.work()
        except PowerCut:
            self.crash(Crash.POWER_CUT)
        except (Broken, OSError) as error:
            if isinstance(error, Broken) and error.code != "wal_failed":
                raise
            self.world.statistics.failed_syncs += 1
            self.crash(self.world.random.choice(list(Crash)))
        if self._life is not None:
            self.watch.check(self._life.raft)

    def _tick(self) -> None:
        self._living.tick()
        self._maybe_snapshot()
        self.soon(self.tick_us, "tick", self._tick)

    def _maybe_snapshot(self) -> None:
        """Put the state on disk every so often, and where one is wanted; a full disk only makes that later."""
        log = self.log
        if self._living.raft.log.has_next_or_in_progress_snapshot():
            return  # A leader's is to be installed: the core's membership is not the store's.
        behind = log.store.applied_index - log.snapshot_index
        if behind < (1 if log.is_snapshot_wanted else self._settings.snapshot_entries):
            return
        self.watch.state_at(log.store)
        try:
            log.write_snapshot(kept_entries=self._settings.kept_entries)
        except Unavailable:
            self.world.statistics.full_disks += 1
        else:
            self.world.statistics.snapshots_written += 1

    # What a life asks of its member.

    def point(self, name: str) -> None:
        """Be at a place where the power may go, though nothing is written."""
        self.fuse(name)

    def disk_us(self) -> int:
        return self.world.between(50, self.disk_us_max)

    def send(self, message: Message) -> None:
        self.watch.sent(self.id, message)
        self._network.send(self.id, message)

    # What others ask of it; a member that is dead does not hear.

    def receive(self, message: Message) -> None:
        if self.is_alive:
            self.soon(0, f"takes {message.type.name}", lambda: self._living.step(message))

    def report(self, message: Message, *, is_delivered: bool) -> None:
        """Hear what became of a message of ours."""
        to = message.to
        if message.type is MessageType.MsgSnap:
            self.do("report", lambda node: node.report_snapshot(to, is_delivered=is_delivered))
        elif not is_delivered:
            self.do("report", lambda node: node.report_unreachable(to))

    def do(self, label: str, act: Callable[[RawNode], object]) -> None:
        """Have the core do something that it may drop."""
        if self.is_alive:
            self.soon(0, label, lambda: self._living.do(act))

    def propose(self, proposal: Proposal, reply: Reply) -> None:
        if self.is_alive:
            self.soon(0, "propose", lambda: self._living.propose(proposal, reply))

    def read(self, key: str, context: bytes, reply: ReadReply) -> None:
        if self.is_alive:
            self.soon(0, "read", lambda: self._living.read(key, context, reply))
