"""The composition root: which actors a node runs, in which order they start and stop, and how others reach them.

    embedded (role `all`)               embedded (role `store`)       connected
      barn                                barn                          over the socket of either
      the control plane (control.py)      governance
        spawner
          agent                         A command that only looks needs no more than the store.
            the socket

Inner ones start last and stop first: nobody is asked who is not there any more.  The Barn's lock on the state folder is what makes the
cluster the only one.
"""

from __future__ import annotations

import logging
import os
import resource
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import anyio.abc
from msgspec.structs import replace as changed

from runink import __version__
from runink.actors.agent import Agent
from runink.actors.barn import Barn, Beside
from runink.actors.governance import Governance
from runink.actors.launching import Workplace
from runink.actors.node_metrics import NodeMetrics
from runink.actors.offload import switch_threads_soon
from runink.actors.registration import parted_s
from runink.actors.slice_tokens import SliceTokens
from runink.capabilities import BUBBLEWRAP, HOST_NETWORK, Isolation, Told, told_by_node
from runink.clients.barn import BarnClient, new_client_id
from runink.clients.cluster import BARN, GOVERNANCE, Cluster
from runink.clock import now_ms
from runink.config import NodeSettings, Role
from runink.control import Above, ControlPlane, start, start_control
from runink.errors import Broken, LinkLost, Unavailable
from runink.machine_reading import (
    count_gpus,
    read_disk_free_bytes,
    read_machine,
    user_text,
)
from runink.networks import NodeNetwork, endpoints_of, own_addresses
from runink.relay.client import RelayClient, RelayPlace, running_relay
from runink.runs.records import NodeRecord
from runink.runtime.connections import serve_unix
from runink.runtime.supervisor import Supervisor, supervise
from runink.sandbox.client import Spawner
from runink.sandbox.starting import SpawnerPlace, running_spawner
from runink.state_folders import MODE, make_state_folder
from runink.storage.disk import RealDisk
from runink.stores import Stores, read_stores

ENTRY: Final = "runink.actors.slice:main"
PRELOADED: Final = ("pyarrow", "msgspec")  # what every slice needs
SPAWNERS_MAX: Final = 5  # of one start; who loses more has a machine that ends processes
ALONE: Final = "member-1"  # its name in the office of a cluster that has no other
AGENT: Final = "agent"
# Code, logs and rows, also in a state folder that was there and is open to others.
PRIVATE_FOLDERS: Final = ("bundles", "runs")

_log = logging.getLogger(__name__)


@asynccontextmanager
async def embedded(
    settings: NodeSettings,
    *,
    role: Role = Role.ALL,
    modules: frozenset[str] = frozenset(),
    session: str | None = None,
    beside: Beside = tuple,
) -> AsyncIterator[Cluster]:
    """Run a cluster of one node in this process, for as long as the block.

    `beside` is what else this process counts, told with the Barn's metrics.  `modules` are loaded for slices in advance.  `session` names this start: runs that are bound to it end with it; an empty one binds none.
    Raises Unavailable (`storage_locked`) where another process has the state, WalCorrupt and Broken where it is damaged.
    """
    settings.validate()
    session = new_client_id() if session is None else session
    async with control_plane(settings, session=session, role=role, beside=beside) as control:
        if role is Role.STORE:
            yield control.cluster
            return
        async with (
            worker_node(control, settings, modules=modules),
            serve_unix(settings.socket, control.directory(settings.node)),
        ):
            yield control.cluster


def make_folders(settings: NodeSettings, names: tuple[str, ...] = PRIVATE_FOLDERS) -> None:
    """Make the folder of a node's state, and those in it that are for nobody else. Raises OSError."""
    make_state_folder(settings.state)
    for name in names:
        (settings.state / name).mkdir(mode=MODE, exist_ok=True)


@asynccontextmanager
async def control_plane(
    settings: NodeSettings, *, session: str, role: Role = Role.ALL, beside: Beside = tuple
) -> AsyncIterator[ControlPlane]:
    """Run the control plane's actors for as long as the block."""
    make_folders(settings, PRIVATE_FOLDERS if role is Role.ALL else ())
    switch_threads_soon()
    async with supervise() as supervisor:
        disk = partial(RealDisk, settings.barn)
        make = partial(Barn, disk, new_id=new_client_id, beside=beside)
        barn = await start(supervisor, BARN, make)
        if role is Role.STORE:
            governance = await start(supervisor, GOVERNANCE, lambda: Governance(BarnClient(barn)))
            yield ControlPlane(barn, governance, None, session)
            return
        control, seat = await start_control(supervisor, barn, member=ALONE, session=session)
        await seat.wait_taken()
        yield control


