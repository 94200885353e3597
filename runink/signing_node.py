"""The composition root of `runi identity`: who signs tokens and asks people's providers, on a node of its own.

It connects to all members, as a worker node does, and is asked by these connections.  It knows who may what by the Barn, as members do; what it may read and write there stands in `trust/rights.py`.  Of the
root keys it has only what is derived from them for keys that sign: it opens nothing else that the cluster has sealed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio

from runink.certificates.names import CertifiedNode
from runink.certificates.roles import NodeRole
from runink.clients.barn import BarnClient
from runink.clients.identity_requests import IdentityRequest
from runink.config import Servers
from runink.errors import Refused
from runink.joining import REACHED_S, certified
from runink.letting_in import start_letting_in
from runink.root_key import SIGNING_ROOT, read_root_keys
from runink.runtime.directory import Directory
from runink.runtime.supervisor import supervise
from runink.trust.connecting import joined, trust_of


@asynccontextmanager
async def signing_node(state: Path, servers: Servers) -> AsyncIterator[CertifiedNode]:
    """Run it for the cluster that these servers are members of, for as long as the block.

    Raises Invalid, LinkLost where no member can be reached, Refused (`not_joined`, `bad_certificate`; `other_role`, `root_key` where it has not joined for that).
    """
    assert servers.trust is not None, "a secret is no node's name"
    trust = trust_of(servers.trust, None)
    shown = trust.folder.shown() if trust.folder is not None else None
    if shown is None or shown.role is not NodeRole.IDENTITY:
        raise Refused(
            f"{shown or 'this node'} has not joined to sign tokens",
            code="other_role",
            hint="runi node token --role identity makes a token for that; runi identity --join TOKEN joins with it",
        )
    roots = partial(read_root_keys, state / SIGNING_ROOT)
    roots()  # without them it would sign nothing, and say so each time somebody asks
    directory = Directory(shown.name)
    async with joined(servers, trust, directory) as above, supervise() as supervisor:
        await above.barn.wait_admitted(anyio.current_time() + REACHED_S)
        letting_in = await start_letting_in(
            supervisor, lambda: BarnClient(above.barn), cluster=shown.cluster, roots=roots
        )
        directory.serve(letting_in.identity, IdentityRequest)
        async with certified(trust, above):
            yield shown
