"""Trust actors of members of one Barn, and joiners, in virtual time: certificates are real, their clock is the test's."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from runink.actors.barn import Barn
from runink.actors.trust import Means, TrustKeeper
from runink.actors.trust_board import TrustBoard
from runink.certificates.authority import LIFETIME_S, PrivateKey, make_request
from runink.certificates.join_tokens import LIFETIME_S as TOKEN_S
from runink.certificates.names import CertifiedNode, identity_of
from runink.certificates.roles import NodeRole
from runink.clients.barn import BarnClient
from runink.clients.trust_requests import (
    Admission,
    Join,
    Minted,
    MintJoin,
    Renew,
    TrustFacts,
    TrustOf,
    TrustRequest,
)
from runink.loops import Bell
from runink.names import NodeId
from runink.root_key import ROOT_KEY, read_root_keys
from runink.runtime.ref import LocalRef
from runink.runtime.supervisor import ChildSpec, supervise
from runink.testing.disk import FaultyDisk, in_loop
from runink.testing.node_certificates import curve_key
from runink.trust.founding import forget_founding, found, read_founding
from runink.trust_files import TrustFolder

WITHIN_S = 60.0
BEGAN_S = 1_800_000_000
CLUSTER = "farm"


@dataclass
class TrustWorld:
    """A cluster that was founded: `now_s` is its clock, `keepers` are the trust actors of two members."""

    state: Path
    barn: BarnClient
    now_s: int = BEGAN_S
    word: str = ""  # that makes the first administrator
    keepers: list[LocalRef[TrustRequest]] = field(default_factory=list)
    boards: list[TrustBoard] = field(default_factory=list)
    changed: Bell = field(default_factory=Bell)

    @property
    def keeper(self) -> LocalRef[TrustRequest]:
        return self.keepers[0]

    @property
    def board(self) -> TrustBoard:
        return self.boards[0]

    async def mint(self, name: str = "", *, role: NodeRole = NodeRole.AGENT, rejoins: bool = False, lifetime_s: int = TOKEN_S) -> Minted:  # fmt: skip
        asked = MintJoin(role, "ann", name, rejoins=rejoins, lifetime_s=lifetime_s)
        return await self.keeper.ask(asked, within=WITHIN_S)

    async def join(self, word: str, *, name: str = "", key: PrivateKey | None = None, member: int = 0) -> Admission:  # fmt: skip
        request = make_request(key or curve_key(), "x")
        return await self.keepers[member].ask(Join(word, request, name), within=WITHIN_S)

    async def joined(self, name: str) -> bytes:
        """Let a node in, and return its certificate."""
        return (await self.join((await self.mint(name)).word)).certificate

    async def renew(self, certificate: bytes, key: PrivateKey | None = None) -> bytes:
        request = make_request(key or curve_key(), "x")
        answer = await self.keeper.ask(Renew(certificate, request), within=WITHIN_S)
        return answer.certificate

    async def facts(self) -> TrustFacts:
        return await self.keeper.ask(TrustOf(), within=WITHIN_S)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until what the boards show is so: they are told by a watch."""
        with anyio.fail_after(10 * WITHIN_S):  # of virtual time
            while not holds():
                await self.changed.wait()

    def pass_time(self, seconds: float) -> None:
        self.now_s += int(seconds)


@asynccontextmanager
async def trust_world(state: Path, disk: FaultyDisk | None = None) -> AsyncIterator[TrustWorld]:
    """Found a cluster and run its trust actors. `state` is the first member's folder."""
    used = disk or FaultyDisk()
    async with supervise() as supervisor:
        barn = await supervisor.start(
            ChildSpec("barn", lambda: Barn(lambda: used, offload=in_loop))
        )
        world = TrustWorld(state, BarnClient(barn, new_id=lambda: "test"))
        if TrustFolder(state / "trust").load() is None:
            world.word = found(state, CLUSTER, NodeId("member-1"), now_s=world.now_s)
        for member in ("one", "two"):
            board = TrustBoard()
            board.changed = world.changed.ring

            def keeper(board: TrustBoard = board, member: str = member) -> TrustKeeper:
                path = state / ROOT_KEY
                means = Means(
                    now_s=lambda: world.now_s,
                    random_bytes=os.urandom,
                    root_keys=lambda: read_root_keys(path),
                    root_file=path.read_bytes,
                )
                return TrustKeeper(
                    BarnClient(barn, new_id=lambda: member),
                    board,
                    means,
                    founding=read_founding(state) if member == "one" else None,
                    founded=lambda: forget_founding(state),
                )

            world.boards.append(board)
            world.keepers.append(await supervisor.start(ChildSpec(f"trust-{member}", keeper)))
        await world.until(lambda: all(board.authorities is not None for board in world.boards))
        yield world


def named(certificate: bytes) -> CertifiedNode:
    return identity_of(certificate)


HALF_S = LIFETIME_S // 2
