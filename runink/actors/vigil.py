"""The vigil over worker nodes: hears that they live, and says in the Barn which are suspect or lost, and where there is trouble (`runs/health.py` decides).

    it sees or is told             it does
    NodeLives                      takes note; writes only if that changes what is said of the node
    a node's record, new or gone   likewise
    a node's silence               looks when the next one is due, and at no other time

Agents say it to a member's desk, and that to the member that acts: nothing of it is written, so a thousand nodes cost no disk anything.  What is told past the run controller,
which waits for the Barn now and then, is heard in time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

import anyio
import msgspec

from runink.actors.tables import Loaded, Seen, follow, load_at_last
from runink.barn.history import Watched
from runink.barn.keys import HEALTH, NODES, health_key, parse_node
from runink.barn.keyvalue import Change
from runink.clients.barn import BarnClient, Transaction, decode_value
from runink.clients.run_requests import DeskRequest, NodeLives, RunRequest
from runink.errors import Unavailable
from runink.machines import BACK_S, SUSPECT_S
from runink.names import NodeId
from runink.runs.health import NodeHealth, Said, Vigil
from runink.runs.records import NodeRecord
from runink.runtime.actor import Actor, Context, Request
from runink.runtime.ref import Ref

LATE_S: Final = 1.0  # more than a busy machine makes of a second: we stood still
AGAIN_S: Final = 1.0  # until a Barn that took nothing is asked again
TIMERS_MAX: Final = 2  # for the next silence, and for a Barn that took nothing: nodes say each second that they live, and each time may be such a one
PREFIXES: Final = (NODES.prefix(), HEALTH.prefix())
BATCH_MAX: Final = 100  # nodes of a transaction


class _Due(msgspec.Struct, frozen=True):
    """A node may have been silent for long enough."""

    at_s: float


VigilMessage = NodeLives | Loaded | Watched | _Due


class NodeVigil(Actor[VigilMessage]):
    """One for a cluster. `now_ms` is the wall clock, milliseconds of the Unix epoch."""

    def __init__(
        self,
        barn: BarnClient,
        *,
        now_ms: Callable[[], int],
        suspect_s: float = SUSPECT_S,
        back_s: float = BACK_S,
    ) -> None:
        self._barn = barn
        self._now_ms = now_ms
        self._vigil = Vigil(suspect_s, back_s)
        self._seen = 0  # a revision: what an earlier life has left unread may be older
        self._timers: set[float] = set()
        self._context: Context[VigilMessage]

    async def started(self, context: Context[VigilMessage]) -> None:
        """Say what is so before anybody decides by it: of a cluster that is being started, that its nodes may come back."""
        self._context = context
        loaded = await load_at_last(self._barn, PREFIXES)
        self._load(loaded, anyio.current_time())
        await self._say(None)
        self._time()
        watch = partial(follow, self._barn, PREFIXES, self._tell, after_revision=loaded.revision)
        context.spawn(watch)

    async def _tell(self, seen: Seen) -> None:
        await self._context.me.tell(seen)

    async def receive(self, message: VigilMessage) -> None:
        now_s = anyio.current_time()
        match message:
            case Loaded(_, revision) if revision >= self._seen:
                self._load(message, now_s)
                await self._say(None)
            case Loaded():
                return
            case Watched(changes):
                new = (one for one in changes if one.revision > self._seen)
                await self._say([node for one in new if (node := self._see(one, now_s))])
            case NodeLives(node, incarnation, unborn, is_leaving):
                self._vigil.heard(node, incarnation, unborn, is_leaving=is_leaving, now_s=now_s)
                await self._say([node])
            case _Due(at_s):
                self._timers.discard(at_s)
                if now_s - at_s > LATE_S:
                    self._vigil.late(now_s - at_s)
                await self._say(None)
        self._time()

    def _load(self, loaded: Loaded, now_s: float) -> None:
        nodes, said = [], []
        for item in loaded.items:
            if item.key.startswith(HEALTH.prefix()):
                said.append(decode_value(item, NodeHealth).value)
            else:
                nodes.append(decode_value(item, NodeRecord).value)
        self._vigil.begin(nodes, said, now_s=now_s)
        self._seen = loaded.revision

    def _see(self, change: Change, now_s: float) -> NodeId | None:
        """Take one change, and return the node that it is about; what stands under HEALTH is our own."""
        node = parse_node(change.key)
        if node is None:
            return None
        if change.now is None:
            self._vigil.gone(node)
        else:
            self._vigil.there(decode_value(change.now, NodeRecord).value, now_s=now_s)
        return node

    async def _say(self, only: Iterable[NodeId] | None) -> None:
        """Write what is to be said otherwise, of all nodes or of some. A Barn that takes nothing is asked again later."""
        wanted = self._vigil.wanted(anyio.current_time(), self._now_ms(), only)
        for at in range(0, len(wanted), BATCH_MAX):
            batch = wanted[at : at + BATCH_MAX]
            try:
                await self._barn.commit(_saying(batch))
            except Unavailable:
                if len(self._timers) < TIMERS_MAX:
                    self._wake(anyio.current_time() + AGAIN_S)
                return
            self._vigil.wrote(batch)

    def _time(self) -> None:
        if self._timers:
            return  # and no look at all nodes: each of them tells that it lives every second
        due_s = self._vigil.due_s(anyio.current_time())
        if due_s is not None:
            self._wake(due_s)

    def _wake(self, at_s: float) -> None:
        if at_s not in self._timers:
            self._timers.add(at_s)
            self._context.spawn(partial(self._wait, _Due(at_s)))

    async def _wait(self, due: _Due) -> None:
        await anyio.sleep_until(due.at_s)
        await self._context.me.tell(due)


def _saying(batch: Iterable[Said]) -> Transaction:
    transaction = Transaction()
    for node, health in batch:
        key = health_key(node)
        transaction = transaction.delete(key) if health is None else transaction.put(key, health)
    return transaction


class Acting:
    """Run controller and vigil of the member that acts, as if they were one actor: each is told and asked what is for it."""

    def __init__(self, runs: Ref[RunRequest], vigil: Ref[NodeLives]) -> None:
        self._runs = runs
        self._vigil = vigil

    @property
    def address(self) -> str:
        return self._runs.address

    async def tell(self, message: DeskRequest) -> None:
        """Tell it whom it is for, when there is room."""
        if isinstance(message, NodeLives):
            await self._vigil.tell(message)
        else:
            await self._runs.tell(message)

    def tell_nowait(self, message: DeskRequest) -> None:
        """Tell it whom it is for, or raise Overloaded."""
        if isinstance(message, NodeLives):
            self._vigil.tell_nowait(message)
        else:
            self._runs.tell_nowait(message)

    def flush(self) -> None:
        """Do nothing: they are actors of this process."""

    async def ask(self, request: Request[Any], *, within: float) -> Any:
        """Ask the run controller; the vigil is only told."""
        return await self._runs.ask(request, within=within)
