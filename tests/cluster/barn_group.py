"""Real members of a Barn: processes of `runi server`, which a test kills, freezes, fills up and cuts off from each other.

    async with barn_group(tmp_path) as group:                        # on loopback, with a secret
    async with barn_group(tmp_path, network=Namespaces()) as group:  # a network namespace each, with TLS

Whatever happens, all processes and namespaces are gone in the end.  A test talks to a member by the socket in its folder, which no partition reaches.
"""

from __future__ import annotations

import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import anyio
from runink.clients.barn import BarnClient
from runink.clients.barn_requests import BarnStatus, HashAt, Status
from runink.clients.cluster import BARN
from runink.clients.members import Members, reaching
from runink.errors import RuninkError
from runink.runtime.connections import connect_tcp, connect_unix
from runink.runtime.ref import Ref
from runink.testing.certificates import Authority

DYING_WITH_US = ["setpriv", "--pdeathsig", "KILL"]  # also when the test is killed
SERVER = [sys.executable, "-m", "runink.cli.main", "server"]
WAIT_S = 60.0  # what takes longer hangs
POLL_S = 0.02

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


class Network(Protocol):
    """Where members are, and how they know each other."""

    def host(self, member: int) -> str: ...

    def port(self, member: int) -> int: ...

    def words(self, member: int) -> list[str]:
        """Return what stands before the command that runs a member."""

    def begin(self, members: Iterable[int]) -> None: ...

    def end(self) -> None: ...


class Loopback:
    """All members on 127.0.0.1, on ports of their own."""

    def __init__(self) -> None:
        self._ports: dict[int, int] = {}

    def host(self, member: int) -> str:
        return "127.0.0.1"

    def port(self, member: int) -> int:
        if member not in self._ports:
            with socket.create_server(("127.0.0.1", 0)) as free:
                self._ports[member] = free.getsockname()[1]
        return self._ports[member]

    def words(self, member: int) -> list[str]:
        return []

    def begin(self, members: Iterable[int]) -> None:
        for member in members:
            self.port(member)

    def end(self) -> None:
        """Nothing is left."""


class Namespaces:
    """A network namespace for each member, and a cable between every two. Every end of a cable drops what it should send, when a test says so."""

    def __init__(self) -> None:
        self._holders: dict[int, subprocess.Popen[bytes]] = {}
        self._cut: set[tuple[int, int]] = set()

    def host(self, member: int) -> str:
        return f"10.77.0.{member}"

    def port(self, member: int) -> int:
        return 7400 + member

    def words(self, member: int) -> list[str]:
        return ["nsenter", "--net", "--target", str(self._holders[member].pid)]

    def begin(self, members: Iterable[int]) -> None:
        for member in members:
            self._holders[member] = holder = subprocess.Popen(
                [*DYING_WITH_US, "unshare", "--net", "sh", "-c", "echo; exec sleep infinity"],
                stdout=subprocess.PIPE,
            )
            assert holder.stdout is not None
            assert holder.stdout.read(1) == b"\n", "no namespace: is this root?"
            self._in(member, "ip", "link", "set", "lo", "up")
        for one, other in self._pairs():
            if one < other:
                self._lay_cable(one, other)

    def _in(self, member: int, *words: str) -> None:
        subprocess.run([*self.words(member), *words], check=True)

    def _pairs(self) -> list[tuple[int, int]]:
        return [(a, b) for a in self._holders for b in self._holders if a != b]

    def _lay_cable(self, one: int, other: int) -> None:
        pid = str(self._holders[other].pid)
        ends = ["type", "veth", "peer", "name", f"to{one}", "netns", pid]
        self._in(one, "ip", "link", "add", f"to{other}", *ends)
        for here, there in ((one, other), (other, one)):
            addresses = [self.host(here), "peer", self.host(there)]
            self._in(here, "ip", "addr", "add", *addresses, "dev", f"to{there}")
            self._in(here, "ip", "link", "set", f"to{there}", "up")

    def cut(self, *pairs: tuple[int, int]) -> None:
        """Drop, from now on, exactly what goes from the first to the second of each of these pairs."""
        wanted = set(pairs)
        for here, there in wanted - self._cut:
            self._tc(here, "replace", there, "bfifo", "limit", "1")  # no packet is that small
        for here, there in self._cut - wanted:
            self._tc(here, "del", there)
        self._cut = wanted

    def _tc(self, here: int, verb: str, there: int, *kind: str) -> None:
        self._in(here, "tc", "qdisc", verb, "dev", f"to{there}", "root", *kind)

    def isolate(self, member: int) -> None:
        """Cut a member off from all others, in both directions."""
        self.cut(*(pair for pair in self._pairs() if member in pair))

    def deafen(self, member: int) -> None:
        """Let a member hear nobody, though it is heard."""
        self.cut(*(pair for pair in self._pairs() if pair[1] == member))

    def mute(self, member: int) -> None:
        """Let nobody hear a member, though it hears all."""
        self.cut(*(pair for pair in self._pairs() if pair[0] == member))

    def part(self, one: int, other: int) -> None:
        """Cut two members off from each other; both still reach the rest."""
        self.cut((one, other), (other, one))

    def heal(self) -> None:
        self.cut()

    def end(self) -> None:
        """Let the namespaces go: nothing but these processes holds them."""
        for holder in self._holders.values():
            holder.kill()
            holder.wait(timeout=WAIT_S)
            assert holder.stdout is not None
            holder.stdout.close()


