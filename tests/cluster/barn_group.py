"""Real members of a Barn: processes of `runi server`, which a test kills, freezes, fills up and cuts off from each other.

    async with barn_group(tmp_path) as group:                        # on loopback, with a secret
    async with barn_group(tmp_path, network=Namespaces()) as group:  # a network namespace each, with TLS

Members may come and go: `hire` makes room for one more, `retire` takes it away; clients that are bound to no member by its number follow the group.
Whatever happens, all processes and namespaces are gone in the end.  A test talks to a member by the socket in its folder, which no partition reaches.
"""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
from barn_networks import Loopback, Namespaces, Network
from barn_reach import following
from runink.barn.keyvalue import one_key
from runink.certificates.roles import CONTROL
from runink.clients.barn import BarnClient
from runink.clients.barn_requests import BarnStatus, HashAt, Read, Status
from runink.clients.cluster import BARN
from runink.clients.members import Members
from runink.clients.membership import MembershipAdmin
from runink.errors import Conflict, RuninkError
from runink.runtime.connections import Dialled, connect_tcp, connect_unix
from runink.runtime.directory import Directory
from runink.runtime.ref import Ref
from runink.testing.founded import FoundedCluster
from runink.wire.tls import connecting_from

DYING_WITH_US = ["setpriv", "--pdeathsig", "KILL"]  # also when the test is killed
SERVER = [sys.executable, "-m", "runink.cli.main", "server"]
WAIT_S = 60.0  # what takes longer hangs
ANSWER_S = 20.0  # what a member says of itself it says at once, but on a busy machine
CLIENT_S = 30.0  # longer than a busy machine takes to elect a leader and to write
POLL_S = 0.02
MEMBERS_MAX = 40  # of one test, with those that come and go
SAID_MAX = 2000  # characters of what a member said before it ended

T = TypeVar("T")


async def until(ask: Callable[[], Awaitable[T | None]], what: str) -> T:
    """Ask again and again until there is an answer that is not empty; errors are none."""
    deadline_s = time.monotonic() + WAIT_S
    last: object = None
    while time.monotonic() < deadline_s:
        try:
            last = found = await ask()
        except (RuninkError, OSError) as error:
            last = error
        else:
            if found:
                return found
        await anyio.sleep(POLL_S)
    raise AssertionError(f"in {WAIT_S:g} s there was no {what}: {last!r}")


