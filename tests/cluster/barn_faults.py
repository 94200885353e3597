"""What happens to the members of a Barn while it works: one fault after the other, each chosen by the seed, each over before the next begins.

kill       -9, and started again          isolate    a member reaches nobody, nobody reaches it
freeze     SIGSTOP, SIGCONT               deafen     it hears nobody, and is heard
restart    SIGTERM, and started again     mute       it hears everybody, and is not heard
transfer   the leader hands over          part       two members do not reach each other
kill_all   all of them at once            fill       its disk has no byte left
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Final

import anyio
from barn_group import BarnGroup, Namespaces, fill
from runink.clients.barn_requests import MoveLeader
from runink.errors import RuninkError

SHORT_S: Final = 0.2
LONG_S: Final = 2.5  # longer than an election
REST_S: Final = 1.0


class Faults:
    """Faults for a group; those of the network only where it is one of namespaces, a full disk only where each has its own. `done` says what happened when."""

    def __init__(self, group: BarnGroup, seed: int) -> None:
        self.done: list[str] = []
        self._group = group
        self._random = Random(f"faults {seed}")
        self._began_s = time.monotonic()
        self._kinds: dict[str, Callable[[int], Awaitable[None]]] = {
            "kill": self._kill,
            "freeze": self._freeze,
            "restart": self._restart,
            "transfer": self._transfer,
            "kill_all": self._kill_all,
        }
        if group.has_disks:
            self._kinds["fill"] = self._fill
        network = group.network
        if isinstance(network, Namespaces):
            for kind in (network.isolate, network.deafen, network.mute):
                self._kinds[kind.__name__] = self._cut(network, kind)
            self._kinds["part"] = self._cut(
                network, lambda member: network.part(member, member % 3 + 1)
            )

    async def run(self, seconds: float) -> None:
        """Let things happen for so long, every kind once before any comes again; in the end all is well."""
        deadline_s = time.monotonic() + seconds
        kinds: list[str] = []
        while time.monotonic() < deadline_s:
            if not kinds:
                kinds = sorted(self._kinds)
                self._random.shuffle(kinds)
            kind = kinds.pop()
            member = await self._victim()
            self.done.append(f"{time.monotonic() - self._began_s:6.1f} s  {kind} {member}")
            await self._kinds[kind](member)
            await self._pause(SHORT_S, REST_S)

    async def _victim(self) -> int:
        """Return who it happens to: every other time the leader."""
        member = self._random.choice(self._group.members)
        if self._random.random() < 0.5:
            return member
        with suppress(RuninkError, OSError):
            return (await self._group.status(member)).lead or member
        return member

    async def _pause(self, least_s: float, most_s: float) -> None:
        await anyio.sleep(self._random.uniform(least_s, most_s))

    async def _kill(self, member: int) -> None:
        self._group.kill(member)
        await self._pause(0, LONG_S)
        self._group.start(member)
        await self._group.ready(member)

    async def _kill_all(self, _: int) -> None:
        for member in self._group.members:
            self._group.kill(member)
        for member in self._group.members:
            self._group.start(member)
        await self._group.ready()

    async def _restart(self, member: int) -> None:
        code = await anyio.to_thread.run_sync(self._group.stop, member)
        assert code == 0, f"member {member} ended with {code}"
        self._group.start(member)
        await self._group.ready(member)

    async def _freeze(self, member: int) -> None:
        self._group.freeze(member)
        await self._pause(SHORT_S, LONG_S)
        self._group.thaw(member)

    async def _fill(self, member: int) -> None:
        filler = self._group.state(member) / "filler"
        await anyio.to_thread.run_sync(fill, filler)
        await self._pause(SHORT_S, LONG_S)
        await anyio.Path(filler).unlink()

    async def _transfer(self, member: int) -> None:
        with suppress(RuninkError, OSError):
            async with self._group.connect(member) as ref:
                await ref.ask(MoveLeader(member % len(self._group.members) + 1), within=2.0)

    def _cut(
        self, network: Namespaces, kind: Callable[[int], None]
    ) -> Callable[[int], Awaitable[None]]:
        async def cut(member: int) -> None:
            kind(member)
            await self._pause(SHORT_S, 2 * LONG_S)
            network.heal()

        return cut
