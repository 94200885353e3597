"""The composition root of `runi server`: one member of the Barn, and who may reach it.

    the socket in the state folder     this user's commands (`runi barn`, `runi cluster`)
    the API (`serving_api.py`)         this user by a socket; programs and people by HTTP, with tokens
    TCP                                the other members and the cluster's nodes, each for what its role may ask (`trust/rights.py`); programs and people with tokens (`trust/programs.py`);
                                       who has a join token

Members connect to each other, each to every other, and show a certificate (mutual TLS) or, on loopback, a secret.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from random import SystemRandom
from typing import TYPE_CHECKING, Any, Final

import anyio
import msgspec

from runink.actors.barn import Barn, BarnMessage
from runink.actors.group import Group
from runink.actors.office import TERM_S, Reached, Seat
from runink.actors.offload import switch_threads_soon
from runink.actors.peers import PeerMessages, PeerRef, SnapshotChunk
from runink.actors.shelf import FileDesk
from runink.actors.trust import Means, TrustKeeper
from runink.actors.trust_board import TrustBoard
from runink.barn.keys import member_key
from runink.clients.api_requests import ApiRequest
from runink.clients.barn import BarnClient, new_client_id
from runink.clients.barn_requests import BarnRequest
from runink.clients.cluster import API, BARN, TRUST, Cluster
from runink.clients.cluster import IDENTITY as SIGNING
from runink.clients.identity_requests import IdentityRequest
from runink.clients.node_files import FILES, ReadFiles
from runink.clients.trust_requests import TrustRequest
from runink.clock import now_ms
from runink.config import IDENTITY, Address, Identity, ServerSettings, read_identity
from runink.control import RUNS_INNER, ControlPlane, start_control
from runink.errors import Refused, RuninkError
from runink.letting_in import LettingIn, start_letting_in
from runink.machine_reading import user_name
from runink.names import NodeId
from runink.observe.api_metrics import ApiMetrics, Carrier
from runink.root_key import ROOT_KEY, read_root_keys, read_signing_roots
from runink.runtime.connections import Peer, serve_tcp, serve_unix
from runink.runtime.directory import Directory
from runink.runtime.guests import Entrance
from runink.runtime.ref import LocalRef
from runink.runtime.supervisor import ChildSpec, Supervisor, supervise
from runink.scheduling.snapshots import policy_for
from runink.services.cursor_keys import cursor_keys
from runink.services.desk import ApiDesk
from runink.services.offer import Offer, offer_of
from runink.storage.disk import RealDisk
from runink.storage.wal import SERVER_SEGMENT_BYTES
from runink.trust.connecting import SecretEntrance, Trust, trust_of
from runink.trust.entrance import ClusterEntrance
from runink.trust.founding import forget_founding, read_founding
from runink.trust.programs import OperatorEntrance, Programs
from runink.trust.renewing import Renewer

if TYPE_CHECKING:
    from runink.api.serving import Serving

MEMBER: Final = "member-"
MESSAGES_MAX: Final = 4096  # of clients and members: a thousand clients ask at once
STATE_MODE: Final = 0o700
ADVERTISE_PAUSE_S: Final = 1.0  # until it is tried again to say where we listen


@dataclass(frozen=True, slots=True)
class Served:
    """A member that runs, and where it listens. `seat` says where the run controller is that acts for the cluster, `letting_in` who is known there and who signs tokens, `api` is its HTTP API, if it has one."""

    barn: BarnClient
    address: Address
    seat: Seat
    letting_in: LettingIn
    api: Serving | None = None


@asynccontextmanager
async def serving(settings: ServerSettings) -> AsyncIterator[Served]:
    """Run a member for as long as the block.

    Raises Invalid, Refused (`bad_certificate`, `bad_secret`, a host beyond loopback without TLS), Unavailable (`storage_locked`), WalCorrupt, Broken.
    """
    settings.validate()
    settings.state.mkdir(mode=STATE_MODE, parents=True, exist_ok=True)
    _check_identity(settings)
    trust = trust_of(settings.trust, settings.secret, lets_programs_in=True)
    ours = settings.addresses[settings.member]
    switch_threads_soon()
    policy = policy_for(settings.solver_rounds)
    async with supervise() as supervisor:
        metrics = ApiMetrics()
        barn = await _start_barn(supervisor, trust, settings, metrics)
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
        inside = await _inside(supervisor, control, settings)
        door = await _door(supervisor, trust, settings, inside, metrics)
        async with (
            serve_tcp(
                ours.host,
                ours.port,
                inside.for_all,
                entrance=door.entrance,
                tls=trust.contexts.accepting if trust.contexts else None,
            ) as port,
            serve_unix(settings.socket, inside.for_us, entrance=_operator()),
            _api(settings, door) as api,
            anyio.create_task_group() as tasks,
        ):
            for task in door.tasks:
                tasks.start_soon(task)
            tasks.start_soon(_advertise, client, settings.member, str(ours))
            try:
                yield Served(client, Address(ours.host, port), seat, inside.letting_in, api)
            finally:
                tasks.cancel_scope.cancel()


async def _start_barn(
    supervisor: Supervisor, trust: Trust, settings: ServerSettings, metrics: ApiMetrics
) -> LocalRef[BarnMessage]:
    """Start the member itself, which tells what its doors count with what it does."""
    group = Group(
        cluster=settings.cluster,
        member=settings.member,
        voters=() if settings.joins else tuple(sorted(settings.addresses)),
        connect=partial(_barn_of, trust, settings),
        random=secrets.randbelow,
        segment_bytes=SERVER_SEGMENT_BYTES,
    )
    disk = partial(RealDisk, settings.barn)
    make = partial(Barn, disk, group=group, new_id=new_client_id, beside=metrics.readings)
    return await supervisor.start(ChildSpec(BARN, make, messages_max=MESSAGES_MAX))


@dataclass(frozen=True, slots=True)
class _Inside:
    """What is behind the doors: the cluster, who knows whose tokens are whose, and the directories of what other nodes reach and of what this user does."""

    cluster: Cluster
    letting_in: LettingIn
    for_all: Directory
    for_us: Directory


async def _inside(
    supervisor: Supervisor, control: ControlPlane, settings: ServerSettings
) -> _Inside:
    """Start who knows whose tokens are whose, and say what there is behind the doors."""
    for_all, for_us = await _directories(supervisor, control, settings)
    letting_in = await start_letting_in(
        supervisor,
        lambda: BarnClient(control.barn),
        cluster=settings.cluster,
        roots=partial(read_signing_roots, settings.state / ROOT_KEY),
        elsewhere=[for_all.ref(f"runi://{name}/{SIGNING}") for name in settings.identity],
    )
    for one in (for_all, for_us):
        one.serve(letting_in.identity, IdentityRequest)
    # Its nodes may be anywhere.
    cluster = replace(
        control.cluster,
        is_remote=True,
        files=for_all.ref(FILES),
        identity=letting_in.identity,
    )
    return _Inside(cluster, letting_in, for_all, for_us)


def _operator() -> OperatorEntrance:
    return OperatorEntrance(user_name(os.geteuid()))


@dataclass(frozen=True, slots=True)
class _Door:
    """Who looks at those who come, what they are offered, the keys of cursors in that, and what goes on for it beside."""

    entrance: Entrance
    offer: Offer
    cursor_keys: tuple[bytes, ...]
    tasks: tuple[Callable[[], Coroutine[Any, Any, None]], ...] = ()


@asynccontextmanager
async def _api(settings: ServerSettings, door: _Door) -> AsyncIterator[Serving | None]:
    """Serve the HTTP API, if the settings say so."""
    if settings.api is None:
        yield None
        return
    from runink.serving_api import serving_api  # noqa: PLC0415 - loads aiohttp

    async with serving_api(settings.api, door.offer, door.cursor_keys) as server:
        yield server


async def _door(
    supervisor: Supervisor,
    trust: Trust,
    settings: ServerSettings,
    inside: _Inside,
    metrics: ApiMetrics,
) -> _Door:
    """Start what lets others in and what they may call, and serve it."""
    known = inside.letting_in.board
    times = settings.api.budget_times if settings.api is not None else 1
    offered = partial(offer_of, guests=known, metrics=metrics, budget_times=times)
    if trust.contexts is None:
        offer, keys = offered(inside.cluster), cursor_keys([trust.secret])
        inside.for_us.serve(await _desk(supervisor, offer, keys), ApiRequest)
        return _Door(SecretEntrance(trust.secret), offer, keys)
    board, barn = TrustBoard(), inside.cluster.barn
    keeper = await supervisor.start(ChildSpec(TRUST, _keeper(settings, barn, board)))
    offer = offered(replace(inside.cluster, trust=keeper))
    keys = cursor_keys(_root_keys(settings))
    desk = await _desk(supervisor, offer, keys)
    for one in (inside.for_all, inside.for_us):
        one.serve(keeper, TrustRequest)
        one.serve(desk, ApiRequest)
    programs = Programs(offer.hearing, now_ms=now_ms)
    metrics.watch(Carrier.WIRE, "programs", programs.statistics)
    entrance = ClusterEntrance(settings.cluster, board, now_s=now_s, programs=programs)
    renewer = Renewer(trust, keeper, barn, now_s=now_s, jitter=SystemRandom().random)
    return _Door(entrance, offer, keys, (entrance.watch, programs.watch, renewer.run))


async def _desk(supervisor: Supervisor, offer: Offer, keys: tuple[bytes, ...]) -> LocalRef[Any]:
    """Start what answers calls by the wire."""
    make = partial(ApiDesk, offer.desk_parts(keys))
    return await supervisor.start(ChildSpec(API, make, messages_max=MESSAGES_MAX))


def _root_keys(settings: ServerSettings) -> list[bytes]:
    """Return the root keys, the one that seals first; none where they are missing, which the trust actor tells."""
    try:
        keys = read_root_keys(settings.state / ROOT_KEY)
    except Refused:
        return []
    return [key.data for key in reversed(keys)]


async def _directories(
    supervisor: Supervisor, control: ControlPlane, settings: ServerSettings
) -> tuple[Directory, Directory]:
    """Return what other nodes reach, and what this user reaches by the socket."""
    name = NodeId(name_of(settings.member))
    for_all = control.directory(name, BarnRequest | PeerMessages | SnapshotChunk)
    for_us = control.directory(name)
    files = await supervisor.start(ChildSpec(FILES, partial(FileDesk, for_all.ref)))
    for_all.serve(files, ReadFiles)
    for_us.serve(files, ReadFiles)
    return for_all, for_us


def _keeper(
    settings: ServerSettings, barn: BarnClient, board: TrustBoard
) -> Callable[[], TrustKeeper]:
    """Return what makes the trust actor: it looks for what founds the cluster at each start, until that is in the Barn."""
    path = settings.state / ROOT_KEY
    means = Means(
        now_s=now_s,
        random_bytes=os.urandom,
        root_keys=partial(read_root_keys, path),
        root_file=path.read_bytes,
    )

    def make() -> TrustKeeper:
        founding = read_founding(settings.state)
        founded = partial(forget_founding, settings.state)
        return TrustKeeper(barn, board, means, founding=founding, founded=founded)

    return make


def now_s() -> int:
    """Return the wall clock's time, in whole seconds: certificates have no others."""
    return now_ms() // 1000


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
