"""Members of one Barn that know who may what and sign tokens, in virtual time; the wall clock goes with it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anyio
import msgspec
import pytest
from runink.actors.access_board import AccessBoard
from runink.actors.access_follower import AccessFollower
from runink.actors.barn import Barn
from runink.actors.identity import KEEP_EVERY_S, Identity
from runink.actors.known_people import Know, KnownPeople
from runink.actors.people import knowing
from runink.actors.signing_keys import Means
from runink.barn.keys import ACCOUNTS, BINDINGS, OF_CLUSTER, herd_key
from runink.clients.access import taking
from runink.clients.barn import BarnClient, Transaction
from runink.clients.barn_requests import BarnRequest
from runink.clients.identity_requests import ClientToken, IdentityRequest, MintedToken, MintToken
from runink.errors import LinkLost, Refused, RuninkError
from runink.herds.lifecycle import By, created
from runink.herds.record import HerdRecord
from runink.identity.accounts import (
    ID_BYTES,
    SECRET_BYTES,
    SECRET_LIFETIME_MS,
    ServiceAccount,
    with_new_secret,
)
from runink.identity.principals import Principal, PrincipalKind
from runink.identity.roles import Binding, RoleOf
from runink.identity.vocabulary import EVERYTHING, Resource, Verb
from runink.names import AccountName, BindingName, HerdName, RoleName
from runink.operations.calls import Unauthenticated
from runink.runtime.actor import Request
from runink.runtime.ref import LocalRef, Ref
from runink.runtime.supervisor import ChildSpec, supervise
from runink.secrets.seal import KEY_BYTES, RootKey
from runink.testing.disk import FaultyDisk, in_loop

BEGAN_MS = 1_800_000_000_000
WITHIN_S = 60.0
ISSUER = "urn:runink:farm"
OPERATOR = Principal(PrincipalKind.OPERATOR, "root")
ANN = Principal(PrincipalKind.USER, "corp:ann")
HERD, NIGHTLY = HerdName("sales"), AccountName("nightly")
R = TypeVar("R")


class Line:
    """A way to the Barn that can be cut."""

    def __init__(self, barn: Ref[BarnRequest]) -> None:
        self._barn = barn
        self.is_cut = False
        self.address = barn.address

    async def ask(self, request: Request[R], *, within: float) -> R:
        if self.is_cut:
            await anyio.sleep(within)
            raise LinkLost("cut")
        return await self._barn.ask(request, within=within)

    async def tell(self, message: Any) -> None:
        await self._barn.tell(message)

    def tell_nowait(self, message: Any) -> None:
        self._barn.tell_nowait(message)

    def flush(self) -> None:
        self._barn.flush()


@dataclass
class Member:
    board: AccessBoard
    identity: LocalRef[IdentityRequest]
    line: Line

    async def refuses(self, token: str) -> bool:
        """Say whether a token is refused here."""
        try:
            await self.board.authenticate(token)
        except Unauthenticated:
            return True
        return False

    def allows(self, principal: Principal, verb: Verb, resource: Resource, herd: str, name: str = "") -> bool:  # fmt: skip
        return self.board.allows(principal, verb, resource, herd=herd, name=name)


@dataclass
class AccessWorld:
    barn: BarnClient
    members: list[Member] = field(default_factory=list)
    ahead_ms: int = 0

    def now_ms(self) -> int:
        return BEGAN_MS + self.ahead_ms + int(anyio.current_time() * 1000)

    @property
    def first(self) -> Member:
        return self.members[0]

    async def pass_s(self, seconds: float) -> None:
        """Let so much time pass on the wall clock, and as much in truth as it takes to do what has become due by then."""
        self.ahead_ms += int(max(seconds - 2 * KEEP_EVERY_S, 0) * 1000)
        await anyio.sleep(2 * KEEP_EVERY_S)

    async def settled(self) -> None:
        """Wait until there is a key that signs, and all members know it."""
        for member in self.members:
            with anyio.fail_after(WITHIN_S):
                while not len(member.board.facts.signing):
                    await member.board.wait_past(member.board.facts.revision, within=WITHIN_S)

    async def declare(self, herd: HerdName = HERD) -> None:
        said = created(HerdRecord(herd), None, By("operator:root", self.now_ms()))
        await self.barn.put(herd_key(herd), said)

    async def account(self, name: str = NIGHTLY, herd: HerdName = HERD) -> tuple[ServiceAccount, str]:  # fmt: skip
        """Make an account with one secret."""
        account = ServiceAccount(herd=herd, name=AccountName(name), made_ms=self.now_ms())
        account, word = with_new_secret(
            account,
            entropy=os.urandom(ID_BYTES + SECRET_BYTES),
            by="operator:root",
            now_ms=self.now_ms(),
            lifetime_ms=SECRET_LIFETIME_MS,
        )
        await self.put(ACCOUNTS.key(herd, name), account)
        return account, str(word)

    async def put(self, key: str, value: msgspec.Struct) -> None:
        await self.known(await self.barn.put(key, value))

    async def delete(self, key: str) -> None:
        committed = await self.barn.commit(taking(Transaction(), key))
        await self.known(committed.revision)

    async def bind(self, name: str, role: str, *subjects: str, herd: str = EVERYTHING) -> Binding:
        """Bind a built-in role for all herds."""
        binding = Binding(BindingName(name), herd, RoleName(role), RoleOf.BUILT_IN, subjects)
        key = BINDINGS.key(OF_CLUSTER, name)
        committed = await self.barn.commit(Transaction().put(key, binding))
        await self.known(committed.revision)
        return binding

    async def known(self, revision: int) -> None:
        """Wait until all members that can hear know of a change."""
        for member in self.members:
            if not member.line.is_cut:
                await member.board.wait_past(revision - 1, within=WITHIN_S)

    async def mint(self, member: int = 0, *, by: Principal = OPERATOR, lifetime_s: int = 600) -> MintedToken:  # fmt: skip
        asked = MintToken(by, HERD, NIGHTLY, lifetime_s)
        return await self.members[member].identity.ask(asked, within=WITHIN_S)

    async def token(self, secret: str, member: int = 0, *, client: str = "sales/nightly", address: str = "a") -> MintedToken:  # fmt: skip
        asked = ClientToken(client, secret, address)
        return await self.members[member].identity.ask(asked, within=WITHIN_S)


async def code_of(asked: Any) -> str:
    """Return with which code a request is refused."""
    with pytest.raises(RuninkError) as info:
        await asked
    return info.value.code


@asynccontextmanager
async def access_world(
    *, members: int = 2, has_root: bool = True, know: Know = knowing
) -> AsyncIterator[AccessWorld]:
    """Run members of a new cluster. `know` stands for the providers of people."""
    disk = FaultyDisk()
    root = RootKey(1, os.urandom(KEY_BYTES))
    async with supervise() as supervisor:
        barn = await supervisor.start(
            ChildSpec("barn", lambda: Barn(lambda: disk, offload=in_loop))
        )
        world = AccessWorld(BarnClient(barn, new_id=lambda: "test"))

        def root_keys() -> tuple[RootKey, ...]:
            if has_root:
                return (root,)
            raise Refused("there is no root key", code="root_key")

        means = Means(world.now_ms, os.urandom, root_keys)
        for number in range(1, members + 1):
            line, people = Line(barn), KnownPeople(know)

            def client(line: Line = line, number: int = number) -> BarnClient:
                return BarnClient(line, new_id=lambda: f"m{number}")

            board = AccessBoard(client(), people, issuer=ISSUER, now_ms=world.now_ms)

            def follower(board: AccessBoard = board, people: KnownPeople = people, client: Callable[[], BarnClient] = client) -> AccessFollower:  # fmt: skip
                return AccessFollower(client(), board, people)

            def identity(board: AccessBoard = board, client: Callable[[], BarnClient] = client) -> Identity:  # fmt: skip
                return Identity(client(), board, means, jitter=lambda: 0.0)

            await supervisor.start(ChildSpec(f"access-{number}", follower))
            ref = await supervisor.start(ChildSpec(f"identity-{number}", identity))
            world.members.append(Member(board, ref, line))
        if has_root:
            await world.settled()
        yield world
