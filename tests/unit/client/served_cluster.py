"""A cluster in memory whose whole catalog is served by HTTP, on a loop and a thread of its own: at a socket for the operator, and on loopback for tokens."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anyio.lowlevel import checkpoint
from api_world import LOOPBACK
from asking_world import SOON_S, run_on
from notebook import MemoryKeys
from runink.api.app import Parts, make_app
from runink.api.serving import Door, Serving, serving
from runink.clients.herds import create_herd
from runink.herds.lifecycle import By
from runink.herds.record import HerdRecord
from runink.identity.principals import Principal
from runink.identity.roles import Binding
from runink.names import HerdName
from runink.operations.calls import Authenticate, Unauthenticated
from runink.operations.catalog.table import CATALOG
from runink.operations.cursors import Cursors
from runink.testing.served import NOW_MS, OPERATOR, Served, served


@dataclass
class ServedCluster:
    """What a test has of it. `tokens` say whom a token speaks for."""

    cluster: Served
    socket: str
    address: str
    tokens: dict[str, Principal]
    loop: asyncio.AbstractEventLoop
    server: Serving
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def until_watched(self) -> None:
        """Wait until somebody reads a stream."""

        async def watched() -> None:
            while not self.server.statistics()["streams"]:
                await checkpoint()

        run_on(self.loop, watched())

    def on_loop(self, act: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Do something where the cluster is, and return what comes of it."""
        return run_on(self.loop, act())


@contextmanager
def served_cluster(
    folder: Path,
    *herds: str,
    bindings: Iterable[Binding] = (),
    tokens: dict[str, Principal],
    signs: bool = False,
    nodes: Mapping[str, Path] | None = None,
    knowing: Callable[[], AbstractAsyncContextManager[Authenticate]] | None = None,
) -> Iterator[ServedCluster]:
    """Serve a cluster with these herds at `folder/api.sock`, and on loopback. One that `signs` makes tokens; whose they are says `tokens` alone, or `knowing` in its place."""
    ready, made = threading.Event(), []
    path = folder / "api.sock"

    async def named(token: str) -> Principal:
        if token not in tokens:
            raise Unauthenticated("the token was made up")
        return tokens[token]

    async def serve() -> None:
        known = knowing() if knowing is not None else nullcontext(named)
        async with (
            known as authenticate,
            served(bindings=bindings, signs=signs, nodes=nodes or {}) as cluster,
        ):
            for herd in herds:
                record = HerdRecord(HerdName(herd), description=f"what {herd} does")
                await create_herd(cluster.barn, record, By("operator:root", NOW_MS))
            parts = Parts(
                service=cluster.services,
                authenticate=authenticate,
                authorize=cluster.access,
                keys=MemoryKeys(),
                cursors=Cursors([b"k" * 32]),
                operator=OPERATOR,
            )
            doors = [Door(LOOPBACK), Door(path)]
            async with serving(make_app(CATALOG, parts), doors) as server:
                port = next(one[1] for one in server.addresses if isinstance(one, tuple))
                address = f"http://127.0.0.1:{port}"
                loop = asyncio.get_running_loop()
                made.append(ServedCluster(cluster, f"unix:{path}", address, tokens, loop, server))
                ready.set()
                await made[0].stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(SOON_S)
        yield made[0]
    finally:
        if made:
            made[0].loop.call_soon_threadsafe(made[0].stop.set)
        thread.join(SOON_S)
