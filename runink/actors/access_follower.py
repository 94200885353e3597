"""Keeps a member's board of who may what as the Barn has it, and asks now and then whether the Barn is there at all.

A watch that nothing comes of says nothing: a member that is cut off would go on by what it knew, and let in whom the others have shut out.  So it asks every HEARD_EVERY_S what only a majority of members
can answer, and the board knows when that was answered last.
"""

from __future__ import annotations

from typing import Final

import anyio

from runink.actors.access_board import AccessBoard
from runink.actors.access_facts import PREFIXES
from runink.actors.known_people import KnownPeople
from runink.actors.tables import Loaded, Seen, follow, load_at_last
from runink.barn.history import Watched
from runink.barn.keys import RIGHTS
from runink.barn.keyvalue import one_key
from runink.clients.barn import BarnClient
from runink.errors import Unavailable
from runink.loops import now_s
from runink.runtime.actor import Actor, Context

ASKED: Final = RIGHTS.key("taken")  # any key: that there is an answer is what counts
HEARD_EVERY_S: Final = 1.0
HEARD_WITHIN_S: Final = 3.0

AccessMessage = Loaded | Watched


class AccessFollower(Actor[AccessMessage]):
    """One for a member. `people` are those that the board asks."""

    def __init__(self, barn: BarnClient, board: AccessBoard, people: KnownPeople) -> None:
        self._barn = barn
        self._board = board
        self._people = people
        self._context: Context[AccessMessage]

    async def started(self, context: Context[AccessMessage]) -> None:
        self._context = context
        context.spawn(self._follow)
        context.spawn(self._hear)
        context.spawn(self._people.run)

    async def receive(self, message: AccessMessage) -> None:
        self._board.take(message)

    async def _follow(self) -> None:
        async def tell(seen: Seen) -> None:
            await self._context.me.tell(seen)

        loaded = await load_at_last(self._barn, PREFIXES)
        await tell(loaded)
        await follow(self._barn, PREFIXES, tell, after_revision=loaded.revision)

    async def _hear(self) -> None:
        while True:  # ends with the actor
            asked_s = now_s()
            try:
                with anyio.fail_after(HEARD_WITHIN_S):
                    await self._barn.read(one_key(ASKED))
            except (Unavailable, TimeoutError):
                pass
            else:
                self._board.heard(asked_s)
            await anyio.sleep(HEARD_EVERY_S)