@asynccontextmanager
async def worker_node(
    above: Above,
    settings: NodeSettings,
    *,
    modules: frozenset[str] = frozenset(),
    relay: RelayPlace | None = None,
) -> AsyncIterator[None]:
    """Run a worker node, spawner and agent, in a task beside the block, up to its end. With a `relay` it takes part in gangs of several nodes."""
    _allow_descriptors()
    leave = anyio.Event()
    metrics = NodeMetrics()
    async with (
        _metrics_served(above, settings, metrics),
        running_relay(relay) if relay else nullcontext() as client,
        anyio.create_task_group() as group,
    ):
        metrics.relay = client
        start_agent = partial(_start_agent, above, settings, metrics, client)
        await group.start(_work, start_agent, settings, modules, leave)
        try:
            yield
        finally:
            leave.set()


@asynccontextmanager
async def _metrics_served(
    above: Above, settings: NodeSettings, metrics: NodeMetrics
) -> AsyncIterator[None]:
    """Serve the node's metrics where the settings say, if they do."""
    async with AsyncExitStack() as stack:
        if settings.metrics is not None:
            from runink.actors.metrics_pages import serving_metrics  # noqa: PLC0415 - a megabyte that is not needed otherwise

            serving = serving_metrics(settings.metrics, metrics, above.barn, settings.state)
            await stack.enter_async_context(serving)
        yield


async def _work(
    start_agent: Callable[[Supervisor, Spawner], Awaitable[None]],
    settings: NodeSettings,
    modules: frozenset[str],
    leave: anyio.Event,
    *,
    task_status: anyio.abc.TaskStatus[None],
) -> None:
    """Run spawner and agent until `leave`. Where the spawner dies, its slices are gone: both begin anew and find them lost."""
    is_told = False

    def told() -> None:
        nonlocal is_told
        if not is_told:  # the first spawner may have died before its agent was there
            task_status.started()
            is_told = True

    try:
        for _ in range(SPAWNERS_MAX):
            if await _worked(start_agent, settings, modules, leave, told=told):
                return
    except Unavailable:
        if not leave.is_set():
            raise
        return  # we are leaving, and there is no spawner to part from any more
    raise Broken(
        f"the spawner of {settings.node} has ended {SPAWNERS_MAX} times",
        code="spawner_lost",
        hint=f"see {settings.spawner_log or 'its log'}",
    )


async def _worked(
    start_agent: Callable[[Supervisor, Spawner], Awaitable[None]],
    settings: NodeSettings,
    modules: frozenset[str],
    leave: anyio.Event,
    *,
    told: Callable[[], None],
) -> bool:
    """Run one spawner, and an agent with it once `told`. False if the spawner ended before `leave`."""
    place = spawner_place(settings, modules)
    async with running_spawner(place, agent=settings.node, leave=leave) as spawner:
        if _is_other(settings, spawner.found):
            _log.warning("spawner ended: it was started to close slices off otherwise", extra={"node": settings.node})  # fmt: skip
            return False
        _check_isolation(settings, spawner.found)
        try:
            async with supervise() as worker:
                await start_agent(worker, spawner)
                told()
                await _wait_either(leave, spawner.wait_ended)
        except LinkLost:
            if not spawner.has_ended:
                raise
        if leave.is_set():
            if settings.orphan_s and await _has_slices(spawner):
                await spawner.aclose()  # what still runs is found again by the next start
            return True
    _log.warning("spawner lost", extra={"node": settings.node})
    return False


def _is_other(settings: NodeSettings, found: Told) -> bool:
    """Say whether a spawner of our own, left by an earlier start, has not what is asked for now: its slices end with it."""
    is_ours = settings.spawner is None or settings.keeper >= 0
    is_wrapping = BUBBLEWRAP in found.there or BUBBLEWRAP in found.missing
    return is_ours and is_wrapping != (settings.isolation is Isolation.BUBBLEWRAP)


def _check_isolation(settings: NodeSettings, found: Told) -> None:
    """Raise Unavailable (`bubblewrap_unavailable`) if bubblewrap is to close slices off and cannot: nobody asked for anything else."""
    if settings.isolation is not Isolation.BUBBLEWRAP or BUBBLEWRAP in found.there:
        return
    from runink.sandbox.bubblewrap import INSTALL  # noqa: PLC0415 - a megabyte that only the spawner needs

    why, hint = found.missing.get(BUBBLEWRAP), INSTALL
    if why is None:
        why = f"the spawner at {settings.spawner} was started without"
        hint = "start it with runi spawn --isolation bubblewrap"
    text = f"bubblewrap cannot close slices off on this node: {why}"
    raise Unavailable(text, code="bubblewrap_unavailable", hint=hint)


