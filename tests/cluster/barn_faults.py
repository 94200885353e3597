"""What happens to the members of a Barn while it works: one fault after the other, each chosen by the seed, each over before the next begins.

kill       -9, and started again          isolate    they reach nobody else, nobody else reaches them
freeze     SIGSTOP, SIGCONT               deafen     they hear nobody, and are heard
restart    SIGTERM, and started again     mute       they hear everybody, and are not heard
rolling    that to all, one by one        part       two members do not reach each other
transfer   the leader hands over          ring       of five or more, each reaches two
kill_all   -9 to all of them at once      fill       their disks have no byte left

It happens to one member, or to as many as a minority of the group has: the others must go on. Only `kill_all` leaves nobody, for a moment.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Final

import anyio
from barn_group import BarnGroup, Namespaces, fill
from runink.clients.barn import BarnClient
from runink.clients.membership import MembershipAdmin
from runink.errors import RuninkError

SHORT_S: Final = 0.2
LONG_S: Final = 2.5  # longer than an election
REST_S: Final = 1.0
RING_MIN: Final = 5  # in a smaller one everybody reaches everybody
CRASHED: Final = ("actor crashed", "Traceback")  # in what a member says
SAID_MAX: Final = 20  # lines of it that are told

Victims = tuple[int, ...]


class Faults:
    """Faults for a group; those of the network only where it is one of namespaces, a full disk only where each has its own.

    `done` says what happened when, `findings` which members ended without being told to, or crashed within. `hands` is held while a fault lasts, and by whoever takes a member
    away for good: never in the middle of one.
    """

    def __init__(self, group: BarnGroup, seed: int) -> None:
        self.done: list[str] = []
        self.findings: list[str] = []
        self.counts: Counter[str] = Counter()
        self.hands = anyio.Lock()
        self._group = group
        self._random = Random(f"faults {seed}")
        self._down_max = (len(group.members) - 1) // 2
        self._began_s = time.monotonic()
        self._kinds: dict[str, Callable[[Victims], Awaitable[None]]] = {
            "kill": self._kill,
            "freeze": self._freeze,
            "restart": self._restart,
            "rolling": self._rolling,
            "transfer": self._transfer,
            "kill_all": self._kill_all,
        }
        if group.disk_bytes:
            self._kinds["fill"] = self._fill
        if isinstance(group.network, Namespaces):
            self._kinds |= self._cuts(group.network)

    async def run(self, seconds: float) -> None:
        """Let things happen for so long, every kind once before any comes again; in the end all is well."""
        deadline_s = time.monotonic() + seconds
        kinds: list[str] = []
        while time.monotonic() < deadline_s and not self.findings:
            if not kinds:
                kinds = sorted(self._kinds)
                self._random.shuffle(kinds)
            kind = kinds.pop()
            async with self.hands:
                self.look_for_failures()
                victims = await self._victims()
                self.note(f"{kind} {', '.join(map(str, victims))}")
                self.counts[kind] += 1
                await self._kinds[kind](victims)
            await self._pause(SHORT_S, REST_S)
        async with self.hands:  # nobody is just being taken away
            self.look_for_failures()

    def note(self, what: str) -> None:
        self.done.append(f"{time.monotonic() - self._began_s:6.1f} s  {what}")

    def look_for_failures(self) -> None:
        """Find members that ended by themselves, or say that something in them crashed."""
        for member in filter(self._group.is_started, self._group.members):
            said = self._group.said(member)
            is_failed = any(word in said for word in CRASHED)
            if is_failed or not self._group.is_alive(member):
                last = "\n".join(said.splitlines()[-SAID_MAX:])
                what = "crashed" if is_failed else "ended by itself"
                self.findings.append(f"member {member} {what}:\n{last}")

    async def _victims(self) -> Victims:
        """Return who it happens to: every other time the leader is among them."""
        members = [one for one in self._group.members if self._group.is_started(one)]
        victims = self._random.sample(members, self._random.randint(1, self._down_max))
        if self._random.random() < 0.5:
            return tuple(victims)
        with suppress(RuninkError, OSError):
            lead = (await self._group.status(victims[0])).lead
            if lead in members and lead not in victims:
                victims[0] = lead
        return tuple(victims)

    async def _pause(self, least_s: float, most_s: float) -> None:
        await anyio.sleep(self._random.uniform(least_s, most_s))

    async def _kill(self, victims: Victims) -> None:
        for member in victims:
            self._group.kill(member)
        await self._pause(0, LONG_S)
        for member in victims:
            self._group.start(member)
        await self._group.ready(*victims)

    async def _kill_all(self, _: Victims) -> None:
        everybody = tuple(filter(self._group.is_started, self._group.members))
        for member in everybody:
            self._group.kill(member)
        for member in everybody:
            self._group.start(member)
        await self._group.ready(*everybody)

    async def _restart(self, victims: Victims) -> None:
        for member in victims:
            await self._stop(member)
        for member in victims:
            self._group.start(member)
        await self._group.ready(*victims)

    async def _rolling(self, _: Victims) -> None:
        for member in filter(self._group.is_started, self._group.members):
            await self._stop(member)
            self._group.start(member)
            await self._group.serves(member)

    async def _stop(self, member: int) -> None:
        code = await anyio.to_thread.run_sync(self._group.stop, member)
        if code:
            self.findings.append(f"member {member} was told to stop, and ended with {code}")

    async def _freeze(self, victims: Victims) -> None:
        for member in victims:
            self._group.freeze(member)
        await self._pause(SHORT_S, LONG_S)
        for member in victims:
            self._group.thaw(member)

    async def _fill(self, victims: Victims) -> None:
        fillers = [self._group.state(member) / "filler" for member in victims]
        for filler in fillers:
            await anyio.to_thread.run_sync(fill, filler)
        await self._pause(SHORT_S, LONG_S)
        for filler in fillers:
            await anyio.Path(filler).unlink()

    async def _transfer(self, victims: Victims) -> None:
        successor = self._random.choice(self._group.members)
        with suppress(RuninkError, OSError):
            async with self._group.connect(victims[0]) as ref:
                await MembershipAdmin(BarnClient(ref, within_s=2.0)).transfer(successor)

    def _cuts(self, network: Namespaces) -> dict[str, Callable[[Victims], Awaitable[None]]]:
        def part(*victims: int) -> None:
            others = [one for one in self._group.members if one != victims[0]]
            network.part(victims[0], self._random.choice(others))

        def ring(*_: int) -> None:
            members = self._group.members
            network.ring(*self._random.sample(members, len(members)))

        cuts: list[Callable[..., None]] = [network.isolate, network.deafen, network.mute, part]
        if len(self._group.members) >= RING_MIN:
            cuts.append(ring)
        return {kind.__name__: self._cut(network, kind) for kind in cuts}

    def _cut(
        self, network: Namespaces, kind: Callable[..., None]
    ) -> Callable[[Victims], Awaitable[None]]:
        async def cut(victims: Victims) -> None:
            await anyio.to_thread.run_sync(kind, *victims)
            await self._pause(SHORT_S, 2 * LONG_S)
            await anyio.to_thread.run_sync(network.heal)

        return cut