class BarnGroup:
    """The members of one Barn, each a process that may be dead, frozen or alive."""

    def __init__(
        self, folder: Path, network: Network, *, size: int = 3, has_tls: bool = False
    ) -> None:
        self.folder = folder
        self.network = network
        self.members = tuple(range(1, size + 1))
        self.frozen: set[int] = set()
        self.has_disks = False
        self.secret = folder / "secret"
        self.secret.write_text(secrets.token_hex(32))
        self.secret.chmod(0o600)
        self.authority = Authority(folder, "authority") if has_tls else None
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

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
        for other in self.members:
            words += ["--address", f"{other}={self.place(other)}"]
        if self.authority is None:
            words += ["--secret", str(self.secret)]
        else:
            files = self.authority.node(f"member-{member}", self.network.host(member))
            named = zip(("--certificate", "--key"), files, strict=True)
            for option, file in (*named, ("--authority", self.authority.file)):
                words += [option, str(file)]
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
        """Kill what is left."""
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait(timeout=WAIT_S)

    def is_alive(self, member: int) -> bool:
        return self._processes[member].poll() is None

    @asynccontextmanager
    async def connect(self, member: int) -> AsyncIterator[Ref[Any]]:
        """Reach a member by the socket in its folder. Raises LinkLost, NotFound."""
        async with connect_unix(self.state(member) / "runi.sock") as peer:
            yield peer.ref(BARN)

    @asynccontextmanager
    async def connect_tcp(self, member: int, **changes: Any) -> AsyncIterator[Ref[Any]]:
        shown = {"credentials": self.secret.read_bytes()} | changes
        host, port = self.network.host(member), self.network.port(member)
        async with connect_tcp(host, port, **shown) as peer:
            yield peer.ref(BARN)

    @asynccontextmanager
    async def client(self, *members: int, within_s: float = 20.0) -> AsyncIterator[BarnClient]:
        """Be a client of some members, or of all; it connects again when a connection is lost."""
        async with self.reaching(*members) as reached:
            yield BarnClient(reached, within_s=within_s)

    @asynccontextmanager
    async def reaching(self, *members: int) -> AsyncIterator[Members]:
        connects = {member: partial(self.connect, member) for member in members or self.members}
        async with reaching(connects) as reached:
            yield reached

    async def status(self, member: int) -> BarnStatus:
        async with self.connect(member) as ref:
            return await ref.ask(Status(), within=2.0)

    async def ready(self, *members: int) -> None:
        """Wait until members serve."""
        for member in members or self.members:
            await until(partial(self.status, member), f"word of member {member}")

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
                if (await ref.ask(Status(), within=2.0)).revision < revision:
                    return None
                return (await ref.ask(HashAt(revision), within=2.0)).digest

        for member in members or self.members:
            found[member] = await until(partial(caught_up, member), f"revision {revision}")
        assert len(set(found.values())) == 1, f"members differ: {found}"
        return found.popitem()[1]


@contextmanager
def begun(
    folder: Path,
    network: Network,
    *,
    has_tls: bool = False,
    are_begun: bool = True,
    disk_bytes: int = 0,
) -> Iterator[BarnGroup]:
    """Start the members of a Barn, or leave that to the test; leave nothing behind. With `disk_bytes` each has a disk of its own, which can be filled."""
    group = BarnGroup(folder, network, has_tls=has_tls or isinstance(network, Namespaces))
    with ExitStack() as stack:
        if disk_bytes:
            for member in group.members:
                stack.enter_context(small_disk(group.state(member), disk_bytes))
        stack.callback(network.end)
        stack.callback(group.end)
        network.begin(group.members)
        group.has_disks = bool(disk_bytes)
        if are_begun:
            for member in group.members:
                group.start(member)
        yield group


@asynccontextmanager
async def barn_group(
    folder: Path,
    *,
    network: Network | None = None,
    has_tls: bool = False,
    are_begun: bool = True,
    disk_bytes: int = 0,
) -> AsyncIterator[BarnGroup]:
    """Run the members of a Barn for as long as the block; they are ready, unless the test starts them itself."""
    network = network or Loopback()
    with begun(
        folder, network, has_tls=has_tls, are_begun=are_begun, disk_bytes=disk_bytes
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