def spawner_place(settings: NodeSettings, modules: frozenset[str] = frozenset()) -> SpawnerPlace:
    """Return where the node has its spawner, and how that is started."""
    return SpawnerPlace(
        socket=settings.spawner or _socket(settings),
        log=settings.spawner_log or Path(os.devnull),
        is_service=settings.spawner is not None and settings.keeper < 0,
        keeper=settings.keeper,
        entry=ENTRY,
        preload=(*PRELOADED, *sorted(modules)),
        orphan_s=orphan_s_of(settings),
        is_plain=not settings.is_isolated,
        uses_bubblewrap=settings.isolation is Isolation.BUBBLEWRAP,
        warm=settings.warm_cells,
        # An agent of our own user sees to it itself, and the next one may be told otherwise.
        shares_network=settings.shares_network or settings.spawner is None,
    )


def orphan_s_of(settings: NodeSettings) -> float:
    """Return how long a node's slices and streams go on without its agent: not until others may have begun with the same elsewhere."""
    return min(settings.orphan_s, parted_s(settings.lost_s))


def _socket(settings: NodeSettings) -> Path:
    return (settings.state / f"spawner-{settings.node}.sock").absolute()


async def _start_agent(
    above: Above,
    settings: NodeSettings,
    metrics: NodeMetrics,
    relay: RelayClient | None,
    worker: Supervisor,
    spawner: Spawner,
) -> None:
    assert above.runs is not None, "a worker has a whole cluster above it"
    if HOST_NETWORK in spawner.found.missing:
        settings = changed(settings, shares_network=False)
    found = told_by_node(spawner.found, is_plain=not settings.is_isolated)
    node = NodeRecord(
        settings.node,
        settings.capacity,
        labels=settings.labels,
        slices_max=settings.slices_max,
        reserved=settings.reserved,
        capabilities=settings.capabilities | found.there,
        missing=found.missing,
        users={"agent": user_text(os.geteuid()), "spawner": user_text(spawner.user)},
        incarnation=new_client_id() if above.is_elsewhere else "",
        lost_s=settings.lost_s,
        gpus=count_gpus() if settings.gpus is None else settings.gpus,
        disk_bytes=_disk_bytes(settings),
        herds=settings.herds,
        visible=settings.visible,
        near=settings.near,
        streams=relay.address if relay else "",
    )
    stores = read_stores(os.environ)
    agent = partial(
        Agent,
        runs=above.runs,
        spawner=spawner,
        node=node,
        workplace=Workplace(
            settings.state,
            _network(settings, stores),
            relay,
            is_plain=not settings.is_isolated,
            stores=stores,
            is_away=above.is_elsewhere,
            stays=above.stays,
        ),
        now_ms=now_ms,
        metrics=metrics,
        look=partial(_looked, settings.state),
        tokens=SliceTokens(above.identity),
    )
    await start(worker, AGENT, lambda: agent(BarnClient(above.barn)))


def _disk_bytes(settings: NodeSettings) -> int:
    """Return how much disk slices may ask for."""
    if settings.disk_bytes is not None:
        return settings.disk_bytes
    return max(read_disk_free_bytes(settings.state) - settings.reserved.disk_bytes, 1)


def _network(settings: NodeSettings, stores: Stores) -> NodeNetwork:
    """Return what this node says of its network."""
    tables = (Path("/proc/net/fib_trie"), Path("/proc/net/if_inet6"))
    found = (path.read_text(encoding="ascii") if path.exists() else "" for path in tables)
    endpoints = endpoints_of(os.environ) | stores.endpoints
    return NodeNetwork(settings.shares_network, own_addresses(*found), endpoints)


def _looked(state: Path, node: NodeRecord) -> NodeRecord:
    """Return a node's record with its machine as it is now."""
    return changed(node, machine=read_machine(state, versions={"runink": __version__}))


async def _has_slices(spawner: Spawner) -> bool:
    if spawner.has_ended:
        return False
    kept = await spawner.list()
    for launched in kept:
        launched.close()
    return bool(kept)


def _allow_descriptors() -> None:
    """Take as many descriptors as this user may have: the agent holds four for each slice."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _wait_either(one: anyio.Event, other: Callable[[], Awaitable[None]]) -> None:
    """Wait until one of the two has happened."""

    async def wait_other() -> None:
        await other()
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(wait_other)
        await one.wait()
        group.cancel_scope.cancel()
