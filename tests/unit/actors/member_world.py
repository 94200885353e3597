"""A member of the Barn without sockets: alone on a disk in memory, or three of them in one process whose links a test cuts, slows and watches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

import anyio
import anyio.abc
from runink.actors.barn import Barn
from runink.actors.group import Group
from runink.actors.member import Member
from runink.actors.peers import PeerMessages, SnapshotChunk
from runink.barn.commands import Answer, Proposal, Put
from runink.clients.barn import BarnClient
from runink.clients.barn_requests import BarnStatus, Status
from runink.errors import LinkLost, RuninkError
from runink.runtime.cell import first_error
from runink.runtime.ref import LocalRef, Ref
from runink.runtime.supervisor import ChildSpec, supervise
from runink.storage.segments import FILL_BYTES
from runink.testing.disk import FaultyDisk, in_loop

SEGMENT_BYTES = 8192
MESSAGES_MAX = 4096
TURNS_MAX = 200_000  # of waiting for something: a test that waits longer is broken


def random_of(seed: int) -> Callable[[int], int]:
    return Random(seed).randrange


@dataclass
class Alone:
    """The only member of a group, and what was told to whom."""

    disk: FaultyDisk
    segment_bytes: int = SEGMENT_BYTES
    told: dict[int, Answer | RuninkError | None] = field(default_factory=dict)
    heard: list[Answer] = field(default_factory=list)
    changes: int = 0
    replacements: int = 0

    def __post_init__(self) -> None:
        group = Group(random=random_of(1), segment_bytes=self.segment_bytes)
        self.member = Member(group, lambda: self.disk, offload=in_loop, hears=self)

    def applied(self, _: Proposal, answer: Answer) -> None:
        self.heard.append(answer)

    def changed(self) -> None:
        self.changes += 1

    def replaced(self) -> None:
        self.replacements += 1

    def put(self, number: int, value: bytes = b"value") -> None:
        proposal = Proposal("c", number, Put(f"/{number:06}", value))
        self.member.propose(proposal, partial(self.told.__setitem__, number))

    async def until_told(self, *numbers: int) -> None:
        await until(lambda: self.told.keys() >= set(numbers))

    def kept(self) -> list[str]:
        return [item.key for item in self.member.store.image().items]


async def until(condition: Callable[[], bool]) -> None:
    """Let the others work until something is so."""
    for _ in range(TURNS_MAX):
        if condition():
            return
        await anyio.lowlevel.checkpoint()
    raise AssertionError("it never came")


@asynccontextmanager
async def alone(disk: FaultyDisk, *, segment_bytes: int = SEGMENT_BYTES) -> AsyncIterator[Alone]:
    """Run the only member of a group; stop it as its actor does."""
    made = Alone(disk, segment_bytes)
    await made.member.open()
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(made.member.run)
            await made.member.wait_ready()
            yield made
            made.member.close()
    except BaseExceptionGroup as failed:
        raise first_error(failed) from None
    finally:
        with anyio.CancelScope(shield=True):
            await made.member.shut()


@dataclass
class Wire:
    """What one member reaches another one by."""

    three: Three
    sender: int
    receiver: int

    @property
    def address(self) -> str:
        return f"member-{self.receiver}"

    def flush(self) -> None:
        """Do nothing: it is there."""

    def tell_nowait(self, message: PeerMessages | SnapshotChunk) -> None:
        self._target().tell_nowait(message)

    async def tell(self, message: PeerMessages | SnapshotChunk) -> None:
        await anyio.sleep(self.three.delays_s.get(self.receiver, 0.0))
        await self._target().tell(message)

    async def ask(self, request: Any, *, within: float) -> Any:
        self.three.on_chunk(self.receiver, request)
        return await self._target().ask(request, within=within)

    def _target(self) -> LocalRef[Any]:
        if {self.sender, self.receiver} & self.three.cut:
            raise LinkLost(f"member {self.receiver} is away")
        return self.three.refs[self.receiver]


@dataclass
class Three:
    """Members 1 to 3. `cut` are reached by nobody; messages to the members in `delays_s` take so long; `chunks` went to whom, from which byte."""

    group: anyio.abc.TaskGroup
    disks: dict[int, FaultyDisk] = field(default_factory=dict)
    refs: dict[int, LocalRef[Any]] = field(default_factory=dict)
    cut: set[int] = field(default_factory=set)
    delays_s: dict[int, float] = field(default_factory=dict)
    chunks: list[tuple[int, int, int]] = field(default_factory=list)
    chunks_until_cut: int = -1
    interrupted: anyio.Event = field(default_factory=anyio.Event)
    _lives: dict[int, anyio.CancelScope] = field(default_factory=dict)
    _seed: int = 0

    def on_chunk(self, receiver: int, chunk: SnapshotChunk) -> None:
        self.chunks.append((receiver, chunk.offset, len(chunk.data)))
        if self.chunks_until_cut == 0:
            self.cut.add(receiver)
            self.interrupted.set()
        self.chunks_until_cut -= 1

    @asynccontextmanager
    async def connect(
        self, sender: int, receiver: int, *_: str
    ) -> AsyncIterator[Ref[PeerMessages | SnapshotChunk]]:
        await anyio.lowlevel.checkpoint()
        if {sender, receiver} & self.cut or receiver not in self.refs:
            raise LinkLost(f"member {receiver} is away")
        yield Wire(self, sender, receiver)

    async def begin(self, member: int, *, voters: tuple[int, ...] = (1, 2, 3)) -> None:
        """Begin a life of a member, on what its last one left; without `voters` one that has nothing joins."""
        self._seed += 1
        self.cut.discard(member)
        self.disks.setdefault(member, FaultyDisk())
        group = Group(
            member=member,
            voters=voters,
            connect=partial(self.connect, member),
            random=random_of(100 * self._seed + member),
            segment_bytes=FILL_BYTES,
        )
        await self.group.start(self._live, member, group)

    async def _live(
        self, member: int, group: Group, *, task_status: anyio.abc.TaskStatus[None]
    ) -> None:
        disk = self.disks[member]
        with anyio.CancelScope() as scope:
            self._lives[member] = scope
            async with supervise() as supervisor:
                make = partial(Barn, lambda: disk, offload=in_loop, group=group)
                spec = ChildSpec(f"barn-{member}", make, messages_max=MESSAGES_MAX)
                self.refs[member] = await supervisor.start(spec)
                task_status.started()
                await anyio.sleep_forever()

    def kill(self, member: int) -> None:
        """Cut the power of a member: nobody hears of it any more, and its disk is what is sure to survive."""
        self.cut.add(member)
        self.disks[member] = self.disks[member].crash()
        self._lives[member].cancel()

    def client(self, member: int, *, within_s: float = 20.0) -> BarnClient:
        return BarnClient(self.refs[member], within_s=within_s)

    async def status(self, member: int) -> BarnStatus:
        return await self.refs[member].ask(Status(), within=5.0)

    async def leader(self) -> int:
        """Return who leads, as soon as all that are there agree."""
        there = [member for member in (1, 2, 3) if member not in self.cut]
        while True:  # ends with an election; the test has a time-out
            leads = set()
            for member in there:
                with suppress(RuninkError):
                    leads.add((await self.status(member)).lead)
            if len(leads) == 1 and leads <= set(there):
                return leads.pop()
            await anyio.sleep(0.05)

    async def until_applied(self, member: int, revision: int) -> BarnStatus:
        while True:  # ends when the member catches up; the test has a time-out
            found = await self.status(member)
            if found.revision >= revision:
                return found
            await anyio.sleep(0.05)


@asynccontextmanager
async def three_members() -> AsyncIterator[Three]:
    async with anyio.create_task_group() as group:
        three = Three(group)
        for member in (1, 2, 3):
            await three.begin(member)
        yield three
        group.cancel_scope.cancel()