class BarnGroup:
    """The members of one Barn, each a process that may be dead, frozen or alive."""

    def __init__(
        self,
        folder: Path,
        network: Network,
        *,
        size: int = 3,
        has_tls: bool = False,
        disk_bytes: int = 0,
    ) -> None:
        self.folder = folder
        self.network = network
        self.members = tuple(range(1, size + 1))
        self.leaving: set[int] = set()  # those that are being removed: they need not serve
        self.frozen: set[int] = set()
        self.disk_bytes = disk_bytes
        self.changed = anyio.Event()  # set, and replaced, when members come or go
        self.secret = folder / "secret"
        self.secret.write_text(secrets.token_hex(32))
        self.secret.chmod(0o600)
        clients = ("client", "operator")
        self.founded = FoundedCluster(servers=MEMBERS_MAX, clients=clients) if has_tls else None
        self._founders = self._count = size
        self._known = dict.fromkeys(self.members, self.members)  # whom each was told of
        self._rooms: dict[int, ExitStack] = {}
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def make_room(self, member: int) -> None:
        """Give a member its place in the network, and its disk."""
        self._rooms[member] = room = ExitStack()
        self.network.join(member)
        room.callback(self.network.leave, member)
        if self.disk_bytes:
            room.enter_context(small_disk(self.state(member), self.disk_bytes))
        if self.founded is not None:
            self.founded.provide(self.state(member), member)

    async def hire(self) -> int:
        """Make room for a member more, which joins when it is started; return its number, which nobody had before."""
        self._count += 1
        member = self._count
        await anyio.to_thread.run_sync(self.make_room, member)
        self.members = self._known[member] = (*self.members, member)
        self._tell()
        return member

    async def retire(self, member: int) -> int:
        """Stop a member that was removed, and leave nothing of it; who came last takes its seat. Return its exit code."""
        code = await anyio.to_thread.run_sync(self.stop, member)
        *others, last = self.members
        self.members = tuple(last if other == member else other for other in others)
        del self._processes[member]
        self._tell()
        await anyio.to_thread.run_sync(self._rooms.pop(member).close)
        return code

    def _tell(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()

    def state(self, member: int) -> Path:
        return self.folder / f"m{member}"

    def said(self, member: int) -> str:
        """Return what a member has written to standard error, in all of its lives."""
        return (self.folder / f"m{member}.log").read_text()

    def place(self, member: int) -> str:
        return f"{self.network.host(member)}:{self.network.port(member)}"

    def words(self, member: int, *more: str) -> list[str]:
        """Return the command that runs a member. Of an option that is given again, the last one counts."""
        words = [*SERVER, "--state", str(self.state(member)), "--member", str(member)]
        if member > self._founders:
            words.append("--join")
        for other in self._known.get(member, self.members):
            words += ["--address", f"{other}={self.place(other)}"]
        if self.founded is None:
            words += ["--secret", str(self.secret)]
        return [*DYING_WITH_US, *self.network.words(member), *words, *more]

    def start(self, member: int, *more: str) -> subprocess.Popen[bytes]:
        """Start a member; it need not come up while the others are away, see `ready`."""
        with (self.folder / f"m{member}.log").open("ab") as log:
            process = subprocess.Popen(self.words(member, *more), stderr=log, stdout=log)
        self._processes[member] = process
        return process

    def kill(self, member: int) -> None:
        """End a member with -9, as it stands."""
        self._end(member, signal.SIGKILL)

    def stop(self, member: int) -> int:
        """Have a member stop by itself; return its exit code."""
        return self._end(member, signal.SIGTERM)

    def _end(self, member: int, number: signal.Signals) -> int:
        process = self._processes[member]
        process.send_signal(number)
        self.thaw(member)
        return process.wait(timeout=WAIT_S)

    def freeze(self, member: int) -> None:
        self._processes[member].send_signal(signal.SIGSTOP)
        self.frozen.add(member)

    def thaw(self, member: int) -> None:
        if member in self.frozen:
            self.frozen.discard(member)
            self._processes[member].send_signal(signal.SIGCONT)

    def end(self) -> None:
        """Kill what is left, and leave no room of it."""
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait(timeout=WAIT_S)
        with ExitStack() as rooms:
            for room in self._rooms.values():
                rooms.push(room)

    def is_started(self, member: int) -> bool:
        return member in self._processes

    def is_alive(self, member: int) -> bool:
        return self._processes[member].poll() is None

    @asynccontextmanager
    async def connect(self, member: int) -> AsyncIterator[Ref[Any]]:
        """Reach a member by the socket in its folder. Raises LinkLost, NotFound."""
        async with connect_unix(self.state(member) / "runi.sock") as peer:
            yield peer.ref(BARN)

    @asynccontextmanager
    async def connect_tcp(self, member: int, **changes: Any) -> AsyncIterator[Ref[Any]]:
        shown: dict[str, Any] = {"credentials": self.secret.read_bytes()}
        if self.founded is not None:
            identity = self.founded.nodes["client"].identity(self.founded.authority)
            shown = {
                "tls": Dialled(connecting_from(identity), CONTROL),
                "directory": Directory("client"),
            }
        shown |= changes
        host, port = self.network.host(member), self.network.port(member)
        async with connect_tcp(host, port, **shown) as peer:
            yield peer.ref(BARN)

    @asynccontextmanager
    async def client(
        self, *members: int, seat: int | None = None, within_s: float = CLIENT_S
    ) -> AsyncIterator[BarnClient]:
        """Be a client of some members, of who sits where a founder sat, or of all; it connects again when a connection is lost."""
        async with self.reaching(*members, seat=seat) as reached:
            yield BarnClient(reached, within_s=within_s)

    @asynccontextmanager
    async def reaching(self, *members: int, seat: int | None = None) -> AsyncIterator[Members]:
        def wanted() -> tuple[int, ...]:
            return members or (self.members if seat is None else (self.members[seat],))

        async with following(self.connect, wanted, lambda: self.changed) as reached:
            yield reached

    async def status(self, member: int) -> BarnStatus:
        async with self.connect(member) as ref:
            return await ref.ask(Status(), within=ANSWER_S)

    async def ready(self, *members: int) -> None:
        """Wait until members serve."""

        async def served(member: int) -> BarnStatus:
            assert self.is_alive(member), f"member {member} ended:\n{self.said(member)[-SAID_MAX:]}"
            return await self.status(member)

        for member in members or self.members:
            await until(partial(served, member), f"word of member {member}")

    async def serves(self, member: int) -> None:
        """Wait until a member shows all that was committed before, or need not: it is being removed."""

        async def shows() -> bool:
            if member in self.leaving:
                return True
            async with self.connect(member) as ref:
                await ref.ask(Read((one_key("/"),)), within=ANSWER_S)
            return True

        await until(shows, f"reading at member {member}")

    async def leader(self, *members: int) -> int:
        """Return who leads, as soon as these members, or all, agree on one of them."""
        asked = members or self.members

        async def agreed() -> int | None:
            leads = {(await self.status(member)).lead for member in asked}
            return leads.pop() if len(leads) == 1 and leads <= set(asked) else None

        return await until(agreed, f"leader of {asked}")

    async def equal(self, revision: int, *members: int) -> str:
        """Wait until members have applied so much; return the running hash, which must be everybody's."""
        found: dict[int, str] = {}

        async def caught_up(member: int) -> str | None:
            async with self.connect(member) as ref:
                if (await ref.ask(Status(), within=ANSWER_S)).revision < revision:
                    return None
                return (await ref.ask(HashAt(revision), within=ANSWER_S)).digest

        for member in members or self.members:
            found[member] = await until(partial(caught_up, member), f"revision {revision}")
        assert len(set(found.values())) == 1, f"members differ: {found}"
        return found.popitem()[1]


async def votes(admin: MembershipAdmin, member: int) -> bool:
    """Have a new member vote, and say whether it does, once the leader finds it caught up."""
    try:
        await admin.promote(member)
    except Conflict as error:
        return error.code == "is_voter"
    return True


@contextmanager
def begun(
    folder: Path,
    network: Network,
    *,
    size: int = 3,
    has_tls: bool = False,
    are_begun: bool = True,
    disk_bytes: int = 0,
) -> Iterator[BarnGroup]:
    """Start the members of a Barn, or leave that to the test; leave nothing behind. With `disk_bytes` each has a disk of its own, which can be filled."""
    has_tls = has_tls or isinstance(network, Namespaces)
    group = BarnGroup(folder, network, size=size, has_tls=has_tls, disk_bytes=disk_bytes)
    try:
        for member in group.members:
            group.make_room(member)
        if are_begun:
            for member in group.members:
                group.start(member)
        yield group
    finally:
        group.end()


@asynccontextmanager
async def barn_group(
    folder: Path,
    *,
    network: Network | None = None,
    size: int = 3,
    has_tls: bool = False,
    are_begun: bool = True,
    disk_bytes: int = 0,
) -> AsyncIterator[BarnGroup]:
    """Run the members of a Barn for as long as the block; they are ready, unless the test starts them itself."""
    network = network or Loopback()
    with begun(
        folder,
        network,
        size=size,
        has_tls=has_tls,
        are_begun=are_begun,
        disk_bytes=disk_bytes,
    ) as group:
        if are_begun:
            await group.ready()
            await group.leader()
        yield group


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Callable[[], None]]:
    """Have a folder on a disk of its own; yields what makes that disk eight times as large."""
    folder.mkdir(mode=0o700)
    mount(folder, f"size={size_bytes},mode=700", "-t", "tmpfs", "tmpfs")
    try:
        yield partial(mount, folder, f"remount,size={8 * size_bytes}")
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def mount(folder: Path, options: str, *more: str) -> None:
    subprocess.run(["mount", "-o", options, *more, str(folder)], check=True)


def fill(path: Path) -> None:
    """Write a file until the disk has no byte left."""
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while True:  # ends with the disk
            file.write(bytes(4096))
