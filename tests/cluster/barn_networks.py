"""Where the members of a Barn are: all on one loopback, or each in a network namespace of its own, with cables that can be cut."""

from __future__ import annotations

import secrets
import socket
import subprocess
from itertools import count
from typing import Final, Protocol

END_S: Final = 60.0  # what takes longer to end hangs
PORTS: Final = range(20_000, 32_000)  # below those that the kernel gives to whoever connects


class Network(Protocol):
    """Where members are, and how they know each other."""

    def host(self, member: int) -> str: ...

    def port(self, member: int) -> int: ...

    def words(self, member: int) -> list[str]:
        """Return what stands before the command that runs a member."""

    def join(self, member: int) -> None:
        """Make a place for a member, within reach of all that have one."""

    def leave(self, member: int) -> None:
        """Take a member's place away; nothing is left of it."""


def free_port(*taken: int) -> int:
    """Return a port that nobody listens at, and that no connection is given while whoever is to listen there is not up."""
    for _ in count():  # ends: only some of them are taken
        port = secrets.choice(PORTS)
        if port in taken:
            continue
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise AssertionError


class Loopback:
    """All members on 127.0.0.1, on ports of their own."""

    def __init__(self) -> None:
        self._ports: dict[int, int] = {}

    def host(self, member: int) -> str:
        return "127.0.0.1"

    def port(self, member: int) -> int:
        if member not in self._ports:
            self._ports[member] = free_port(*self._ports.values())
        return self._ports[member]

    def words(self, member: int) -> list[str]:
        return []

    def join(self, member: int) -> None:
        self.port(member)

    def leave(self, member: int) -> None:
        """Its port stays its own: those who knew it may ask there still."""


class Namespaces:
    """A network namespace for each member, and a cable between every two. Every end of a cable drops what it should send, when a test says so."""

    def __init__(self) -> None:
        self._holders: dict[int, subprocess.Popen[bytes]] = {}
        self._cabled: tuple[int, ...] = ()  # replaced as a whole: one may join while others are cut
        self._cut: set[tuple[int, int]] = set()

    def host(self, member: int) -> str:
        return f"10.77.0.{member}"

    def port(self, member: int) -> int:
        return 7400 + member

    def words(self, member: int) -> list[str]:
        return ["nsenter", "--net", "--target", str(self._holders[member].pid)]

    def join(self, member: int) -> None:
        holder = subprocess.Popen(
            # It ends with its input, so with us: a death signal would come with the end of the thread that begins it.
            ["unshare", "--net", "sh", "-c", "echo; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert holder.stdout is not None
        assert holder.stdout.read(1) == b"\n", "no namespace: is this root?"
        self._holders[member] = holder
        self._in(member, "ip", "link", "set", "lo", "up")
        for other in self._cabled:
            self._lay_cable(other, member)
        self._cabled += (member,)

    def leave(self, member: int) -> None:
        """Let a namespace go: nothing but this process holds it, and its cables go with it."""
        holder = self._holders.pop(member)
        self._cabled = tuple(other for other in self._cabled if other != member)
        self._cut = {pair for pair in self._cut if member not in pair}
        holder.kill()
        holder.communicate(timeout=END_S)

    def _in(self, member: int, *words: str) -> None:
        subprocess.run([*self.words(member), *words], check=True)

    def _pairs(self) -> list[tuple[int, int]]:
        cabled = self._cabled
        return [(a, b) for a in cabled for b in cabled if a != b]

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

    def isolate(self, *members: int) -> None:
        """Cut members off from all others, in both directions; they reach each other."""
        self.cut(*((a, b) for a, b in self._pairs() if (a in members) != (b in members)))

    def deafen(self, *members: int) -> None:
        """Let members hear nobody, though they are heard."""
        self.cut(*(pair for pair in self._pairs() if pair[1] in members))

    def mute(self, *members: int) -> None:
        """Let nobody hear members, though they hear all."""
        self.cut(*(pair for pair in self._pairs() if pair[0] in members))

    def part(self, one: int, other: int) -> None:
        """Cut two members off from each other; both still reach the rest."""
        self.cut((one, other), (other, one))

    def ring(self, *members: int) -> None:
        """Let each of these reach only the one before it and the one behind it: of five, each has a majority, and no two the same."""
        last = len(members) - 1
        place = {member: number for number, member in enumerate(members)}
        among = ((a, b) for a, b in self._pairs() if a in place and b in place)
        self.cut(*((a, b) for a, b in among if abs(place[a] - place[b]) not in {1, last}))

    def heal(self) -> None:
        self.cut()
