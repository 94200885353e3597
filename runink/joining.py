"""A cluster whose control plane is elsewhere: the composition root of `runi agent`, and how commands reach it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import SystemRandom
from typing import Final

import anyio

from runink.actors.offload import switch_threads_soon
from runink.actors.shelf import Shelf
from runink.actors.written_files import WrittenFiles
from runink.clients.barn import BarnClient
from runink.clients.cluster import Cluster
from runink.clients.node_files import SHELF, ReadFiles
from runink.clock import now_ms
from runink.config import NodeSettings, Servers
from runink.node import make_folders, orphan_s_of, worker_node
from runink.relay.client import RelayPlace
from runink.relay.protocol import RelaySettings
from runink.runtime.directory import Directory
from runink.runtime.supervisor import ChildSpec, supervise
from runink.trust.connecting import Joined, Trust, joined, trust_of
from runink.trust.renewing import Renewer

REACHED_S: Final = (
    15.0  # longer than an election; who reaches nobody for so long has the wrong address
)


@asynccontextmanager
async def joined_node(settings: NodeSettings, servers: Servers) -> AsyncIterator[None]:
    """Run a worker node of the cluster that these servers are members of, for as long as the block.

    Raises Invalid, Refused (`bad_certificate`, `bad_secret`, `wrong_secret`), LinkLost where no member can be reached, and what a node raises.
    """
    settings.validate()
    make_folders(settings)
    switch_threads_soon()
    directory = Directory(settings.node)
    trust = trust_of(settings.trust, servers.secret)
    async with joined(servers, trust, directory) as above, supervise() as supervisor:
        await above.barn.wait_admitted(anyio.current_time() + REACHED_S)
        letters = WrittenFiles(BarnClient(above.barn))
        make = partial(Shelf, settings.state / "runs", letters.read)
        directory.serve(await supervisor.start(ChildSpec(SHELF, make)), ReadFiles)
        async with (
            certified(trust, above),
            worker_node(above, settings, relay=relay_place(settings, trust)),
        ):
            yield


@asynccontextmanager
async def certified(trust: Trust, above: Joined) -> AsyncIterator[None]:
    """Keep this node's certificate good for as long as the block, if it shows one."""
    async with anyio.create_task_group() as tasks:
        if trust.contexts is not None:
            renewer = Renewer(
                trust,
                above.trust,
                BarnClient(above.barn),
                now_s=lambda: now_ms() // 1000,
                jitter=SystemRandom().random,
                renewed=above.barn.connect_anew,
            )
            tasks.start_soon(renewer.run)
        yield
        tasks.cancel_scope.cancel()


def relay_place(settings: NodeSettings, trust: Trust) -> RelayPlace | None:
    """Return where the node's relay is, and what it shows others: the same as the node shows members."""
    if settings.listen is None:
        return None
    shown = RelaySettings(
        settings.node,
        str(settings.listen),
        trust=str(settings.trust.absolute()) if trust.contexts is not None else "",
        secret=trust.secret,
        orphan_s=orphan_s_of(settings),
    )
    name = f"relay-{settings.node}"
    state = settings.state.absolute()
    return RelayPlace(state / f"{name}.sock", state / f"{name}.log", settings.listen, shown)


@asynccontextmanager
async def reached_cluster(servers: Servers) -> AsyncIterator[Cluster]:
    """Reach a cluster for a command. Raises as `joined_node`."""
    trust = trust_of(servers.trust or Path(), servers.secret)
    shown = trust.folder.shown() if trust.folder is not None else None
    directory = Directory(shown.name if shown is not None else "client")
    async with joined(servers, trust, directory) as above:
        await above.barn.wait_admitted(anyio.current_time() + REACHED_S)
        barn = BarnClient(above.barn)
        yield Cluster(
            barn,
            above.governance,
            above.runs,
            is_remote=True,
            files=above.files,
            trust=above.trust,
        )
