"""What an agent's start finds: the slices that the Barn has on its node, and processes of an earlier life that nobody wants any more. And reading that does not give up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import anyio

from runink.actors.exits import Exits
from runink.barn.keys import SLICES
from runink.barn.keyvalue import Span, key_prefix
from runink.clients.barn import BarnClient, Found, decode_value
from runink.clients.barn_requests import Pages
from runink.errors import Unavailable
from runink.names import NodeId
from runink.runs.records import SliceRecord
from runink.sandbox.client import Spawner

PAUSE_S: Final = 1.0


async def records_on(barn: BarnClient, node: NodeId) -> list[Found[SliceRecord]]:
    """Return the slices that take room on a node."""
    items = (await barn.read(key_prefix(SLICES.prefix()))).pages[0].items
    found = (decode_value(item, SliceRecord) for item in items)
    return [one for one in found if one.value.node == node and one.value.state.is_on_node]


async def read_at_last(barn: BarnClient, *spans: Span) -> Pages:
    """Return what spans hold, however long the Barn takes to answer: nobody would ask again."""
    while True:
        try:
            return await barn.read(*spans)
        except Unavailable:
            await anyio.sleep(PAUSE_S)


async def end_kept(spawner: Spawner, exits: Exits) -> None:
    """End all processes that the spawner keeps."""
    kept = await spawner.list()
    for launched in kept:
        launched.close()
    await end_all(spawner, exits, [launched.slice for launched in kept])


async def end_all(spawner: Spawner, exits: Exits, names: Iterable[str]) -> None:
    """End processes, before there are new attempts of the same slices."""
    unwanted = tuple(names)
    for name in unwanted:
        await spawner.kill(name)
    for name in unwanted:
        await exits.wait(name)  # a kill does not fail
        await spawner.release(name)
        exits.forget(name)
