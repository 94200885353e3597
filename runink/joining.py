"""A cluster whose control plane is elsewhere: the composition root of `runi agent`, and how commands reach it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import anyio

from runink.actors.dead_letters import DeadLetters
from runink.actors.offload import switch_threads_soon
from runink.actors.shelf import Shelf
from runink.clients.barn import BarnClient
from runink.clients.cluster import Cluster
from runink.clients.node_files import SHELF, ReadFiles
from runink.config import NodeSettings, Servers
from runink.node import make_folders, orphan_s_of, worker_node
from runink.relay.client import RelayPlace
from runink.relay.protocol import RelaySettings
from runink.runtime.directory import Directory
from runink.runtime.supervisor import ChildSpec, supervise
from runink.trust import joined, read_secret

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
    async with joined(servers, directory) as above, supervise() as supervisor:
        await above.barn.wait_admitted(anyio.current_time() + REACHED_S)
        letters = DeadLetters(BarnClient(above.barn))
        make = partial(Shelf, settings.state / "runs", letters.read)
        directory.serve(await supervisor.start(ChildSpec(SHELF, make)), ReadFiles)
        async with worker_node(above, settings, relay=relay_place(settings, servers)):
            yield


def relay_place(settings: NodeSettings, servers: Servers) -> RelayPlace | None:
    """Return where the node's relay is, and what it shows others: the same as the node shows members. Raises Refused (`bad_secret`)."""
    if settings.listen is None:
        return None
    tls = servers.tls
    shown = RelaySettings(
        settings.node,
        str(settings.listen),
        certificate=str(tls.certificate.absolute()) if tls else "",
        key=str(tls.key.absolute()) if tls else "",
        authority=str(tls.authority.absolute()) if tls else "",
        secret=b"" if servers.secret is None else read_secret(servers.secret),
        orphan_s=orphan_s_of(settings),
    )
    name = f"relay-{settings.node}"
    state = settings.state.absolute()
    return RelayPlace(state / f"{name}.sock", state / f"{name}.log", settings.listen, shown)


@asynccontextmanager
async def reached_cluster(servers: Servers) -> AsyncIterator[Cluster]:
    """Reach a cluster for a command. Raises as `joined_node`."""
    async with joined(servers, Directory("client")) as above:
        await above.barn.wait_admitted(anyio.current_time() + REACHED_S)
        barn = BarnClient(above.barn)
        yield Cluster(barn, above.governance, above.runs, is_remote=True, files=above.files)
