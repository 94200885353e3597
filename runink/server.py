"""The composition root of `runi server`: one member of the Barn, and who may reach it.

    the socket in the state folder     this user's commands (`runi barn`, `runi cluster`)
    TCP                                the other members; by TLS also whoever has a certificate of the cluster's authority

Members connect to each other, each to every other, and show a certificate (mutual TLS) or, on loopback, a secret.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import anyio
import msgspec

from runink.actors.barn import Barn
from runink.actors.group import Group
from runink.actors.office import TERM_S, Reached, Seat
from runink.actors.offload import switch_threads_soon
from runink.actors.peers import PeerMessages, PeerRef, SnapshotChunk
from runink.actors.shelf import FileDesk
from runink.barn.keys import member_key
from runink.clients.barn import BarnClient, new_client_id
from runink.clients.barn_requests import BarnRequest
from runink.clients.cluster import BARN
from runink.clients.node_files import FILES, ReadFiles
from runink.config import IDENTITY, Address, Identity, ServerSettings, read_identity
from runink.control import RUNS_INNER, start_control
from runink.errors import Refused, RuninkError
from runink.names import NodeId
from runink.runtime.connections import Peer, serve_tcp, serve_unix
from runink.runtime.directory import Directory
from runink.runtime.supervisor import ChildSpec, supervise
from runink.scheduling.snapshots import policy_for
from runink.storage.disk import RealDisk
from runink.storage.wal import SERVER_SEGMENT_BYTES
from runink.trust import Trust, trust_of

MEMBER: Final = "member-"
MESSAGES_MAX: Final = 4096  # of clients and members: a thousand clients ask at once
STATE_MODE: Final = 0o700
ADVERTISE_PAUSE_S: Final = 1.0  # until it is tried again to say where we listen


@dataclass(frozen=True, slots=True)
class Served:
    """A member that runs, and where it listens. `seat` says where the run controller is that acts for the cluster."""

    barn: BarnClient
    address: Address
    seat: Seat


@asynccontextmanager
async def serving(settings: ServerSettings) -> AsyncIterator[Served]:
    """Run a member for as long as the block.

    Raises Invalid, Refused (`bad_certificate`, `bad_secret`, a host beyond loopback without TLS), Unavailable (`storage_locked`), WalCorrupt, Broken.
    """
    settings.validate()
    settings.state.mkdir(mode=STATE_MODE, parents=True, exist_ok=True)
    _check_identity(settings)
    trust = trust_of(settings.tls, settings.secret)
    ours = settings.addresses[settings.member]
    group = Group(
        cluster=settings.cluster,
        member=settings.member,
        voters=() if settings.joins else tuple(sorted(settings.addresses)),
        connect=partial(_barn_of, trust, settings),
        random=secrets.randbelow,
        segment_bytes=SERVER_SEGMENT_BYTES,
    )
    switch_threads_soon()
    policy = policy_for(settings.solver_rounds)
    async with supervise() as supervisor:
        make = partial(Barn, partial(RealDisk, settings.barn), group=group, new_id=new_client_id)
        barn = await supervisor.start(ChildSpec(BARN, make, messages_max=MESSAGES_MAX))
        client = BarnClient(barn)
        control, seat = await start_control(
            supervisor,
            barn,
            member=name_of(settings.member),
            term_s=TERM_S,
            reach=partial(_runs_of, trust, settings, client),
            suspect_s=settings.suspect_s,
            back_s=settings.back_s,
            policy=policy,
        )
        messages = BarnRequest | PeerMessages | SnapshotChunk
        name = NodeId(name_of(settings.member))
        for_all, for_us = control.directory(name, messages), control.directory(name)
        files = await supervisor.start(ChildSpec(FILES, partial(FileDesk, for_all.ref)))
        for_all.serve(files, ReadFiles)
        for_us.serve(files, ReadFiles)
        async with (
            serve_tcp(
                ours.host,
                ours.port,
                for_all,
                admit=trust.admit,
                tls=trust.accepting,
            ) as port,
            serve_unix(settings.socket, for_us),
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(_advertise, client, settings.member, str(ours))
            try:
                yield Served(client, Address(ours.host, port), seat)
            finally:
                tasks.cancel_scope.cancel()


async def _advertise(barn: BarnClient, member: int, address: str) -> None:
    """Say in the Barn where we listen, so that members who join later find us, and everybody if we have moved."""
    while True:  # ends when it is said, or by being cancelled
        try:
            found = await barn.get(member_key(member), str)
            if found is None or found.value != address:
                await barn.put(member_key(member), address)
        except RuninkError:
            await anyio.sleep(ADVERTISE_PAUSE_S)  # nobody leads yet
        else:
            return


def _check_identity(settings: ServerSettings) -> None:
    """Note in the folder whose state it is. Raises Refused (`other_member`) if it is another's: under two names it would vote twice."""
    ours = Identity(settings.cluster, settings.member)
    found = read_identity(settings.state)
    if found is None:
        with (settings.state / IDENTITY).open("xb") as file:
            file.write(msgspec.json.encode(ours))
            file.flush()
            os.fsync(file.fileno())
    elif found != ours:
        raise Refused(
            f"{settings.state} holds the state of member {found.member} of cluster {found.cluster}, and this is member {ours.member} of {ours.cluster}",
            code="other_member",
            hint="start it under its own number, or give this member a folder of its own",
        )


def name_of(member: int) -> str:
    """Return the name under which a member is a node."""
    return f"{MEMBER}{member}"


@asynccontextmanager
async def _barn_of(
    trust: Trust, settings: ServerSettings, member: int, known: str
) -> AsyncIterator[PeerRef]:
    async with _connected(trust, settings, member, known) as peer:
        yield peer.ref(BARN)


@asynccontextmanager
async def _runs_of(
    trust: Trust, settings: ServerSettings, barn: BarnClient, name: str
) -> AsyncIterator[Reached]:
    """Reach the run controller of the member with this name, for who is asked here."""
    member = int(name.removeprefix(MEMBER))
    found = await barn.get(member_key(member), str)
    async with _connected(trust, settings, member, found.value if found else "") as peer:
        yield Reached(peer.ref(RUNS_INNER), peer.link.wait_over)


def _connected(
    trust: Trust, settings: ServerSettings, member: int, known: str
) -> AbstractAsyncContextManager[Peer]:
    """Connect to a member, where the Barn says that it listens (`known`) or our settings do. Raises Refused (`no_address`), LinkLost."""
    address = Address.parse(known) if known else settings.addresses.get(member)
    if address is None:
        raise Refused(f"nobody says where member {member} listens", code="no_address")
    return trust.connected(address, Directory(name_of(settings.member)))
