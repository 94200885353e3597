"""The way to a cluster that another process of this machine runs: its socket, in the folder of its state."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from runink.clients.barn import BarnClient
from runink.clients.cluster import BARN, GOVERNANCE, RUNS, TRUST, Cluster
from runink.clients.node_files import FILES
from runink.config import IDENTITY, NodeSettings
from runink.runtime.connections import connect_unix


@asynccontextmanager
async def connected(settings: NodeSettings) -> AsyncIterator[Cluster]:
    """Reach the cluster that runs with this state in another process of this user, or the one that it is a member of. Raises NotFound where none does."""
    is_member = (settings.state / IDENTITY).exists()
    async with connect_unix(settings.socket) as peer:
        barn, governance, runs = BarnClient(peer.ref(BARN)), peer.ref(GOVERNANCE), peer.ref(RUNS)
        files = peer.ref(FILES) if is_member else None
        trust = peer.ref(TRUST) if is_member else None
        yield Cluster(barn, governance, runs, is_remote=is_member, files=files, trust=trust)
